"""``hccfeat simulate``: a simulated study as the files a hospital would hand over, and its truth beside them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.errors import InputError
from hccfeat.files import write_text_atomically
from hccfeat.progress import Advance, progress_bar
from hccfeat.simulation.cohort import COHORTS, Cohort, simulate_patients
from hccfeat.simulation.files import write_csv, write_png, write_pyramid, write_tiff
from hccfeat.simulation.looks import Look, draw_look
from hccfeat.simulation.oracle import oracle, population_ceiling
from hccfeat.simulation.parameters import Parameters, load_parameters
from hccfeat.simulation.rendering import Field, enlarged, render
from hccfeat.simulation.truth import Row, image_row, patch_rows, patient_rows

MARK = "SIMULATED.json"
CLINICAL_COLUMNS = ("age", "sex", "hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion")

README = """SIMULATED DATA - no patient stands behind any of these files.

Made by `hccfeat simulate` (preset {preset}, seed {seed}) with the parameters of data_catalog/simulation.toml,
version {version}. See SIMULATED.json for the settings.

internal/clinical.csv   development cohort, one row per patient; times in months
internal/slides/        fields of tumour cores, PNG and TIFF
internal/manifest.csv   file, patient_id, mpp (micrometres per pixel)
external/...            likewise, whole sections as tiled pyramids from another simulated scanner
truth/                  the latent truth, for tests and evidence studies only: never ingest it
"""


@dataclass(frozen=True)
class CohortFiles:
    """Where the files of one cohort lie, and how many there are."""

    name: str
    clinical: Path
    slides: Path
    manifest: Path
    patients: int
    images: int


@dataclass(frozen=True)
class Delivery:
    """What :func:`simulate` wrote; ``oracle`` is the content of ``truth/oracle.json``."""

    folder: Path
    internal: CohortFiles
    external: CohortFiles
    truth: Path
    oracle: dict[str, Any]


@dataclass(frozen=True)
class _Truth:
    """Rows of the truth, filled as the images are rendered."""

    patients: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    patches: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class PlannedImage:
    """One image to render: ``patient`` counts from 0, ``number`` from 1."""

    patient: int
    number: int
    stem: str


def simulate(dest: Path, preset: str, seed: int, overrides: dict[str, float | int] | None = None) -> Delivery:
    """Write a simulated study; the same arguments give the same bytes.

    Parameters
    ----------
    dest : Path
        New or empty folder, or one that holds this very simulation (then it is written again, which is how a run
        that was killed is completed).
    preset : {"tiny", "demo", "paper"}
    seed : int
        0 or larger.
    overrides : dict, optional
        See :func:`hccfeat.simulation.parameters.load_parameters`.

    Raises
    ------
    InputError
        Unknown preset or override, negative seed, or ``dest`` holds something else.
    """
    if seed < 0:
        raise InputError("--seed", f"{seed} is negative", "Give 0 or a positive whole number.")
    parameters = load_parameters(preset, overrides)
    _claim(dest, parameters, seed, overrides or {})
    known = _Truth()
    figures: dict[str, Any] = {"simulated": True, "preset": preset, "seed": seed}
    cohorts: dict[str, CohortFiles] = {}
    total = sum(parameters.size(name).images for name in COHORTS)
    with progress_bar("Rendering images", total) as advance:
        for name in COHORTS:
            cohorts[name], figures[name] = _deliver_cohort(dest, parameters, seed, name, known, advance)
    figures["population"] = {f"{count}_images": population_ceiling(parameters, count) for count in (1, 2)}
    truth = dest / "truth"
    write_csv(truth / "patients.csv", known.patients)
    write_csv(truth / "images.csv", known.images)
    write_csv(truth / "patches.csv", known.patches)
    write_text_atomically(truth / "oracle.json", json.dumps(figures, indent=1) + "\n")
    return Delivery(dest, cohorts["internal"], cohorts["external"], truth, figures)


def _deliver_cohort(
    dest: Path, parameters: Parameters, seed: int, name: str, known: _Truth, advance: Advance
) -> tuple[CohortFiles, dict[str, Any]]:
    """Write one cohort, add to what is known, and return its files and the oracle's figures."""
    cohort = simulate_patients(parameters, seed, name)
    signals: list[list[float]] = [[] for _ in range(len(cohort))]
    manifest: list[Row] = []
    for image in plan_images(parameters, cohort, seed):
        row, grid, line = _deliver_image(dest, parameters, cohort, image, seed)
        signals[image.patient].append(row["signal"])
        manifest.append(line)
        known.images.append(row)
        known.patches.extend(grid)
        advance()
    known.patients.extend(patient_rows(cohort))
    folder = dest / name
    write_csv(folder / "clinical.csv", clinical_rows(parameters, cohort, seed))
    write_csv(folder / "manifest.csv", manifest)
    files = CohortFiles(
        name, folder / "clinical.csv", folder / "slides", folder / "manifest.csv", len(cohort), len(manifest)
    )
    return files, oracle(cohort, np.array([np.mean(s) if s else np.nan for s in signals]))


def _claim(dest: Path, parameters: Parameters, seed: int, overrides: dict[str, float | int]) -> None:
    """Mark the folder as simulated before anything else is in it."""
    about = {
        "simulated": True,
        "preset": parameters.preset,
        "seed": seed,
        "parameters_version": parameters.version,
        "overrides": dict(sorted(overrides.items())),
        **parameters.outcomes.model_dump(mode="json"),
    }
    text = json.dumps(about, indent=1) + "\n"
    mark = dest / MARK
    if dest.exists():
        if not dest.is_dir():
            raise InputError(str(dest), "is a file", "Give a new folder.")
        if mark.is_file():
            if mark.read_text(encoding="utf-8") != text:
                raise InputError(str(dest), "holds another simulation", "Give a new folder.")
        elif any(dest.iterdir()):
            raise InputError(str(dest), "is not empty", "Give a new or an empty folder.")
    write_text_atomically(mark, text)
    readme = README.format(preset=parameters.preset, seed=seed, version=parameters.version)
    write_text_atomically(dest / "README.txt", readme)


def plan_images(parameters: Parameters, cohort: Cohort, seed: int) -> list[PlannedImage]:
    """Which patient has how many images: as even as can be, who has one more is drawn."""
    total = parameters.size(cohort.name).images
    count = np.full(len(cohort), total // len(cohort))
    rng = np.random.default_rng([seed, COHORTS.index(cohort.name), 2])
    count[rng.permutation(len(cohort))[: total % len(cohort)]] += 1
    plan = []
    for patient, images in enumerate(count):
        for number in range(1, int(images) + 1):
            name = str(cohort.patient_id[patient])
            plan.append(PlannedImage(patient, number, name if cohort.name == "external" else f"{name}_{number}"))
    return plan


def _deliver_image(
    dest: Path, parameters: Parameters, cohort: Cohort, image: PlannedImage, seed: int
) -> tuple[Row, list[Row], Row]:
    """Render and write one image; return its truth, its patches' truth and its line in the manifest."""
    name, size = cohort.name, parameters.size(cohort.name)
    rendered, look = render_image(parameters, cohort, image, seed)
    pyramid = name == "external"
    as_tiff = pyramid or image.patient % 3 == 2
    file = f"{image.stem}.{'tif' if as_tiff else 'png'}"
    path = dest / name / "slides" / file
    if pyramid:
        write_pyramid(path, rendered.rgb, size.mpp)
    elif as_tiff:
        write_tiff(path, rendered.rgb, size.mpp)
    else:
        write_png(path, rendered.rgb)
    image_id = f"{name}/{image.stem}"
    patient = str(cohort.patient_id[image.patient])
    known = (image_id, f"{name}/{patient}", name)
    grid = patch_rows(*known, size.mpp, parameters.sizes.patch_um, rendered)
    line = {"file": file, "patient_id": patient, "mpp": size.mpp}
    return image_row(*known, file, size.mpp, look, rendered), grid, line


def render_image(parameters: Parameters, cohort: Cohort, image: PlannedImage, seed: int) -> tuple[Field, Look]:
    """Render one image from its own random numbers, so that any order gives the same pixels."""
    code, size = COHORTS.index(cohort.name), parameters.size(cohort.name)
    patient_rng = np.random.default_rng([seed, code, 3, image.patient])
    noise = parameters.signal.patient_noise * patient_rng.standard_normal()
    rng = np.random.default_rng([seed, code, 4, image.patient, image.number])
    look = draw_look(parameters, cohort.name, float(cohort.aggressiveness[image.patient] + noise), rng)
    scanner = parameters.scanners[cohort.name]
    side_um = size.width_px * size.mpp
    rendered = render(side_um, size.render_mpp, look, parameters.tissue, scanner, rng, slide=code == 1)
    return enlarged(rendered, size.width_px), look


def clinical_rows(parameters: Parameters, cohort: Cohort, seed: int) -> list[Row]:
    """The rows of ``clinical.csv``: what the hospital knows, with a few values missing."""
    rng = np.random.default_rng([seed, COHORTS.index(cohort.name), 5])
    missing = {name: rng.random(len(cohort)) < share for name, share in parameters.missing.items()}
    rows = []
    for i in range(len(cohort)):
        row: Row = {"patient_id": str(cohort.patient_id[i])}
        for name in CLINICAL_COLUMNS:
            absent = name in missing and missing[name][i]
            row[name] = "" if absent else _shown(getattr(cohort, name)[i], parameters, name)
        row["treatment"] = "sorafenib" if cohort.treated[i] else "none"
        row["recurrence_months"] = f"{cohort.recurrence_months[i]:.2f}"
        row["recurrence_event"] = int(cohort.recurrence_event[i])
        row["os_months"] = f"{cohort.os_months[i]:.2f}"
        row["os_event"] = int(cohort.os_event[i])
        row["simulated"] = 1
        rows.append(row)
    return rows


def _shown(value: Any, parameters: Parameters, name: str) -> str:
    """A value as the table prints it, with the decimals of its variable."""
    rule = parameters.indicators[name].value if name in parameters.indicators else None
    return str(value) if rule is None else f"{float(value):.{rule.decimals}f}"
