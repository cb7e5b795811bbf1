"""The parameters of the evidence studies (``data_catalog/evidence.toml``) and the simulations they ask for."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hccfeat.config import Frozen, MriTrainingRecipe, SubsetName, parse_toml
from hccfeat.files import sha256_of
from hccfeat.resources import resource_folder
from hccfeat.simulation.parameters import Parameters, load_parameters

Count = Field(ge=1)
Share = Field(ge=0, le=1)


class StandIn(Frozen):
    """The tabular stand-in of the encoder, and how many patients it sees."""

    replicates: int = Count
    training_patients: int = Count
    held_out_patients: int = Count
    images_per_patient: int = Count
    features: int = Field(ge=4)
    c: float = Field(gt=0)


class Sensitivity(Frozen):
    """What one sensitivity analysis changes in the stand-in."""

    name: str
    c: float | None = None
    features: int | None = None
    training_patients: int | None = None

    def changes(self) -> dict[str, Any]:
        """The keys of :class:`StandIn` that differ."""
        return self.model_dump(exclude={"name"}, exclude_none=True)


class Exploratory(Frozen):
    """How many cohorts the arms get that were added later."""

    replicates: int = Count


class ImageStudy(Frozen):
    """Denoising through the real encoder: sizes, and what differs from the recipe."""

    seeds: tuple[int, ...]
    pi: float = Share
    gamma: tuple[float, ...]
    training_patients: int = Count
    held_out_patients: int = Count
    images_per_patient: int = Count
    width_px: int = Field(ge=64)
    recipe: str
    patches: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    epochs: int = Count
    step_epochs: int = Count
    bootstraps: int = Field(ge=100)


class Denoising(Frozen):
    """The denoising study."""

    pi: tuple[float, ...]
    gamma: tuple[float, ...]
    subset: SubsetName
    horizon_months: float = Field(gt=0)
    tabular: StandIn
    sensitivity: tuple[Sensitivity, ...]
    exploratory: Exploratory
    images: ImageStudy


class Treatment(Frozen):
    """The study of the treatment x risk interaction; ``replicates`` has one number for each size."""

    replicates: tuple[int, ...]
    patients: tuple[int, ...]
    pi: tuple[float, ...]
    b_az: tuple[float, ...]
    images_per_patient: int = Count
    population: int = Count
    population_seed: int


class Null(Frozen):
    """The study of false discovery."""

    replicates: int = Count
    pi: float = Share
    gamma: float
    subset: SubsetName
    training_patients: int = Count
    held_out_patients: tuple[int, ...]
    images_per_patient: int = Count
    features: int = Field(ge=4)
    c: float = Field(gt=0)
    horizon_months: float = Field(gt=0)
    bootstraps: int = Field(ge=100)
    coverage: tuple[float, float]


class HistologyStudy(Frozen):
    """The study of patch risks against the tissue that was drawn."""

    seeds: tuple[int, ...]
    pi: float = Field(ge=0, le=1, description="share of recurrence times that disease does not decide")
    patients: int = Field(ge=20, description="internal, two cores each")
    external_patients: int = Field(ge=3, description="a whole section each")
    width_px: int = Field(ge=128, description="of a core, at 1 um/px")
    recipe: str
    per_image: int = Field(ge=1, description="patches of an image; 16 are all of a section")
    bootstraps: int = Field(ge=100)


class Truth(Frozen):
    """What the grade follows: the simulator's weights, or those of some latents given to K."""

    name: str
    to_k: tuple[Literal["s", "i"], ...] = ()


class DistillationChange(Frozen):
    """What one sensitivity analysis changes in the stand-in of distillation."""

    name: str
    training: dict[str, Any] = Field(default_factory=dict)
    training_patients: int | None = Field(None, ge=2)


class DistillationStandIn(Frozen):
    """Distillation with small networks in place of CMD-Net."""

    replicates: int = Count
    training_patients: int = Count
    held_out_patients: int = Count
    truths: tuple[Truth, ...]
    features: int = Field(ge=2, description="of each phase; two follow the phase's signals, the rest is noise")
    hidden: int = Count
    stream: int = Count
    group: int = Field(ge=1, description="seeds that are trained at once")
    training: MriTrainingRecipe
    sensitivity: tuple[DistillationChange, ...] = ()
    bootstraps: int = Field(ge=100)

    def changed(self, change: DistillationChange) -> "DistillationStandIn":
        """The stand-in with one setting changed."""
        fields = self.model_dump(mode="json")
        fields["training"] |= change.training
        fields["training_patients"] = change.training_patients or self.training_patients
        return type(self).model_validate(fields)


class DistillationVolumes(Frozen):
    """Distillation with CMD-Net on rendered volumes: sizes, and what differs from the recipe."""

    seeds: tuple[int, ...]
    training_patients: int = Count
    held_out_patients: int = Count
    truths: tuple[Truth, ...]
    recipe: str
    volumes: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    bootstraps: int = Field(ge=100)


class DistillationStudy(Frozen):
    """The study of distillation."""

    tabular: DistillationStandIn
    volumes: DistillationVolumes


class Settings(Frozen):
    """``evidence.toml``."""

    version: int
    denoising: Denoising
    treatment: Treatment
    null: Null
    histology: HistologyStudy
    distillation: DistillationStudy


def load_settings() -> Settings:
    """Read the parameters of the studies."""
    return parse_toml(_file(), Settings)


def _file() -> Path:
    return resource_folder("data_catalog") / "evidence.toml"


@cache
def simulation(patients: int, pi: float, gamma: float, b_az: float | None = None) -> Parameters:
    """Parameters of an internal cohort of the paper's making with these outcomes; ``b_az`` None: the default."""
    overrides: dict[str, float | int] = {"pi": pi, "gamma": gamma}
    if b_az is not None:
        overrides["b_az"] = b_az
    parameters = load_parameters("paper", overrides)
    size = parameters.size("internal").model_copy(update={"patients": patients, "treated": -1})
    return parameters.model_copy(update={"sizes": parameters.sizes.model_copy(update={"internal": size})})


def identity(settings: Settings, **parameters: Any) -> dict[str, Any]:
    """What decides the replicates of a part: its parameters, the file's version, the generator's coefficients."""
    generator = simulation(1, 0.0, 0.0).model_dump(mode="json", exclude={"preset", "sizes"})
    return {"version": settings.version, "generator_sha256": sha256_of(generator), **parameters}
