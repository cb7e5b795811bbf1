"""``hccfeat simulate``: a simulated study as the files a hospital would hand over, and its truth beside them."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.errors import InputError
from hccfeat.files import write_text_atomically
from hccfeat.progress import Advance, progress_bar
from hccfeat.simulation.cohort import COHORTS, Cohort, simulate_patients
from hccfeat.simulation.files import write_csv, write_png, write_pyramid, write_tiff
from hccfeat.simulation.looks import Look, draw_look
from hccfeat.simulation.marks import Plan, claim, load_plan
from hccfeat.simulation.mri.deliver import deliver_exams
from hccfeat.simulation.mri.oracle import population_ceilings
from hccfeat.simulation.oracle import oracle, population_ceiling
from hccfeat.simulation.parameters import Parameters
from hccfeat.simulation.rendering import Field, enlarged, render
from hccfeat.simulation.truth import Row, image_row, patch_rows, patient_rows

CLINICAL_COLUMNS = ("age", "sex", "hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion")


@dataclass(frozen=True)
class CohortFiles:
    """Where the files of one cohort lie, and how many there are; None where it has no slides or no exams."""

    name: str
    clinical: Path
    patients: int
    slides: Path | None = None
    manifest: Path | None = None
    images: int = 0
    mri: Path | None = None
    mri_manifest: Path | None = None
    exams: int = 0


@dataclass(frozen=True)
class Delivery:
    """What :func:`simulate` wrote; ``oracle`` is the content of ``truth/oracle.json``."""

    folder: Path
    cohorts: dict[str, CohortFiles]
    truth: Path
    oracle: dict[str, Any]

    @property
    def internal(self) -> CohortFiles:
        """The development cohort; every preset but ``mri`` has it."""
        return self.cohorts["internal"]

    @property
    def external(self) -> CohortFiles:
        """The validation cohort; every preset but ``mri`` has it."""
        return self.cohorts["external"]

    @property
    def exams(self) -> CohortFiles:
        """The cohort whose patients have MRI exams."""
        return next(cohort for cohort in self.cohorts.values() if cohort.exams)


@dataclass(frozen=True)
class _Truth:
    """Rows of the truth, filled as the images are rendered."""

    patients: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    patches: list[Row] = field(default_factory=list)
    exams: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)


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
    preset : {"tiny", "demo", "paper", "mri"}
    seed : int
        0 or larger.
    overrides : dict, optional
        See :func:`hccfeat.simulation.parameters.load_parameters` and
        :func:`hccfeat.simulation.mri.parameters.load_mri_parameters`.

    Raises
    ------
    InputError
        Unknown preset or override, negative seed, or ``dest`` holds something else.
    """
    if seed < 0:
        raise InputError("--seed", f"{seed} is negative", "Give 0 or a positive whole number.")
    plan = load_plan(preset, seed, overrides or {})
    parameters = plan.slides
    claim(dest, plan)
    known = _Truth()
    figures: dict[str, Any] = {"simulated": True, "preset": preset, "seed": seed}
    cohorts: dict[str, CohortFiles] = {}
    total = sum(parameters.size(name).images for name in parameters.slide_cohorts)
    total += parameters.population(parameters.exam_cohort).patients
    with progress_bar("Rendering images", total) as advance:
        for name in COHORTS:
            if name in parameters.slide_cohorts or name == parameters.exam_cohort:
                cohorts[name] = _deliver_cohort(dest, plan, name, known, figures, advance)
    if parameters.slide_cohorts:
        figures["population"] = {f"{count}_images": population_ceiling(parameters, count) for count in (1, 2)}
    figures["mri_population"] = population_ceilings(plan.mri)
    _write_truth(dest / "truth", known, figures)
    return Delivery(dest, cohorts, dest / "truth", figures)


def _write_truth(truth: Path, known: _Truth, figures: dict[str, Any]) -> None:
    tables = {
        "patients": known.patients,
        "images": known.images,
        "patches": known.patches,
        "mri": known.exams,
        "mri_items": known.items,
    }
    for name, rows in tables.items():
        if rows:
            write_csv(truth / f"{name}.csv", rows)
    write_text_atomically(truth / "oracle.json", json.dumps(figures, indent=1) + "\n")


def _deliver_cohort(
    dest: Path, plan: Plan, name: str, known: _Truth, figures: dict[str, Any], advance: Advance
) -> CohortFiles:
    """Write one cohort, add to what is known and to the oracle's figures, and return its files."""
    parameters, seed = plan.slides, plan.seed
    cohort = simulate_patients(parameters, seed, name)
    folder = dest / name
    known.patients.extend(patient_rows(cohort))
    table = clinical_rows(parameters, cohort, seed)
    files = CohortFiles(name, folder / "clinical.csv", len(cohort))
    if name in parameters.slide_cohorts:
        images, figures[name] = _deliver_slides(dest, plan, cohort, known, advance)
        files = replace(files, slides=folder / "slides", manifest=folder / "manifest.csv", images=images)
    if name == parameters.exam_cohort:
        exams = deliver_exams(folder, plan.mri, cohort, seed, advance)
        table = [row | further for row, further in zip(table, exams.columns, strict=True)]
        known.exams.extend(exams.patients)
        known.items.extend(exams.items)
        figures["mri"] = {"cohort": name, **exams.oracle}
        files = replace(files, mri=exams.folder, mri_manifest=exams.manifest, exams=len(cohort))
    write_csv(files.clinical, table)
    return files


def _deliver_slides(
    dest: Path, plan: Plan, cohort: Cohort, known: _Truth, advance: Advance
) -> tuple[int, dict[str, Any]]:
    """Write the slides of one cohort and their manifest; return their number and the oracle's figures."""
    signals: list[list[float]] = [[] for _ in range(len(cohort))]
    manifest: list[Row] = []
    for image in plan_images(plan.slides, cohort, plan.seed):
        row, grid, line = _deliver_image(dest, plan.slides, cohort, image, plan.seed)
        signals[image.patient].append(row["signal"])
        manifest.append(line)
        known.images.append(row)
        known.patches.extend(grid)
        advance()
    write_csv(dest / cohort.name / "manifest.csv", manifest)
    return len(manifest), oracle(cohort, np.array([np.mean(s) if s else np.nan for s in signals]))


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
