"""Registering a feature set with its model folder and everyone who shaped its network."""

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
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

    def metadata(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Metadata of a weights file: the seen patients travel with it, hashed, for another study to respect."""
        seen = {hashed_id(patient) for patient in self.roles} | self.seen_elsewhere
        own = {"recipe": self.recipe.model_dump(mode="json"), "simulated": self.simulated}
        return {**about, **own, "seen_patients": sorted(seen)}


def register(study: Path, committer: Committer, new: NewFeatureSet) -> FeatureSet:
    """Publish weights and record them as a feature set; one with the same identity is returned as it is."""
    number = feature_sets.next_version(study, new.base, new.fold) if new.version is None else new.version
    name = f"{new.base}-{number}" if new.fold is None else f"{new.base}-{number}-fold{new.fold}"
    folder = study / "models" / name
    sha256 = save_weights(folder / "weights.safetensors", new.network, new.metadata(new.about))
    identity = feature_set_sha256(new.recipe, sha256, new.dim, new.output)
    known = feature_sets.by_identity(study, new.base, identity)
    if known is not None:
        shutil.rmtree(folder)
        return known
    feature_set = FeatureSet(
        name, new.base, number, new.fold, identity, sha256, new.dim, new.recipe, output=new.output
    )
    files = [{"model": name, "feature_set": name, "path": f"models/{name}/weights.safetensors", "sha256": sha256}]
    if new.teacher is not None:
        teacher, about = new.teacher
        sha256 = save_weights(folder / "teacher.safetensors", teacher, new.metadata(about))
        path = f"models/{name}/teacher.safetensors"
        files.append({"model": f"{name}-teacher", "feature_set": name, "path": path, "sha256": sha256})
    document = {
        "feature_set": name,
        "recipe": new.recipe.model_dump(mode="json"),
        "weights_sha256": feature_set.weights_sha256,
        **new.facts,
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
    return register(study, committer, new)


def register_given_weights(
    study: Path, committer: Committer, base: str, recipe: Recipe, weights: Path
) -> FeatureSet:
    """Publish given weights of slides as a feature set.

    A file that hccfeat wrote carries the recipe it was trained with, which then replaces ``recipe``.
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
        recipe = Recipe.model_validate(metadata["recipe"])
    facts = {"given_weights": weights.name, "seen_patients_known": "seen_patients" in metadata}
    simulated = bool(metadata.get("simulated", False))
    roles = known_patients(committer, metadata)
    return register(study, committer, _of_slides(base, recipe, weights, roles, facts, simulated=simulated))


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


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
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
