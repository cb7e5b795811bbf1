"""The recipe of a feature set of slides: everything that decides its vectors except the trained weights."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from hccfeat.config.files import Frozen, load_named
from hccfeat.files import sha256_of, sha256_of_file

SubsetName = Literal["1/4", "1/3", "1/2", "2/3", "3/4", "1/1"]


class PatchRecipe(Frozen):
    """How patches are cut (P1 readings 9, 22, 24)."""

    size_px: int = Field(224, ge=32, le=1024, description="side of a patch at target_mpp, pixels")
    target_mpp: float = Field(0.5, gt=0, le=16, description="micrometres per pixel of a patch")
    max_background: float = Field(0.5, ge=0, le=1, description="largest background share of a kept patch")
    per_image: int | None = Field(65, ge=1, description="seeded undersampling to this many; none keeps all")
    seed: int = 2023


class TissueRecipe(Frozen):
    """How tissue is told from glass and pen (on a thumbnail)."""

    thumbnail_mpp: float = Field(8.0, gt=0)
    min_saturation: float = Field(0.05, ge=0, le=1, description="floor of the Otsu threshold on saturation")
    min_area_um2: float = Field(2500.0, ge=0, description="smaller pieces of tissue are dropped")


class QualityRecipe(Frozen):
    """When a patch or an image is excluded (P1 reading 34d)."""

    min_tissue_fraction: float = Field(0.05, ge=0, le=1, description="an image with less has lost its tissue")
    max_blurred_fraction: float = Field(0.5, ge=0, le=1, description="an image with more is out of focus")
    min_focus: float = Field(
        0.002, ge=0, description="variance of the Laplacian of OD below which a patch is blurred"
    )


class StainRecipe(Frozen):
    """Vahadane normalisation to a fixed target that learns nothing from the study (P1 reading 24).

    The default target is the mean of four public H&E images of liver: unit optical-density vectors of haematoxylin
    and eosin, and the 99th percentiles of their concentrations.
    """

    method: Literal["vahadane", "none"] = "vahadane"
    lambda1: float = Field(0.1, ge=0)
    tissue_max_lightness: float = Field(80.0, gt=0, le=100, description="CIELAB L* below which a pixel is tissue")
    max_pixels: int = Field(100_000, ge=1000, description="tissue pixels drawn for the fit of one slide")
    seed: int = 2023
    target_vectors: tuple[tuple[float, float, float], tuple[float, float, float]] = (
        (0.5361, 0.7460, 0.3952),
        (0.3183, 0.8096, 0.4932),
    )
    target_concentrations: tuple[float, float] = (2.4, 1.3)


class EncoderRecipe(Frozen):
    """Which network embeds a patch; ``options`` go to :func:`hccfeat.models.create`."""

    name: str = "cnn_sasm"
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    trunk_weights: str = Field("imagenet", description="none, imagenet (timm's hub) or a safetensors file")
    # left out of every dump while it is the default, so that recipes from before it are the same recipes
    trunk_precision: Literal["auto", "float32", "bf16"] = Field(
        "auto",
        description="of embedding; auto is bf16 where the device has it and the trained encoder passes a check",
        exclude_if=lambda value: value == "auto",
    )

    def identity(self) -> dict[str, Any]:
        """Fields that decide the weights: a file of trunk weights counts by its content, not by its name."""
        fields = self.model_dump(mode="json", exclude={"trunk_precision"})
        path = Path(self.trunk_weights)
        if self.trunk_weights not in {"none", "imagenet"} and path.is_file():
            fields["trunk_weights"] = sha256_of_file(path)
        return fields


class AugmentationRecipe(Frozen):
    """P1's augmentation (P1 reading 12); a probability of 0 switches a step off."""

    horizontal_flip: float = Field(0.5, ge=0, le=1)
    vertical_flip: float = Field(0.5, ge=0, le=1)
    rotation_degrees: float = Field(90.0, ge=0, le=180)
    noise_probability: float = Field(0.5, ge=0, le=1)
    noise_sigma: float = Field(0.05, ge=0)
    erasing_probability: float = Field(0.25, ge=0, le=1)


class TrainingRecipe(Frozen):
    """Stage 1: CNN-SASM on denoised recurrence labels (P1 readings 5, 10, 11, 13, 14)."""

    subset: SubsetName = "1/2"
    deaths_only: bool = Field(False, description="short-survival ranks of the relapsed use observed deaths only")
    optimiser: Literal["adam"] = "adam"
    learning_rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    step_epochs: int = Field(10, ge=1)
    step_gamma: float = Field(0.1, gt=0, le=1)
    batch_size: int = Field(128, ge=2)
    max_epochs: int = Field(50, ge=1)
    patience: int = Field(5, ge=1)
    monitor: Literal["train_loss", "val_loss"] = "train_loss"
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="patients held out for monitor = val_loss")
    double_softmax: bool = Field(False, description="cross-entropy of softmax outputs, as the released code")
    precision: Literal["auto", "float32", "bf16"] = "auto"
    seed: int = 2023
    augmentation: AugmentationRecipe = AugmentationRecipe()


class PrognosticRecipe(Frozen):
    """Stage 2: the prognostic network on image-level PPS (docs/methods-recurrence.md, P1 readings 25, 26)."""

    variant: Literal["released", "paper"] = "released"
    learning_rate: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    step_epochs: int = Field(10, ge=1)
    step_gamma: float = Field(0.1, gt=0, le=1)
    batch_size: int = Field(128, ge=2)
    max_epochs: int = Field(50, ge=1)
    double_softmax: bool = False
    seed: int = 2023


class Recipe(Frozen):
    """Everything that makes a feature set what it is, except the trained weights.

    A shipped recipe is a file of ``data_catalog/feature_sets/``; a study's own lies in its folder
    ``data_catalog/feature_sets/``.
    """

    modality: ClassVar[str] = "slides"
    name: str
    title: str = ""
    patches: PatchRecipe = PatchRecipe()
    tissue: TissueRecipe = TissueRecipe()
    quality: QualityRecipe = QualityRecipe()
    stain: StainRecipe = StainRecipe()
    encoder: EncoderRecipe = EncoderRecipe()
    training: TrainingRecipe = TrainingRecipe()
    prognostic: PrognosticRecipe = PrognosticRecipe()

    def with_trunk_precision(self, precision: Literal["float32", "bf16"]) -> "Recipe":
        """Return the recipe with the precision that its encoder embeds in."""
        encoder = self.encoder.model_copy(update={"trunk_precision": precision})
        return self.model_copy(update={"encoder": encoder})

    def preprocessing(self) -> dict[str, Any]:
        """Return the fields that decide which pixels reach the encoder."""
        return self.model_dump(mode="json", include={"patches", "tissue", "quality", "stain"})

    def preprocessing_sha256(self) -> str:
        """Identity of the preprocessing: the key of prepared patches."""
        return sha256_of(self.preprocessing())


def load_recipe(name: str, study: Path | None = None) -> Recipe:
    """Read a feature-set recipe by name, the study's own before the shipped ones.

    Raises
    ------
    ConfigError
        If no such recipe exists, or it is malformed.
    """
    return load_named("recipe", "feature_sets", name, Recipe, study)
