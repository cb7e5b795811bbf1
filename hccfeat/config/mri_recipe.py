"""The recipe of a feature set of MRI exams: volumes, CMD-Net and its training (P2)."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hccfeat.config.files import Frozen, load_named
from hccfeat.config.recipe import PrognosticRecipe
from hccfeat.files import sha256_of

PHASES = ("pre", "hbp")
"""Phases of an exam in the order of every array: before contrast, and hepatobiliary."""

GRADES = ("M0", "M1", "M2")
"""Grades of microvascular invasion in the order of every probability (P2)."""

Phase = Literal["pre", "hbp"]


class VolumeRecipe(Frozen):
    """How a volume becomes the network's input (P2 reading 10).

    Axes are z, y, x: to the head, to the front, to the patient's right, as RAS has them.
    """

    orientation: Literal["RAS"] = "RAS"
    spacing_mm: tuple[float, float, float] = Field((4.0, 2.0, 2.0), description="millimetres per voxel: z, y, x")
    shape: tuple[int, int, int] = Field((32, 96, 96), description="voxels: z, y, x")
    body_threshold: Literal["otsu"] = Field("otsu", description="how body is told from air")
    normalisation: Literal["z-score in the body"] = "z-score in the body"
    clip_sd: float = Field(5.0, gt=0, description="z-scores beyond this many SD are clipped")
    centre: tuple[Literal["lesion", "liver", "body"], ...] = Field(
        ("lesion", "liver", "body"), description="what the crop is centred on: the first of these that is given"
    )

    @field_validator("spacing_mm", "shape")
    @classmethod
    def _positive(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if any(number <= 0 for number in value):
            message = "must be above zero"
            raise ValueError(message)
        return value


class CmdNetRecipe(Frozen):
    """CMD-Net's networks (P2 readings 1-9)."""

    channels: tuple[int, int, int, int] = Field((64, 128, 256, 256), description="of blocks and clinical layers")
    stream_dim: int = Field(512, ge=8, description="length of Z of one phase")
    hidden: int = Field(256, ge=8, description="of the teacher's two-layer head")
    attention: Literal["vector", "map", "none"] = "vector"
    ca_softmax: bool = Field(True, description="false: equations 2 and 3 as printed")
    ca_residual: bool = Field(True, description="false: equations 2 and 3 as printed")
    clinical_dropout: float = Field(0.1, ge=0, lt=1)


class MriTrainingRecipe(Frozen):
    """Joint training of teacher and student (P2 readings 12-18)."""

    gamma: float = Field(2.0, ge=0, description="focal loss")
    class_weights: bool = Field(False, description="weigh classes by inverse frequency in the training patients")
    lambda_class: float = Field(1.0, ge=0, description="weight of the class-level KL")
    beta_feature: float = Field(1.0, ge=0, description="weight of the feature-level KL")
    lambda_clinical: float = Field(0.0, ge=0, description="weight of the optional reconstruction of the items")
    staged: bool = Field(False, description="train the teacher first and freeze it")
    optimiser: Literal["adam"] = "adam"
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(1e-5, ge=0)
    schedule: Literal["cosine"] = "cosine"
    batch_size: int = Field(8, ge=2)
    epochs: int = Field(100, ge=1, description="fixed: nothing is selected on held-out patients (P2 reading 20)")
    precision: Literal["auto", "float32", "bf16"] = "auto"
    seed: int = 2023


class MriRecipe(Frozen):
    """Everything that makes an MRI feature set what it is, except the trained weights.

    A shipped recipe is a file of ``data_catalog/feature_sets/`` with ``modality = "mri"``; a study's own lies in
    its folder ``data_catalog/feature_sets/``.
    """

    name: str
    title: str = ""
    modality: Literal["mri"] = "mri"
    items: str = Field("mri52", description="item set of data_catalog/item_sets/ that the teacher is given")
    volumes: VolumeRecipe = VolumeRecipe()
    network: CmdNetRecipe = CmdNetRecipe()
    training: MriTrainingRecipe = MriTrainingRecipe()
    prognostic: PrognosticRecipe = PrognosticRecipe()

    @model_validator(mode="after")
    def _fits(self) -> "MriRecipe":
        if min(self.volumes.shape) < 4:
            message = "volumes.shape must be at least 4 voxels a side"
            raise ValueError(message)
        return self

    def preprocessing(self) -> dict[str, Any]:
        """Return the fields that decide which voxels reach the network."""
        return self.model_dump(mode="json", include={"volumes"})

    def preprocessing_sha256(self) -> str:
        """Identity of the preprocessing: the key of prepared volumes."""
        return sha256_of(self.preprocessing())


def load_mri_recipe(name: str, study: Path | None = None) -> MriRecipe:
    """Read an MRI recipe by name, the study's own before the shipped ones.

    Raises
    ------
    ConfigError
        If no such recipe exists, or it is malformed or a recipe of slides.
    """
    return load_named("recipe", "feature_sets", name, MriRecipe, study)
