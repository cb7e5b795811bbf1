"""Registering a feature set with its model folder and everyone who shaped its encoder."""

import hashlib
import json
import platform
import shutil
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hccfeat.config import Recipe
from hccfeat.errors import ConfigError
from hccfeat.extraction import feature_sets
from hccfeat.extraction.encoder import TrainingPlan
from hccfeat.extraction.identity import FeatureSet, feature_set_row, feature_set_sha256
from hccfeat.files import write_text_atomically
from hccfeat.models.weights import read_metadata, save_weights
from hccfeat.store.committer import Committer
from hccfeat.training.encoder import TrainedEncoder, load_encoder

PACKAGES = (
    "hccfeat", "torch", "torchvision", "timm", "lightning", "h5py", "duckdb", "polars", "numpy", "scikit-learn",
    "scikit-survival", "xgboost", "lifelines", "statsmodels", "openslide-python",
)  # fmt: skip


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
    """Publish trained weights as a new feature set version.

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
    return _register(study, committer, base, recipe, trained.weights, fold, roles, facts, simulated=simulated)


def register_given_weights(
    study: Path, committer: Committer, base: str, recipe: Recipe, weights: Path
) -> FeatureSet:
    """Publish given weights as a feature set.

    A file that hccfeat wrote carries the recipe it was trained with, which then replaces ``recipe``.
    Patients of this study whose hashed ids stand in the file's metadata count as seen by the encoder.

    Raises
    ------
    ConfigError
        If the file does not exist or does not fit the recipe's encoder.
    """
    if not weights.is_file():
        raise ConfigError(str(weights), "does not exist", "Give a safetensors file with --weights.")
    metadata = read_metadata(weights)
    if "recipe" in metadata:
        recipe = Recipe.model_validate(metadata["recipe"])
    seen = set(metadata.get("seen_patients", []))
    ids = committer.query("SELECT patient_id FROM patient")["patient_id"]
    roles = {patient: "trained" for patient in ids if hashed_id(patient) in seen}
    facts = {"given_weights": weights.name, "seen_patients_known": "seen_patients" in metadata}
    simulated = bool(metadata.get("simulated", False))
    return _register(study, committer, base, recipe, weights, None, roles, facts, simulated=simulated)


def _register(
    study: Path,
    committer: Committer,
    base: str,
    recipe: Recipe,
    weights: Path,
    fold: int | None,
    roles: dict[str, str],
    facts: dict[str, Any],
    *,
    simulated: bool,
) -> FeatureSet:
    encoder = load_encoder(weights, recipe)
    number = feature_sets.next_version(study, base, fold)
    name = f"{base}-{number}" if fold is None else f"{base}-{number}-fold{fold}"
    folder = study / "models" / name
    seen = {hashed_id(patient) for patient in roles} | set(read_metadata(weights).get("seen_patients", []))
    # The seen patients travel with the file, hashed, so that another study can refuse to judge on them.
    metadata = {"recipe": recipe.model_dump(mode="json"), "seen_patients": sorted(seen), "simulated": simulated}
    sha256 = save_weights(folder / "weights.safetensors", encoder, metadata)
    dim = int(encoder.embedding_dim)
    identity = feature_set_sha256(recipe, sha256, dim)
    feature_set = FeatureSet(name, base, number, fold, identity, sha256, dim, recipe)
    known = feature_sets.by_identity(study, base, feature_set.sha256)
    if known is not None:
        shutil.rmtree(folder)
        return known
    document = {"feature_set": name, "recipe": recipe.model_dump(mode="json"), "weights_sha256": sha256, **facts}
    write_text_atomically(folder / "recipe.json", json.dumps(document, indent=1, sort_keys=True) + "\n")
    committer.record(
        "feature_sets",
        name,
        {
            "feature_set": [feature_set_row(feature_set, simulated=simulated)],
            "feature_set_patient": [
                {"feature_set": name, "patient_id": patient, "role": role}
                for patient, role in sorted(roles.items())
            ],
            "model_file": [
                {"model": name, "feature_set": name, "path": f"models/{name}/weights.safetensors", "sha256": sha256}
            ],
        },
    )
    committer.publish()
    return feature_set


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
