"""The coefficients of the simulated MRI exams as typed models, read from ``data_catalog/simulation_mri.toml``."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from hccfeat.config import Frozen, parse_toml
from hccfeat.config.mri_recipe import Phase
from hccfeat.errors import ConfigError, InputError
from hccfeat.resources import resource_folder
from hccfeat.simulation.mri.item_models import Item, Pair

FEATURES = ("margin", "halo", "texture", "size")
"""What the image shows of I and S, in the order of ``Latents.signals``."""

OWN_ITEMS = ("age", "sex", "hbsag", "alt", "afp")
"""Clinical items that the cohort's own table has."""

Seed = int | Sequence[int]
"""A whole number, or several that together are one; every stream adds its own code behind it."""

Triple = tuple[float, float, float]


class LatentModel(Frozen):
    """How S follows A, and how the grade follows S, I and K."""

    rho: float = Field(ge=-1, le=1)
    weight_s: float
    weight_i: float
    weight_k: float
    noise: float = Field(gt=0)
    grades: tuple[int, int, int]


class Feature(Frozen):
    """One feature of the image: ``typical * exp(per_signal * signal)``, at most ``most``."""

    phase: Phase
    noise: float = Field(gt=0)
    typical: float = Field(gt=0)
    per_signal: float
    most: float = Field(gt=0)


class ImageModel(Frozen):
    """What the image shows: signal = image_i I + image_s S + the feature's noise."""

    image_i: float
    image_s: float
    limit: float = Field(gt=0)
    features: dict[str, Feature]

    @model_validator(mode="after")
    def _complete(self) -> "ImageModel":
        if tuple(self.features) != FEATURES:
            message = f"features must be {', '.join(FEATURES)}, in this order"
            raise ValueError(message)
        return self


class LogNormal(Frozen):
    """A log-normal number, clipped to its range."""

    middle: float = Field(gt=0)
    log_sd: float = Field(ge=0)
    range: Pair


class LesionModel(Frozen):
    """The lesion apart from its features; nothing here depends on S, I or K."""

    diameter_mm: LogNormal
    plain_margin: float = Field(ge=0)
    plain_texture: float = Field(ge=0)
    degrees: tuple[int, int]
    harmonics: int = Field(ge=1)
    axis_log_sd: float = Field(ge=0)
    wavelength_mm: Pair
    waves: int = Field(ge=1)
    halo_mm: Pair
    edge_mm: Pair
    depth: float = Field(gt=0, lt=1)


class BodyModel(Frozen):
    """Ranges of the patient's body (millimetres) and of the liver's vessels and unevenness."""

    standard_mm: Pair
    half_width_mm: Pair
    half_depth_mm: Pair
    fat_mm: Pair
    wall_mm: Pair
    bend_mm: Pair
    bend_wavelength_mm: Pair
    vessel_width: Pair
    vessel_wavelength_mm: Pair
    mottle: Pair
    mottle_wavelength_mm: Pair
    level_log_sd: float = Field(ge=0)


class Levels(Frozen):
    """Intensity of a tissue in each phase."""

    pre: float = Field(ge=0)
    hbp: float = Field(ge=0)

    def of(self, phase: str) -> float:
        """Intensity in phase ``pre`` or ``hbp``."""
        return {"pre": self.pre, "hbp": self.hbp}[phase]


class Organ(Levels):
    """An ellipsoid in the standard body, millimetres."""

    centre: Triple
    radii: Triple
    shift_sd: float = Field(ge=0)
    size_sd: float = Field(ge=0)


class ScanModel(Frozen):
    """The scanner and the patient's position: independent of the grade."""

    gain_log_sd: float = Field(ge=0)
    noise: Pair
    bias: Pair
    bias_wavelength_mm: Pair
    spacing_jitter: float = Field(ge=0, lt=0.5)
    position_mm: Triple
    shift_mm: Pair
    turn_degrees: float = Field(ge=0)
    breath_mm: float = Field(ge=0)
    breath_wavelength_mm: Pair


class Missing(Frozen):
    """Share of generated items left blank."""

    share: float = Field(ge=0, lt=1)


class Grid(Frozen):
    """Voxels and millimetres per voxel along x, y and z."""

    shape: tuple[int, int, int]
    spacing_mm: Triple


class Grids(Frozen):
    """Grids of the phases of one preset."""

    pre: Grid
    hbp: Grid

    def of(self, phase: str) -> Grid:
        """Grid of phase ``pre`` or ``hbp``."""
        return {"pre": self.pre, "hbp": self.hbp}[phase]


class _Generator(Frozen):
    """What every preset shares."""

    version: int
    latents: LatentModel
    image: ImageModel
    lesion: LesionModel
    body: BodyModel
    organs: dict[str, Organ]
    tissues: dict[str, Levels]
    scan: ScanModel
    missing: Missing
    items: dict[str, Item]


class MriParameters(_Generator):
    """Everything that the generator of MRI exams needs for one preset."""

    preset: str
    grids: Grids


class MriParameterFile(_Generator):
    """``simulation_mri.toml`` as it stands on disk."""

    presets: dict[str, Grids]


OVERRIDES = {
    **{name: ("latents", name) for name in ("rho", "weight_s", "weight_i", "weight_k")},
    **{name: ("image", name) for name in ("image_s", "image_i")},
}
"""Parameters that a caller may change, and where they stand."""


def load_mri_parameters(preset: str, overrides: dict[str, float | int] | None = None) -> MriParameters:
    """Read the parameters of one preset.

    Parameters
    ----------
    preset : {"tiny", "demo", "mri", "paper"}
        They differ in the grids only.
    overrides : dict, optional
        ``rho``, ``weight_s``, ``weight_i``, ``weight_k``, ``image_s``, ``image_i``. With ``weight_s`` and
        ``weight_i`` 0 the grade depends on K (and chance) alone, and the images tell nothing about it.

    Raises
    ------
    InputError
        Unknown preset or override, or a value out of range.
    ConfigError
        If the file is malformed.
    """
    shipped = parse_toml(_file(), MriParameterFile)
    if preset not in shipped.presets:
        raise InputError(f"preset {preset}", "has no MRI", f"Use one of {', '.join(sorted(shipped.presets))}.")
    content: dict[str, Any] = shipped.model_dump()
    content["grids"] = content.pop("presets")[preset]
    content["preset"] = preset
    for name, value in (overrides or {}).items():
        if name not in OVERRIDES:
            raise InputError(f"override {name}", "is unknown", f"Use one of {', '.join(sorted(OVERRIDES))}.")
        section, key = OVERRIDES[name]
        content[section][key] = value
    try:
        return MriParameters.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        raise InputError("simulation override", problems, "Give a value in range.") from error


def item_names() -> tuple[str, ...]:
    """Return the 52 items in the order of item set ``mri52``, the networks' inputs."""
    path = resource_folder("data_catalog") / "item_sets" / "mri52.toml"
    return tuple(tomllib.loads(path.read_text(encoding="utf-8"))["items"])


def stream(seed: Seed, *code: int) -> np.random.Generator:
    """Return the generator of random numbers of one purpose."""
    first = [seed] if isinstance(seed, int) else list(seed)
    return np.random.default_rng([*first, *code])


def _file() -> Path:
    path = resource_folder("data_catalog") / "simulation_mri.toml"
    if not path.is_file():
        raise ConfigError(str(path), "is missing from this installation", "Reinstall the package.")
    return path
