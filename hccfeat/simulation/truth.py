"""The truth as rows: what is known about patients, images and grid patches and never shown to the pipeline."""

from typing import Any

import numpy as np

from hccfeat.simulation.cells import Ellipses
from hccfeat.simulation.cohort import Cohort
from hccfeat.simulation.layout import GRID_UM, Compartment
from hccfeat.simulation.looks import DEFECTS, Look
from hccfeat.simulation.rendering import Field

EDGE_SHARE = 0.1
"""A patch with at least this share of both tumour and adjacent liver lies on the tumour's edge."""

Row = dict[str, Any]


def patient_rows(cohort: Cohort) -> list[Row]:
    """One row per patient: latents, assignment probability, complete covariates and latent times (months)."""
    columns = cohort.columns()
    return [
        {"cohort": cohort.name, "simulated": 1, **{key: _plain(column[i]) for key, column in columns.items()}}
        | {"patient_id": f"{cohort.name}/{cohort.patient_id[i]}"}
        for i in range(len(cohort))
    ]


def image_row(image_id: str, patient_id: str, cohort: str, file: str, mpp: float, look: Look, field: Field) -> Row:
    """What was drawn for one image, and what is in it (um, per mm2 of tissue)."""
    compartment = field.layout.compartment
    tissue_mm2 = (compartment != Compartment.BACKGROUND).mean() * (field.layout.side_um / 1000) ** 2
    radii = np.sqrt(field.cells.epithelial.long * field.cells.epithelial.short)
    return {
        "image_id": image_id,
        "patient_id": patient_id,
        "cohort": cohort,
        "simulated": 1,
        "file": file,
        "mpp": mpp,
        "signal": round(look.signal, 6),
        "nuclear_radius_um": round(look.nuclear_radius_um, 6),
        "pleomorphism": round(look.pleomorphism, 6),
        "nuclei_per_mm2": round(look.nuclei_per_mm2, 3),
        "lymphocytes_per_mm2": round(look.lymphocytes_per_mm2, 3),
        "mean_radius_um": round(float(radii.mean()), 6) if radii.size else "",
        "nuclei": len(field.cells.epithelial),
        "lymphocytes": len(field.cells.lymphocytes),
        "tissue_mm2": round(float(tissue_mm2), 6),
        "stroma_share": round(float(np.isin(compartment, (Compartment.STROMA, Compartment.PORTAL)).mean()), 6),
        "steatosis_share": round(look.steatosis_share, 6),
        "portal": int((compartment == Compartment.PORTAL).any()),
        **{name: int(getattr(look, name)) for name in DEFECTS},
        **_stain(look),
    }


def patch_rows(image_id: str, patient_id: str, cohort: str, mpp: float, patch_um: float, field: Field) -> list[Row]:
    """One row per patch of the non-overlapping grid from the top-left corner.

    ``x`` and ``y`` are level-0 pixels. Densities are per square millimetre of the patch's tissue; nuclei are those
    of tumour cells and hepatocytes. The compartment is ``background`` when over half of the patch is glass,
    ``edge`` when tumour and adjacent liver meet in it, otherwise the commonest.
    """
    count = int(field.layout.side_um / patch_um + 1e-9)
    nuclei, lymphocytes = field.cells.epithelial, field.cells.lymphocytes
    nuclear_bin, lymphocyte_bin = (_bins(cells, patch_um, count) for cells in (nuclei, lymphocytes))
    nuclear_count = np.bincount(nuclear_bin[nuclear_bin >= 0], minlength=count**2)
    area = np.bincount(nuclear_bin[nuclear_bin >= 0], nuclei.area_um2[nuclear_bin >= 0], count**2)
    lymphocyte_count = np.bincount(lymphocyte_bin[lymphocyte_bin >= 0], minlength=count**2)
    shares = _shares(field, patch_um, count)
    rows = []
    for number in range(count**2):
        tissue = 1 - shares[number, Compartment.BACKGROUND]
        mm2 = tissue * (patch_um / 1000) ** 2
        found = nuclear_count[number]
        rows.append(
            {
                "image_id": image_id,
                "patient_id": patient_id,
                "cohort": cohort,
                "x": round(number % count * patch_um / mpp),
                "y": round(number // count * patch_um / mpp),
                "nuclear_area_um2": round(float(area[number] / found), 4) if found else "",
                "nuclei_per_mm2": round(float(found / mm2), 2) if mm2 else "",
                "lymphocytes_per_mm2": round(float(lymphocyte_count[number] / mm2), 2) if mm2 else "",
                "compartment": _compartment(shares[number]),
                "tissue_share": round(float(tissue), 4),
                "tumour_share": round(float(shares[number, Compartment.TUMOUR]), 4),
                "adjacent_share": round(float(shares[number, Compartment.ADJACENT]), 4),
            }
        )
    return rows


def _bins(cells: Ellipses, patch_um: float, count: int) -> np.ndarray:
    """Row-major patch number of each cell, -1 outside the grid."""
    column, row = (cells.x / patch_um).astype(np.int64), (cells.y / patch_um).astype(np.int64)
    return np.where((column < count) & (row < count), row * count + column, -1)


def _shares(field: Field, patch_um: float, count: int) -> np.ndarray:
    """Share of each compartment in each patch, (count**2, 5)."""
    compartment = field.layout.compartment
    of_node = ((np.arange(compartment.shape[0]) * GRID_UM + GRID_UM / 2) / patch_um).astype(np.int64)
    row, column = np.meshgrid(of_node, of_node, indexing="ij")
    inside = (row < count) & (column < count)
    code = (row * count + column)[inside] * len(Compartment) + compartment[inside]
    table = np.bincount(code, minlength=count**2 * len(Compartment)).reshape(count**2, len(Compartment))
    return table / table.sum(axis=1, keepdims=True)


def _compartment(shares: np.ndarray) -> str:
    if shares[Compartment.BACKGROUND] > 0.5:
        return "background"
    if min(shares[Compartment.TUMOUR], shares[Compartment.ADJACENT]) >= EDGE_SHARE:
        return "edge"
    return Compartment(int(np.argmax(shares[1:])) + 1).name.lower()


def _stain(look: Look) -> Row:
    names = [f"{stain}_{channel}" for stain in ("haematoxylin", "eosin") for channel in ("red", "green", "blue")]
    vectors = dict(zip(names, np.round(look.stain.vectors.ravel(), 6).tolist(), strict=True))
    strengths = np.round(look.stain.strength, 6).tolist()
    return {**vectors, "haematoxylin_strength": strengths[0], "eosin_strength": strengths[1]}


def _plain(value: Any) -> Any:
    """A numpy scalar as CSV shows it: flags 0/1, numbers to 6 decimals."""
    if isinstance(value, np.bool_):
        return int(value)
    if isinstance(value, np.floating):
        return round(float(value), 6)
    return value.item() if isinstance(value, np.generic) else value
