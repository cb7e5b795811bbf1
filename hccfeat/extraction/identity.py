"""What makes a feature set the same feature set: encoder, weights, preprocessing, dimension, dtype."""

import json
from dataclasses import dataclass
from typing import Any

from hccfeat.config import Recipe
from hccfeat.files import sha256_of

TRAINING_VERSION = 1
"""Raised when training changes so that equal inputs give other weights."""


@dataclass(frozen=True)
class FeatureSet:
    """A row of the catalog's table ``feature_set``."""

    name: str
    base: str
    version: int
    fold: int | None
    sha256: str
    weights_sha256: str
    dim: int
    recipe: Recipe


def feature_set_sha256(recipe: Recipe, weights_sha256: str, dim: int) -> str:
    """Identity of a feature set.

    Parameters
    ----------
    recipe : Recipe
        Its preprocessing and encoder count; how the encoder was trained shows in the weights.
    weights_sha256 : str
        Hash of the weights file.
    dim : int
        Length of one vector.
    """
    return sha256_of(
        {
            "preprocessing": recipe.preprocessing(),
            "encoder": recipe.encoder.model_dump(mode="json", exclude={"trunk_weights"}),
            "weights": weights_sha256,
            "dim": dim,
            "dtype": "float32",
        }
    )


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


def feature_set_row(feature_set: FeatureSet, *, simulated: bool) -> dict[str, Any]:
    """Return the row of table ``feature_set``."""
    recipe = feature_set.recipe
    return {
        "feature_set": feature_set.name,
        "base": feature_set.base,
        "version": feature_set.version,
        "sha256": feature_set.sha256,
        "encoder": recipe.encoder.name,
        "weights_sha256": feature_set.weights_sha256,
        "dim": feature_set.dim,
        "dtype": "float32",
        "recipe": json.dumps(recipe.model_dump(mode="json"), sort_keys=True),
        "preprocessing_sha256": recipe.preprocessing_sha256(),
        "simulated": simulated,
        "fold": feature_set.fold,
    }


def feature_set_from_row(row: dict[str, Any]) -> FeatureSet:
    """Return the feature set of a row of table ``feature_set``."""
    return FeatureSet(
        name=row["feature_set"],
        base=row["base"],
        version=row["version"],
        fold=row["fold"],
        sha256=row["sha256"],
        weights_sha256=row["weights_sha256"],
        dim=row["dim"],
        recipe=Recipe.model_validate_json(row["recipe"]),
    )
