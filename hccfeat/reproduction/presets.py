"""How much of a paper's study is run: a preset names the models, subsets, folds and sizes."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from hccfeat.config import Frozen, Recipe, SubsetName, load_named, load_recipe, problems_of
from hccfeat.errors import ConfigError

ALL_SUBSETS: tuple[SubsetName, ...] = ("1/4", "1/3", "1/2", "2/3", "3/4", "1/1")


class ModelEntry(Frozen):
    """A model of Table 2: what differs from the preset's recipe, and which cells are run."""

    label: str = Field(description="name in every table; a row of the paper has the paper's name")
    recipe: str | None = Field(None, description="another recipe than the preset's, for instance of a timm encoder")
    encoder: str | None = Field(None, description="encoder name; the label by default, with `recipe` unset")
    options: dict[str, bool | int | float | str] = Field(default_factory=dict, description="replace its options")
    training: dict[str, Any] = Field(default_factory=dict, description="keys of [training] that differ")
    subsets: tuple[SubsetName, ...] = ALL_SUBSETS
    folds: tuple[int, ...] = (1, 2, 3, 4, 5)
    final: bool = Field(False, description="also train on all folds and judge on the held-out part")


class Preset(Frozen):
    """A preset of ``hccfeat reproduce recurrence``."""

    name: str
    title: str
    reduced: bool = Field(description="whether the report says everywhere that this is not the whole study")
    recipe: str | None = Field(None, description="feature-set recipe of the chosen model; the study's own if unset")
    features: str = Field("pps", description="feature set of the chosen model")
    models: tuple[ModelEntry, ...]
    chosen: str = "cnn_sasm"
    baseline: str = Field("resnet18", description="compared with the chosen model in the subset figures")
    folds: int = Field(5, ge=2, le=20, description="folds of the cross-validation inside the subsets")
    test_fraction: float = Field(0.1, gt=0, lt=1, description="of the subsets, held out once (P1 reading 17)")
    seed: int = 2023
    external_per_class: int = Field(7, ge=1, description="patients of each class in the strict external subset")
    external_patches: int = Field(65, ge=1, description="patches drawn from each external slide (P1 reading 22)")
    end_to_end: bool = True
    risk_map_slides: int = Field(2, ge=1, description="slides of each outcome with a risk map")
    risk_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8)
    embedding_patches: int = Field(2000, ge=50, description="patches drawn for PCA and t-SNE")
    precision: Literal["auto", "float32", "bf16"] = "auto"

    def entry(self, label: str) -> ModelEntry:
        """Give the entry of a model.

        Raises
        ------
        ConfigError
            If the preset does not name it.
        """
        for entry in self.models:
            if entry.label == label:
                return entry
        known = ", ".join(entry.label for entry in self.models)
        raise ConfigError(f"preset {self.name}", f"has no model {label}", f"Its models: {known}.")

    def base_recipe(self, study: Path, study_recipe: str) -> Recipe:
        """Recipe of the chosen model."""
        return load_recipe(self.recipe or study_recipe, study)

    def cell_recipe(self, label: str, subset: SubsetName, study: Path, study_recipe: str) -> Recipe:
        """Recipe of one cell: the preset's, with the model's encoder and training and the subset.

        Raises
        ------
        ConfigError
            If a key of ``training`` is unknown or out of range.
        """
        entry = self.entry(label)
        base = self.base_recipe(study, study_recipe) if entry.recipe is None else load_recipe(entry.recipe, study)
        fields = base.model_dump(mode="json")
        fields["name"] = f"{base.name}-{label}"
        if entry.recipe is None and label != self.chosen:
            weights = fields["encoder"]["trunk_weights"]
            fields["encoder"] = {"name": entry.encoder or label, "trunk_weights": weights}
        if entry.options:
            fields["encoder"]["options"] = dict(entry.options)
        fields["training"] |= {"precision": self.precision, **entry.training, "subset": subset}
        try:
            return Recipe.model_validate(fields)
        except ValidationError as error:
            entity = f"preset {self.name}, model {label}"
            raise ConfigError(entity, problems_of(error), "Correct the keys named.") from error


def load_preset(name: str, study: Path | None = None) -> Preset:
    """Read a preset by name, the study's own (``data_catalog/reproduction/``) before the shipped ones.

    Raises
    ------
    ConfigError
        If there is none of this name, or it is malformed.
    """
    return load_named("preset", "reproduction", name, Preset, study)
