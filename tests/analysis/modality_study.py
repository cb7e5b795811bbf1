"""A study with two image modalities, clinical items and a grade, written through the store's public functions."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.frozen import frozen_split
from hccfeat.cohort.items import load_items
from hccfeat.config import load_mri_recipe, load_recipe, load_study_config
from hccfeat.store.committer import Committer
from hccfeat.store.shards import Shard, write_shard
from hccfeat.study import Study, open_study

PATIENTS = 80
ITEMS = load_items("mri52").items
WIDTHS = {"pps": 12, "mri": 24}
SUFFIX = {"pps": ("_1", "slide"), "mri": ("-mri", "mri")}
SHA = "f" * 64
STUDY_FILE = (
    'name = "two"\nrecipe = "tiny"\n[split]\nfolds = 2\n[analysis]\nbootstraps = 100\nsubgroups = ["sex"]\n'
)


def make_study(
    folder: Path, *, recurrence: bool = True, folds: bool = False, items: tuple[str, ...] = ITEMS, seed: int = 3
) -> Study:
    """Patients whose grade is told by the items and by both images; patient 0 has no exam, patient 1 no slide."""
    folder.mkdir(parents=True)
    (folder / "hccfeat.toml").write_text(STUDY_FILE, encoding="utf-8")
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(PATIENTS, 3))
    score = latent @ [1.0, 1.2, 1.2] + 0.4 * rng.normal(size=PATIENTS)
    ids = [f"internal/P{k:03d}" for k in range(PATIENTS)]
    with Committer(folder) as committer:
        _ingest(committer, ids, latent[:, 0], score, rng, items, recurrence=recurrence)
        committer.publish()
        split = frozen_split(folder, committer, load_study_config(folder))
        roles = committer.query("SELECT patient_id, role, fold FROM split WHERE split = ?", [split])
        trains = {row["patient_id"]: row["fold"] for row in roles.to_dicts() if row["role"] == "train"}
        for fold in (None, 1, 2) if folds else (None,):
            seen = sorted(patient for patient, own in trains.items() if own != fold)
            for axis, base in enumerate(WIDTHS, start=1):
                _feature_set(folder, committer, base, fold, seen)
                vectors = latent[:, axis, None] * rng.normal(size=WIDTHS[base]) + rng.normal(
                    size=(PATIENTS, WIDTHS[base])
                )
                _embed(folder, committer, base, fold, ids, vectors.astype(np.float32))
    return open_study(folder)


def name_of(base: str, fold: int | None) -> str:
    return f"{base}-1" if fold is None else f"{base}-1-fold{fold}"


def _ingest(
    committer: Committer,
    ids: list[str],
    told: np.ndarray,
    score: np.ndarray,
    rng: np.random.Generator,
    items: tuple[str, ...],
    *,
    recurrence: bool,
) -> None:
    variables = load_dictionary().variables
    clinical = []
    for row, patient in enumerate(ids):
        values: dict[str, Any] = {"patient_id": patient}
        for column, item in enumerate(items):
            value = (1.5 if column < 10 else 0.0) * told[row] + rng.normal()
            kind = variables[item].type
            flag = bool(value > 0)
            values[item] = (
                flag if kind == "flag" else ("male" if flag else "female") if kind == "category" else value
            )
            if rng.random() < 0.1:
                values[item] = None
        values |= {
            "vascular_invasion": bool(score[row] > 0),
            "mvi_grade": f"M{int((score[row] > [-0.2, 1.5]).sum())}",
        }
        clinical.append(values)
    columns = {name: variables[name].sql_type for name in (*items, "vascular_invasion", "mvi_grade")}
    months = rng.exponential(20 * np.exp(-0.5 * score)) + 0.5
    tables: dict[str, list[dict[str, Any]]] = {
        "cohort": [{"cohort": "internal", "title": "Two", "format": "plain", "simulated": True}],
        "patient": [{"patient_id": i, "cohort": "internal", "treatment": None} for i in ids],
        "clinical": clinical,
        "image": [
            {
                "image_id": f"{patient}{suffix}",
                "patient_id": patient,
                "cohort": "internal",
                "status": "ok",
                "path": f"/gone/{patient}{suffix}",
                "quick_sha256": SHA,
                "modality": modality,
            }
            for patient in ids
            for suffix, modality in SUFFIX.values()
        ],
        "attrition": [{"cohort": "internal", "step_number": 1, "step": "rows", "n": len(ids), "excluded": 0}],
    }
    if recurrence:
        tables["outcome"] = [
            {"patient_id": patient, "outcome": name, "months": min(float(time), 60.0), "event": bool(time < 60)}
            for patient, time in zip(ids, months, strict=True)
            for name in ("recurrence",)
        ]
    committer.record("ingest", "internal", tables, about={"clinical_columns": columns})


def _feature_set(folder: Path, committer: Committer, base: str, fold: int | None, seen: list[str]) -> None:
    recipe = load_mri_recipe("mri-tiny") if base == "mri" else load_recipe("tiny")
    quick = recipe.prognostic.model_copy(update={"max_epochs": 5})
    recipe = recipe.model_copy(update={"prognostic": quick})
    name = name_of(base, fold)
    row = {
        "feature_set": name,
        "base": base,
        "version": 1,
        "sha256": SHA,
        "encoder": "cmd_student" if base == "mri" else "cnn_sasm",
        "weights_sha256": "0" * 64,
        "dim": WIDTHS[base],
        "dtype": "float32",
        "recipe": json.dumps(recipe.model_dump(mode="json")),
        "simulated": True,
        "fold": fold,
        "modality": "mri" if base == "mri" else "slide",
    }
    patients = [{"feature_set": name, "patient_id": patient, "role": "trained"} for patient in seen]
    committer.record("feature_sets", name, {"feature_set": [row], "feature_set_patient": patients})
    (folder / "models" / name).mkdir(parents=True)
    (folder / "models" / name / "recipe.json").write_text("{}", encoding="utf-8")


def _embed(
    folder: Path, committer: Committer, base: str, fold: int | None, ids: list[str], vectors: np.ndarray
) -> None:
    shards = [
        Shard(
            image_id=f"{patient}{SUFFIX[base][0]}",
            feature_set=name_of(base, fold),
            feature_set_sha256=SHA,
            vectors=vectors[row : row + 1],
            coords=np.zeros((1, 2), dtype=np.int64),
            skipped_coords=np.zeros((0, 2), dtype=np.int64),
            skipped_status=np.zeros(0, dtype=np.uint8),
            attributes={"status": "ok", "reason": ""},
        )
        for row, patient in enumerate(ids)
        if row != (0 if base == "mri" else 1)
    ]
    committer.adopt([write_shard(folder, shard) for shard in shards])
    committer.publish()
