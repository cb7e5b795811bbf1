"""What makes a feature set the same feature set: network, weights, preprocessing, output, dimension, dtype."""

import json
from dataclasses import dataclass
from typing import Any

from hccfeat.config import ImportedRecipe, MriRecipe, Recipe
from hccfeat.errors import InputError
from hccfeat.files import sha256_of

TRAINING_VERSION = 1
"""Raised when training on slides changes so that equal inputs give other weights."""

MRI_TRAINING_VERSION = 1
"""The same for MRI exams."""

AnyRecipe = Recipe | MriRecipe
"""How a network of slides or of MRI exams is made."""

EMBEDDING = "embedding"
"""What of a network is stored: what its head is given."""

IMAGE_MODALITY = {"slides": "slide", "mri": "mri", "imported": "slide"}
"""Modality of a recipe -> of the images (and feature sets) in the catalog."""


@dataclass(frozen=True)
class FeatureSet:
    """A row of the catalog's table ``feature_set``.

    ``output`` is ``embedding``, or for MRI exams also ``z_pre`` or ``z_hbp``: Z of one phase, before the cross
    attention (P2 equation 5).
    """

    name: str
    base: str
    version: int
    fold: int | None
    sha256: str
    weights_sha256: str
    dim: int
    recipe: AnyRecipe | ImportedRecipe
    output: str = EMBEDDING

    @property
    def modality(self) -> str:
        """``slide`` or ``mri``."""
        return IMAGE_MODALITY[self.recipe.modality]

    @property
    def slide_recipe(self) -> Recipe:
        """Recipe of a feature set of slides.

        Raises
        ------
        InputError
            If it is one of MRI exams, or was imported.
        """
        if isinstance(self.recipe, Recipe):
            return self.recipe
        if isinstance(self.recipe, ImportedRecipe):
            problem = f"was imported ({self.recipe.format}): its network and its patches are not known here"
            raise InputError(f"feature set {self.name}", problem, "Name one that `hccfeat extract` made.")
        raise InputError(f"feature set {self.name}", "is of MRI exams, not of slides", "Name one of slides.")

    @property
    def mri_recipe(self) -> MriRecipe:
        """Recipe of a feature set of MRI exams.

        Raises
        ------
        InputError
            If it is one of slides.
        """
        if isinstance(self.recipe, MriRecipe):
            return self.recipe
        raise InputError(f"feature set {self.name}", "is of slides, not of MRI exams", "Name one of MRI exams.")


def feature_set_sha256(recipe: AnyRecipe, weights_sha256: str, dim: int, output: str = EMBEDDING) -> str:
    """Identity of a feature set.

    Parameters
    ----------
    recipe : Recipe or MriRecipe
        Its preprocessing and network count; how the network was trained shows in the weights.
    weights_sha256 : str
        Hash of the weights file.
    dim : int
        Length of one vector.
    output : str
        What of the network is stored.
    """
    facts: dict[str, Any] = {
        "preprocessing": recipe.preprocessing(),
        "weights": weights_sha256,
        "dim": dim,
        "dtype": "float32",
    }
    if isinstance(recipe, MriRecipe):
        return sha256_of(facts | {"network": recipe.network.model_dump(mode="json"), "output": output})
    encoder = recipe.encoder.model_dump(mode="json", exclude={"trunk_weights", "trunk_precision"})
    if recipe.encoder.trunk_precision == "bf16":  # float32 has the identity it had before there was a choice
        facts["trunk_precision"] = "bf16"
    return sha256_of(facts | {"encoder": encoder})


def training_sha256(recipe: Recipe, images: list[dict[str, Any]], device_kind: str) -> str:
    """Identity of a training: recipe, the images with their content and label, and the kind of device."""
    return sha256_of(
        {
            "version": TRAINING_VERSION,
            "recipe": {
                **recipe.model_dump(mode="json", exclude={"name", "title", "prognostic"}),
                "encoder": recipe.encoder.identity(),
            },
            "images": images,
            "device": device_kind,
        }
    )


def mri_training_sha256(recipe: MriRecipe, exams: list[dict[str, Any]], device_kind: str) -> str:
    """Identity of a training on exams, each with its content, grade and clinical items."""
    return sha256_of(
        {
            "version": MRI_TRAINING_VERSION,
            "recipe": recipe.model_dump(mode="json", exclude={"name", "title", "prognostic"}),
            "exams": exams,
            "device": device_kind,
        }
    )


def feature_set_row(feature_set: FeatureSet, *, encoder: str, simulated: bool) -> dict[str, Any]:
    """Return the row of table ``feature_set``."""
    recipe = feature_set.recipe
    return {
        "feature_set": feature_set.name,
        "base": feature_set.base,
        "version": feature_set.version,
        "sha256": feature_set.sha256,
        "encoder": encoder,
        "weights_sha256": feature_set.weights_sha256 or None,
        "dim": feature_set.dim,
        "dtype": "float32",
        "recipe": json.dumps(recipe.model_dump(mode="json"), sort_keys=True),
        "preprocessing_sha256": recipe.preprocessing_sha256(),
        "simulated": simulated,
        "fold": feature_set.fold,
        "modality": feature_set.modality,
        "output": feature_set.output,
    }


def feature_set_from_row(row: dict[str, Any]) -> FeatureSet:
    """Return the feature set of a row of table ``feature_set``."""
    return FeatureSet(
        name=row["feature_set"],
        base=row["base"],
        version=row["version"],
        fold=row["fold"],
        sha256=row["sha256"],
        weights_sha256=row["weights_sha256"] or "",
        dim=row["dim"],
        recipe=recipe_from_json(row["recipe"]),
        output=row.get("output") or EMBEDDING,
    )


def recipe_from_json(text: str) -> AnyRecipe | ImportedRecipe:
    """Recipe of either modality, or the origin of imported vectors; a recipe of slides does not name its own."""
    fields = json.loads(text)
    if fields.get("modality") == "imported":
        return ImportedRecipe.model_validate(fields)
    if fields.get("modality") == "mri":
        return MriRecipe.model_validate(fields)
    recipe = Recipe.model_validate(fields)
    # a row from before there was a choice
    return recipe.with_trunk_precision("float32") if recipe.encoder.trunk_precision == "auto" else recipe
