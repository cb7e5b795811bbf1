"""Registering a feature set with its model folder and everyone who shaped its network."""

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from hccfeat.config import Recipe
from hccfeat.errors import ConfigError
from hccfeat.extraction import feature_sets
from hccfeat.extraction.encoder import TrainingPlan
from hccfeat.extraction.identity import EMBEDDING, AnyRecipe, FeatureSet, feature_set_row, feature_set_sha256
from hccfeat.files import write_text_atomically
from hccfeat.models.weights import read_metadata, save_weights
from hccfeat.store.committer import Committer
from hccfeat.training.encoder import TrainedEncoder, load_encoder
from hccfeat.training.precision import PrecisionCheck

Check = Callable[[Recipe, nn.Module], PrecisionCheck]
"""Compares a trained network of slides in two precisions."""

PACKAGES = (
    "hccfeat", "torch", "torchvision", "timm", "lightning", "h5py", "duckdb", "polars", "numpy", "scikit-learn",
    "scikit-survival", "xgboost", "lifelines", "statsmodels", "openslide-python", "monai", "nibabel", "pydicom",
)  # fmt: skip


@dataclass(frozen=True)
class NewFeatureSet:
    """A feature set before it has a number.

    Attributes
    ----------
    base : str
        Name without version.
    recipe : Recipe or MriRecipe
        How it is made.
    encoder : str
        Name of the network.
    network : nn.Module
        With its trained weights.
    dim : int
        Length of one vector.
    roles : mapping
        Patient -> what they were for the network: trained, stopped or selected.
    facts : mapping
        Kept in ``recipe.json``.
    simulated : bool
        Whether the network has seen simulated patients.
    fold : int or None
        Outer fold whose patients it has not seen.
    version : int or None
        None takes the next.
    output : str
        What of the network is stored.
    seen_elsewhere : frozenset of str
        Hashed ids of patients that the weights have seen, of this study or not.
    about : mapping
        Facts that stay in the metadata of the weights file.
    teacher : nn.Module or None
        Published beside the network; nobody embeds with it.
    check : callable or None
        Whether a network of slides may embed with its trunk in bfloat16, asked where the recipe leaves it open;
        None where the device has no bfloat16.
    """

    base: str
    recipe: AnyRecipe
    encoder: str
    network: nn.Module
    dim: int
    roles: Mapping[str, str]
    facts: Mapping[str, Any]
    simulated: bool
    fold: int | None = None
    version: int | None = None
    output: str = EMBEDDING
    seen_elsewhere: frozenset[str] = frozenset()
    about: Mapping[str, Any] = field(default_factory=dict)
    teacher: tuple[nn.Module, Mapping[str, Any]] | None = None
    check: Check | None = None

    def metadata(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Metadata of a weights file: the seen patients travel with it, hashed, for another study to respect."""
        seen = {hashed_id(patient) for patient in self.roles} | self.seen_elsewhere
        # in which precision somebody embeds with them is none of the weights'
        recipe = self.recipe.model_dump(mode="json", exclude={"encoder": {"trunk_precision"}})
        own = {"recipe": recipe, "simulated": self.simulated}
        return {**about, **own, "seen_patients": sorted(seen)}


def register(study: Path, committer: Committer, new: NewFeatureSet) -> FeatureSet:
    """Publish weights and record them as a feature set; one with the same identity is returned as it is."""
    number = feature_sets.next_version(committer.query, new.base, new.fold) if new.version is None else new.version
    name = f"{new.base}-{number}" if new.fold is None else f"{new.base}-{number}-fold{new.fold}"
    folder = study / "models" / name
    sha256 = save_weights(folder / "weights.safetensors", new.network, new.metadata(new.about))
    for possible in _settled_recipes(new.recipe):
        identity = feature_set_sha256(possible, sha256, new.dim, new.output)
        known = feature_sets.by_identity(committer.query, new.base, identity)
        if known is not None:
            shutil.rmtree(folder)
            return known
    recipe, checked = _settled(new)
    identity = feature_set_sha256(recipe, sha256, new.dim, new.output)
    feature_set = FeatureSet(name, new.base, number, new.fold, identity, sha256, new.dim, recipe, output=new.output)
    files = [{"model": name, "feature_set": name, "path": f"models/{name}/weights.safetensors", "sha256": sha256}]
    if new.teacher is not None:
        teacher, about = new.teacher
        sha256 = save_weights(folder / "teacher.safetensors", teacher, new.metadata(about))
        path = f"models/{name}/teacher.safetensors"
        files.append({"model": f"{name}-teacher", "feature_set": name, "path": path, "sha256": sha256})
    document = {
        "feature_set": name,
        "recipe": recipe.model_dump(mode="json"),
        "weights_sha256": feature_set.weights_sha256,
        **new.facts,
        **checked,
    }
    write_text_atomically(folder / "recipe.json", json.dumps(document, indent=1, sort_keys=True) + "\n")
    committer.record(
        "feature_sets",
        name,
        {
            "feature_set": [feature_set_row(feature_set, encoder=new.encoder, simulated=new.simulated)],
            "feature_set_patient": [
                {"feature_set": name, "patient_id": patient, "role": role}
                for patient, role in sorted(new.roles.items())
            ],
            "model_file": files,
        },
    )
    committer.publish()
    return feature_set


def _settled_recipes(recipe: AnyRecipe) -> list[AnyRecipe]:
    """Recipes that a feature set of this one may have: its trunk's precision is open, or nothing is."""
    if not isinstance(recipe, Recipe) or recipe.encoder.trunk_precision != "auto":
        return [recipe]
    return [recipe.with_trunk_precision("float32"), recipe.with_trunk_precision("bf16")]


def _settled(new: NewFeatureSet) -> tuple[AnyRecipe, dict[str, Any]]:
    """Settle the trunk's precision; also what ``recipe.json`` keeps about it."""
    float32, *lower = _settled_recipes(new.recipe)
    if not lower or new.check is None or not isinstance(new.recipe, Recipe):
        return float32, {}
    check = new.check(new.recipe, new.network)
    return lower[0] if check.passed else float32, {"trunk_precision": check.facts()}


def register_trained(
    study: Path,
    committer: Committer,
    base: str,
    recipe: Recipe,
    plan: TrainingPlan,
    trained: TrainedEncoder,
    fold: int | None,
    *,
    simulated: bool,
    check: Check | None,
) -> FeatureSet:
    """Publish trained weights of slides as a new feature set version.

    Its record names every patient whose images trained the encoder, stopped it, or whose outcome set the
    thresholds of the denoised subset (role ``selected``).
    """
    roles = dict.fromkeys(plan.considered, "selected")
    roles.update(dict.fromkeys(trained.patients_trained, "trained"))
    roles.update(dict.fromkeys(trained.patients_stopped, "stopped"))
    facts = {
        "training_sha256": plan.sha256,
        "subset": recipe.training.subset,
        "subset_patients": len(plan.subset.ids),
        "considered_patients": len(plan.considered),
        "censored_in_subset": plan.subset.censored,
        "history": trained.history,
        "best_epoch": trained.best_epoch,
        "stopped_epoch": trained.stopped_epoch,
    }
    new = _of_slides(base, recipe, trained.weights, roles, facts, simulated=simulated, fold=fold)
    return register(study, committer, replace(new, check=check))


def register_given_weights(
    study: Path,
    committer: Committer,
    base: str,
    recipe: Recipe,
    weights: Path,
    *,
    check: Check | None,
) -> FeatureSet:
    """Publish given weights of slides as a feature set.

    A file that hccfeat wrote carries the recipe it was trained with, which then replaces ``recipe`` but for the
    precision of the trunk.
    Patients of this study whose hashed ids stand in the file's metadata count as seen by the encoder.

    Raises
    ------
    ConfigError
        If the file does not exist, is of MRI exams, or does not fit the recipe's encoder.
    """
    metadata = given_metadata(weights)
    if metadata.get("kind") == "mri":
        raise ConfigError(str(weights), "holds a network of MRI exams", "Add --modality mri.")
    if "recipe" in metadata:
        trained = Recipe.model_validate(metadata["recipe"])
        encoder = trained.encoder.model_copy(update={"trunk_precision": recipe.encoder.trunk_precision})
        recipe = trained.model_copy(update={"encoder": encoder})
    facts = {"given_weights": weights.name, "seen_patients_known": "seen_patients" in metadata}
    simulated = bool(metadata.get("simulated", False))
    roles = known_patients(committer, metadata)
    new = _of_slides(base, recipe, weights, roles, facts, simulated=simulated)
    return register(study, committer, replace(new, check=check))


def _of_slides(
    base: str,
    recipe: Recipe,
    weights: Path,
    roles: dict[str, str],
    facts: dict[str, Any],
    *,
    simulated: bool,
    fold: int | None = None,
) -> NewFeatureSet:
    encoder = load_encoder(weights, recipe)
    return NewFeatureSet(
        base=base,
        recipe=recipe,
        encoder=recipe.encoder.name,
        network=encoder,
        dim=int(encoder.embedding_dim),
        roles=roles,
        facts=facts,
        simulated=simulated,
        fold=fold,
        seen_elsewhere=frozenset(read_metadata(weights).get("seen_patients", [])),
    )


def given_metadata(weights: Path) -> dict[str, Any]:
    """Metadata of a file given with ``--weights``.

    Raises
    ------
    ConfigError
        If it does not exist.
    """
    if not weights.is_file():
        raise ConfigError(str(weights), "does not exist", "Give a safetensors file with --weights.")
    return read_metadata(weights)


def known_patients(committer: Committer, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Patients of this study that a weights file says it has seen, as ``trained``."""
    seen = set(metadata.get("seen_patients", []))
    ids = committer.query("SELECT patient_id FROM patient")["patient_id"]
    return {patient: "trained" for patient in ids if hashed_id(patient) in seen}


def hashed_id(patient_id: str) -> str:
    """Sixteen hex digits that stand for a patient outside the study."""
    return hashlib.sha256(f"hccfeat patient {patient_id}".encode()).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result; do not change it."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def run_row(command: str, started: float, settings: dict[str, Any]) -> dict[str, Any]:
    """Row of table ``run``; its id is the command and the start time."""
    start = datetime.fromtimestamp(started, UTC)
    return {
        "run_id": f"{command}-{start:%Y%m%dT%H%M%S%f}",
        "command": command,
        "started": start.isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
        "versions": json.dumps(versions(), sort_keys=True),
        "settings": json.dumps(settings, sort_keys=True),
    }
