"""What a delivery is made from, and its marks: ``SIMULATED.json`` and ``README.txt``."""

import json
from dataclasses import dataclass
from pathlib import Path

from hccfeat.errors import InputError
from hccfeat.files import write_text_atomically
from hccfeat.simulation.mri.parameters import OVERRIDES as MRI_OVERRIDES
from hccfeat.simulation.mri.parameters import MriParameters, load_mri_parameters
from hccfeat.simulation.parameters import Parameters, load_parameters

MARK = "SIMULATED.json"
README = """SIMULATED DATA - no patient stands behind any of these files.

Made by `hccfeat simulate` (preset {preset}, seed {seed}) with the parameters of data_catalog/simulation.toml,
version {version}, and data_catalog/simulation_mri.toml, version {mri_version}. See SIMULATED.json for the settings.

{folders}truth/                  the latent truth, for tests and evidence studies only: never ingest it
"""
FOLDERS = {
    "internal": """\
internal/clinical.csv   development cohort, one row per patient; times in months
internal/slides/        fields of tumour cores, PNG and TIFF
internal/manifest.csv   file, patient_id, mpp (micrometres per pixel)
""",
    "external": """\
external/...            likewise, whole sections as tiled pyramids from another simulated scanner
""",
    "mri": """\
mri/clinical.csv        a cohort with MRI and without slides
""",
}
EXAM_FOLDERS = """\
{cohort}/mri/           PRE and HBP of each patient as NIfTI or DICOM series, not registered to each other,
                        with masks of lesion or liver; mvi_grade and the items stand in {cohort}/clinical.csv
{cohort}/mri_manifest.csv   patient_id, phase, path (below mri/), lesion_mask, lesion_box (voxels, the last three
                        exclusive), liver_mask, liver_label
"""


@dataclass(frozen=True)
class Plan:
    """The parameters of slides and exams, the seed, and what the caller changed."""

    slides: Parameters
    mri: MriParameters
    seed: int
    overrides: dict[str, float | int]


def load_plan(preset: str, seed: int, overrides: dict[str, float | int]) -> Plan:
    """Read the parameters of both files, each with the overrides that are its own."""
    own = {name: value for name, value in overrides.items() if name not in MRI_OVERRIDES}
    others = {name: value for name, value in overrides.items() if name in MRI_OVERRIDES}
    return Plan(load_parameters(preset, own), load_mri_parameters(preset, others), seed, overrides)


def claim(dest: Path, plan: Plan) -> None:
    """Mark the folder as simulated before anything else is in it.

    Raises
    ------
    InputError
        If it holds something else.
    """
    parameters = plan.slides
    about = {
        "simulated": True,
        "preset": parameters.preset,
        "seed": plan.seed,
        "parameters_version": parameters.version,
        "mri_parameters_version": plan.mri.version,
        "overrides": dict(sorted(plan.overrides.items())),
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
    readme = README.format(
        preset=parameters.preset,
        seed=plan.seed,
        version=parameters.version,
        mri_version=plan.mri.version,
        folders=_folders(parameters),
    )
    write_text_atomically(dest / "README.txt", readme)


def _folders(parameters: Parameters) -> str:
    """What lies where, for README.txt."""
    named = (*parameters.slide_cohorts, *(["mri"] if parameters.sizes.mri else []))
    exams = EXAM_FOLDERS.format(cohort=parameters.exam_cohort)
    return "".join(FOLDERS[name] for name in named) + exams
