"""``hccfeat export --format geojson``: tissue and risk of slides as QuPath opens them over the slide."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours, label, regionprops

from hccfeat.config import Recipe, StudyConfig, TissueRecipe, load_recipe
from hccfeat.errors import HccfeatError, InputError
from hccfeat.exchange.export import DEFAULT, ExportSummary, refuse_own_folders
from hccfeat.explanation.files import risk_geojson
from hccfeat.explanation.riskmap import RiskMap
from hccfeat.files import canonical_json, write_text_atomically
from hccfeat.models import Encoder
from hccfeat.progress import progress_bar
from hccfeat.slides.readers import open_slide
from hccfeat.slides.tissue import tissue_mask
from hccfeat.store.catalog import query
from hccfeat.store.shards import read_shard
from hccfeat.store.versions import resolve_feature_set
from hccfeat.training.encoder import load_encoder
from hccfeat.training.risk import recurrence_probabilities
from hccfeat.units import Level0Px, MicronsPerPx

TISSUE_COLOUR = (0, 158, 115)
THRESHOLD = 0.5
"""Between high and low risk: the classes of the patches; their probabilities are in the file too."""


@dataclass(frozen=True)
class OutlineRequest:
    """What the command line asks of ``export --format geojson``; tissue needs no feature set."""

    what: Literal["tissue", "risk"] = "tissue"
    features: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()


def export_geojson(study: Path, config: StudyConfig, destination: Path, request: OutlineRequest) -> ExportSummary:
    """Write ``<cohort>/<stem>.geojson`` of every slide; one that cannot be written does not stop the others.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its recipe of slides says what tissue is.
    destination : Path
        Folder.
    request : OutlineRequest
        Tissue as the recipe sees it, or the stored patches with the risk that their encoder gives them.

    Returns
    -------
    ExportSummary
        Counts and failures.

    Raises
    ------
    InputError
        If there are no slides, or the feature set has no encoder of this study.
    """
    refuse_own_folders(study, destination)
    images = _images(study, request.cohorts)
    if request.what == "tissue":
        name, collection = "", partial(_tissue_of, load_recipe(config.recipe, study).tissue)
    else:
        name = resolve_feature_set(study, *(request.features or (DEFAULT,)))
        recipe, simulated = _recipe(study, name)
        encoder = load_encoder(study / "models" / name / "weights.safetensors", recipe)
        shards = query(study, "SELECT image_id, path FROM shard WHERE feature_set = ?", [name]).rows()
        paths = {image_id: study / path for image_id, path in shards}
        images = [image for image in images if image["image_id"] in paths]
        collection = partial(_risk_of, encoder, paths, simulated)
    summary = ExportSummary(destination, name)
    with progress_bar(f"Exporting {request.what}", len(images)) as advance:
        for image in images:
            _write(destination, image, collection, summary)
            advance(note=image["image_id"])
    return summary


def _write(
    destination: Path,
    image: dict[str, Any],
    collection: Callable[[dict[str, Any]], dict[str, Any]],
    summary: ExportSummary,
) -> None:
    try:
        found = collection(image)
    except HccfeatError as error:
        row = {"entity": image["image_id"], "problem": error.problem, "remedy": error.remedy}
        summary.failures.append(row)
        return
    write_text_atomically(destination / f"{image['image_id']}.geojson", canonical_json(found) + "\n")
    summary.slides += 1
    summary.patches += len(found["features"])


def _images(study: Path, cohorts: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = query(
        study,
        "SELECT i.*, c.simulated FROM image AS i JOIN cohort AS c USING (cohort) "
        "WHERE i.status = 'ok' AND coalesce(i.modality, 'slide') = 'slide' ORDER BY i.image_id",
    ).to_dicts()
    found = [row for row in rows if not cohorts or row["cohort"] in cohorts]
    if not found:
        raise InputError(
            ", ".join(cohorts) or str(study), "has no readable slides", "Ingest a cohort with --slides."
        )
    return found


def _recipe(study: Path, name: str) -> tuple[Recipe, bool]:
    row = query(study, "SELECT recipe, simulated FROM feature_set WHERE feature_set = ?", [name]).to_dicts()[0]
    fields = json.loads(row["recipe"])
    if "modality" in fields:
        problem = "is of MRI exams" if fields["modality"] == "mri" else "was imported: its encoder is not here"
        raise InputError(f"feature set {name}", problem, "Name one of slides that `hccfeat extract` made.")
    return Recipe.model_validate(fields), bool(row["simulated"])


def _tissue_of(recipe: TissueRecipe, image: dict[str, Any]) -> dict[str, Any]:
    mpp = image["mpp"] if image["mpp_source"] == "override" else None
    with open_slide(Path(image["path"]), mpp) as slide:
        thumbnail = slide.thumbnail(recipe.thumbnail_mpp)
        mask = tissue_mask(thumbnail.rgb, slide.info.mpp * thumbnail.downsample, recipe)
        size = np.array([slide.info.width, slide.info.height])
    scale = size / np.array(mask.shape[::-1])
    return tissue_geojson(mask, scale, simulated=bool(image["simulated"]))


def tissue_geojson(
    mask: NDArray[np.bool_], scale: NDArray[np.float64], *, simulated: bool = False
) -> dict[str, Any]:
    """Give the pieces of tissue as annotations that QuPath 0.4 and newer reads.

    Parameters
    ----------
    mask : bool (h, w)
        Of a thumbnail.
    scale : float64 (2,)
        Level-0 pixels per thumbnail pixel in x and y.
    simulated : bool
        Name the class and mark the collection as simulated.

    Returns
    -------
    dict
        A FeatureCollection of RFC 7946 in level-0 pixels: one polygon per piece along the edges of its thumbnail
        pixels, corners cut, with its holes as inner rings.
    """
    name = "Tissue" + (" (simulated)" if simulated else "")
    pieces = regionprops(label(mask, connectivity=2))
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": _rings(piece, scale)},
            "properties": {
                "objectType": "annotation",
                "classification": {"name": name, "color": list(TISSUE_COLOUR)},
                "isLocked": True,
            },
        }
        for piece in pieces
    ]
    about = {"simulated": simulated, "unit": "level-0 pixel"}
    return {"type": "FeatureCollection", "features": features, "hccfeat": about}


def _rings(piece: Any, scale: NDArray[np.float64]) -> list[list[list[float]]]:
    """Outer ring (counterclockwise), then holes (clockwise), closed, in level-0 pixels."""
    top, left = piece.bbox[:2]
    padded = np.pad(piece.image, 1).astype(np.float64)
    found = find_contours(padded, 0.5, fully_connected="high")
    # A contour counts from the centre of the first padded pixel: half a pixel less than from its edge.
    rings = [(ring[:, ::-1] + np.array([left, top]) - 0.5) * scale for ring in found]
    areas = [_signed_area(ring) for ring in rings]
    outer = int(np.argmax(np.abs(areas)))
    order = [outer, *(k for k in range(len(rings)) if k != outer)]
    turned = [rings[k] if (areas[k] > 0) == (k == outer) else rings[k][::-1] for k in order]
    return [np.round(ring, 1).tolist() for ring in turned]


def _signed_area(ring: NDArray[np.float64]) -> float:
    x, y = ring[:-1].T
    next_x, next_y = ring[1:].T
    return float((x * next_y - next_x * y).sum() / 2)


def _risk_of(encoder: Encoder, paths: dict[str, Path], simulated: bool, image: dict[str, Any]) -> dict[str, Any]:
    shard = read_shard(paths[image["image_id"]])
    risk = RiskMap(
        shard.coords,
        Level0Px(int(shard.attributes["patch_size_level0"])),
        recurrence_probabilities(encoder, shard.vectors),
        Level0Px(image["width"]),
        Level0Px(image["height"]),
        MicronsPerPx(image["mpp"]),
    )
    return risk_geojson(risk, THRESHOLD, simulated=simulated or bool(image["simulated"]))
