"""The coefficients of the generator as typed models, read from ``data_catalog/simulation.toml``."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from hccfeat.config import Frozen, parse_toml
from hccfeat.errors import ConfigError, InputError
from hccfeat.resources import resource_folder

ASSIGNMENT_INDICATORS = ("vascular_invasion", "tumour_size", "bclc", "afp")
"""The covariates of the logistic model of treatment assignment."""

Share = Field(ge=0, le=1)
Pair = tuple[float, float]


class Outcomes(Frozen):
    """Hazards (per month), the share pi of replaced recurrence times, and censoring (months)."""

    recurrence_hazard: float = Field(gt=0)
    death_hazard: float = Field(gt=0)
    pi: float = Field(ge=0, le=1)
    gamma: float
    b_z: float
    b_az: float
    censoring_months: Pair
    shortest_months: float = Field(gt=0)


class Value(Frozen):
    """How the number in the table follows from the latent scale of its indicator."""

    form: Literal["linear", "log"]
    at_cut: float
    scale: float = Field(gt=0)
    range: Pair
    decimals: int = Field(ge=0)
    positive_above: float


class Indicator(Frozen):
    """One binary indicator: its dependence on A and its shares among untreated and treated."""

    loading: float = Field(gt=-1, lt=1)
    positive: Pair
    assignment: bool
    cut: Pair
    value: Value | None = None


class Stages(Frozen):
    """BCLC stage inside the papers' two groups."""

    stage_0_up_to_cm: float


class Treatment(Frozen):
    """Logistic assignment of sorafenib."""

    share: float = Field(gt=0, lt=1)
    intercept: float
    vascular_invasion: float
    tumour_size: float
    bclc: float
    afp: float

    def coefficients(self) -> tuple[float, ...]:
        """Coefficients in the order of ``ASSIGNMENT_INDICATORS``."""
        return tuple(getattr(self, name) for name in ASSIGNMENT_INDICATORS)


class Signal(Frozen):
    """What an image shows of A: signal = A + patient noise + image noise; then each feature follows the signal."""

    patient_noise: float = Field(ge=0)
    image_noise: float = Field(ge=0)
    feature_noise: float = Field(ge=0)
    patch_noise: float = Field(ge=0)
    nuclear_radius_um: float = Field(gt=0)
    radius_per_signal: float
    pleomorphism: float = Field(gt=0)
    pleomorphism_per_signal: float
    nuclei_per_mm2: float = Field(gt=0)
    density_per_signal: float
    lymphocytes_per_mm2: float = Field(ge=0)
    lymphocytes_per_signal: float
    signal_limit: float = Field(gt=0)


class Tissue(Frozen):
    """Architecture that has nothing to do with A; shares are of the field, rates per image."""

    stroma_share: Pair
    portal_rate: float = Share
    glass_rate: float = Share
    steatosis_rate: float = Share
    steatosis_share: Pair
    sinusoid_width: Pair
    adjacent_nuclear_radius_um: float
    adjacent_nuclei_per_mm2: float
    stroma_nuclei_per_mm2: float


class Defects(Frozen):
    """Rates of faults per image; ``out_of_focus`` and ``lost_tissue`` ruin the whole image."""

    pen: float = Share
    fold: float = Share
    blurred_area: float = Share
    out_of_focus: float = Share
    lost_tissue: float = Share


class Scanner(Frozen):
    """Stain and camera of one laboratory; vectors are optical densities, natural logarithm, rows of unit length."""

    name: str
    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    vector_noise_degrees: float = Field(ge=0)
    strength: Pair
    strength_log_sd: Pair
    white: tuple[float, float, float]
    white_sd: float = Field(ge=0)
    camera_sd: float = Field(ge=0)
    blur_um: float = Field(ge=0)


class Population(Frozen):
    """Patients of a cohort. ``treated`` fixes the number of treated ones; -1 leaves it to chance."""

    patients: int = Field(ge=1, le=100_000)
    treated: int = Field(-1, ge=-1)


class CohortSize(Population):
    """A cohort with slides."""

    images: int = Field(ge=1, le=200_000)
    width_px: int = Field(ge=64, le=20_000)
    mpp: float = Field(gt=0, le=8)
    render_mpp: float = Field(gt=0, le=8)


class Preset(Frozen):
    """Sizes of one preset; ``patch_um`` is the side of the truth's patch grid.

    The exams are those of the cohort ``mri``, or of the internal patients where the preset has no such cohort.
    """

    patch_um: float = Field(64.0, gt=0)
    internal: CohortSize | None = None
    external: CohortSize | None = None
    mri: Population | None = None


class Parameters(Frozen):
    """Everything the generator needs for one preset."""

    version: int
    preset: str
    outcomes: Outcomes
    indicators: dict[str, Indicator]
    stages: Stages
    treatment: Treatment
    missing: dict[str, float]
    signal: Signal
    tissue: Tissue
    defects: Defects
    scanners: dict[str, Scanner]
    sizes: Preset

    def size(self, cohort: str) -> CohortSize:
        """Size of cohort ``internal`` or ``external``, with its slides."""
        size = {"internal": self.sizes.internal, "external": self.sizes.external}[cohort]
        if size is None:
            raise InputError(f"preset {self.preset}", f"has no cohort {cohort}", "Use tiny, demo or paper.")
        return size

    def population(self, cohort: str) -> Population:
        """Patients of any cohort."""
        if cohort != "mri":
            return self.size(cohort)
        if self.sizes.mri is None:
            raise InputError(f"preset {self.preset}", "has no cohort mri", "Use paper or mri.")
        return self.sizes.mri

    @property
    def slide_cohorts(self) -> tuple[str, ...]:
        """Names of the preset's cohorts with slides."""
        return tuple(name for name in ("internal", "external") if getattr(self.sizes, name) is not None)

    @property
    def exam_cohort(self) -> str:
        """Name of the cohort whose patients have MRI exams."""
        return "internal" if self.sizes.mri is None else "mri"


class ParameterFile(Frozen):
    """``simulation.toml`` as it stands on disk."""

    version: int
    outcomes: Outcomes
    indicators: dict[str, Indicator]
    stages: Stages
    treatment: Treatment
    missing: dict[str, float]
    signal: Signal
    tissue: Tissue
    defects: Defects
    scanners: dict[str, Scanner]
    presets: dict[str, Preset]


_OVERRIDES = {
    **{name: ("outcomes", name) for name in ("pi", "gamma", "b_z", "b_az")},
    "patients": ("internal", "patients"),
    "images": ("internal", "images"),
    "external_patients": ("external", "patients"),
    "mri_patients": ("mri", "patients"),
    "width_px": ("internal", "width_px"),
}


def preset_names() -> list[str]:
    """Names of the presets in ``simulation.toml``."""
    return sorted(parse_toml(_file(), ParameterFile).presets)


def load_parameters(preset: str, overrides: dict[str, float | int] | None = None) -> Parameters:
    """Read the parameters of one preset.

    Parameters
    ----------
    preset : {"tiny", "demo", "paper", "mri"}
    overrides : dict, optional
        ``pi``, ``gamma``, ``b_z``, ``b_az``, ``patients``, ``images``, ``external_patients``, ``mri_patients``,
        ``width_px``.
        Another number of internal patients keeps the preset's images per patient and, where the preset fixes
        the number of treated patients, leaves that to chance.

    Raises
    ------
    InputError
        Unknown preset or override, or a value out of range.
    ConfigError
        If the file is malformed.
    """
    shipped = parse_toml(_file(), ParameterFile)
    if preset not in shipped.presets:
        raise InputError(f"preset {preset}", "does not exist", f"Use one of {', '.join(sorted(shipped.presets))}.")
    content: dict[str, Any] = shipped.model_dump()
    content["sizes"] = content.pop("presets")[preset]
    content["preset"] = preset
    _apply(content, overrides or {})
    try:
        return Parameters.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        raise InputError("simulation override", problems, "Give a value in range.") from error


def _apply(content: dict[str, Any], overrides: dict[str, float | int]) -> None:
    for name in overrides:
        if name not in _OVERRIDES:
            raise InputError(f"override {name}", "is unknown", f"Use one of {', '.join(sorted(_OVERRIDES))}.")
        cohort = _OVERRIDES[name][0]
        if cohort != "outcomes" and content["sizes"][cohort] is None:
            raise InputError(f"override {name}", f"is of cohort {cohort}, which this preset lacks", "Leave it out.")
    for cohort, name in (("internal", "patients"), ("external", "external_patients")):
        size = content["sizes"][cohort]
        if name in overrides:
            size["images"] = max(1, round(size["images"] * overrides[name] / size["patients"]))
            size["treated"] = min(size["treated"], 0) if size["treated"] == 0 else -1
    for name, value in overrides.items():
        section, key = _OVERRIDES[name]
        target = content["outcomes"] if section == "outcomes" else content["sizes"][section]
        target[key] = value


def _file() -> Path:
    path = resource_folder("data_catalog") / "simulation.toml"
    if not path.is_file():
        raise ConfigError(str(path), "is missing from this installation", "Reinstall the package.")
    return path


def read_version() -> int:
    """Version of ``simulation.toml``."""
    return int(tomllib.loads(_file().read_text(encoding="utf-8"))["version"])
