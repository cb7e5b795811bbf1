"""Small studies for the tests of the store, made through its public functions only."""

from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.store.committer import Committer
from hccfeat.store.shards import Shard, ShardInfo, write_shard

DIM = 8
SHA = "f" * 64
CLINICAL = {
    "age": "DOUBLE",
    "sex": "VARCHAR",
    "hbsag": "BOOLEAN",
    "alt": "DOUBLE",
    "afp": "DOUBLE",
    "tumour_size": "DOUBLE",
    "bclc": "VARCHAR",
    "vascular_invasion": "BOOLEAN",
}


def shard(
    image_id: str, n: int = 6, *, feature_set: str = "pps-1", dim: int = DIM, seed: int | None = None, **more: Any
) -> Shard:
    rng = np.random.default_rng(abs(hash_of(image_id)) if seed is None else seed)
    return Shard(
        image_id=image_id,
        feature_set=feature_set,
        feature_set_sha256=SHA,
        vectors=rng.normal(size=(n, dim)).astype(np.float32),
        coords=np.stack([np.arange(n) * 224, np.arange(n) // 3 * 224], axis=1).astype(np.int64),
        skipped_coords=np.array([[0, 0], [224, 0], [448, 0]], dtype=np.int64),
        skipped_status=np.array([1, 1, 4], dtype=np.uint8),
        attributes={
            "status": "ok" if n else "excluded",
            "reason": "" if n else "no tissue",
            "patch_size": 224,
            "patch_size_level0": 448,
            "mpp": 0.25,
            "level0_width": 4000,
            "level0_height": 3000,
            "stain_h_r": 0.56,
            "stain_h_g": 0.72,
            "stain_h_b": 0.41,
            "stain_e_r": 0.22,
            "stain_e_g": 0.8,
            "stain_e_b": 0.56,
            "stain_accepted": 1,
            "tissue_fraction": 0.5,
            "mean_red": 200.0,
            "mean_green": 150.5,
            "mean_blue": 180.0,
            **more,
        },
    )


def hash_of(text: str) -> int:
    return sum((i + 1) * ord(letter) for i, letter in enumerate(text))


def cohort_tables(cohort: str = "internal", patients: int = 5, images: int = 2) -> dict[str, list[dict[str, Any]]]:
    ids = [f"{cohort}/P{i:03d}" for i in range(patients)]
    return {
        "cohort": [{"cohort": cohort, "title": cohort.title(), "format": "plain", "simulated": True}],
        "patient": [
            {"patient_id": p, "cohort": cohort, "treatment": [None, "none", "sorafenib"][i % 3]}
            for i, p in enumerate(ids)
        ],
        "clinical": [
            {
                "patient_id": p,
                "age": 40.0 + i,
                "sex": "male" if i % 2 else "female",
                "hbsag": bool(i % 2),
                "alt": None if i == 1 else 30.0 + i,
                "afp": None if i == 2 else 10.0**i,
                "tumour_size": 2.5 + i,
                "bclc": ["0", "A", "B", None][i % 4],
                "vascular_invasion": i % 3 == 0,
            }
            for i, p in enumerate(ids)
        ],
        "outcome": [
            {"patient_id": p, "outcome": name, "months": 6.0 + 5 * i + shift, "event": i % 2 == 0}
            for i, p in enumerate(ids)
            for name, shift in (("recurrence", 0), ("os", 10))
        ],
        "image": [
            {
                "image_id": f"{p}_{k}",
                "patient_id": p,
                "cohort": cohort,
                "path": f"/slides/{p}_{k}.svs",
                "reader": "openslide",
                "mpp": 0.25,
                "status": "ok",
            }
            for p in ids
            for k in range(1, images + 1)
        ],
        "attrition": [{"cohort": cohort, "step_number": 1, "step": "rows", "n": patients, "excluded": 0}],
    }


def feature_set_row(name: str = "pps-1", dim: int = DIM, **more: Any) -> dict[str, Any]:
    base, _, version = name.rpartition("-")
    return {
        "feature_set": name,
        "base": base,
        "version": int(version),
        "sha256": SHA,
        "encoder": "cnn_sasm",
        "weights_sha256": "0" * 64,
        "dim": dim,
        "dtype": "float32",
        "recipe": {"name": "tiny"},
        "simulated": True,
        "fold": None,
        **more,
    }


def ingest(committer: Committer, cohort: str = "internal", **sizes: int) -> Path:
    tables = cohort_tables(cohort, **sizes)
    return committer.record(
        "ingest",
        cohort,
        tables,
        replaces={table: {"cohort": cohort} for table in tables},
        about={"clinical_columns": CLINICAL, "clinical_descriptions": {"afp": "alpha-fetoprotein, the patient's"}},
    )


def add_feature_set(committer: Committer, name: str = "pps-1", dim: int = DIM, **more: Any) -> Path:
    return committer.record(
        "feature_sets",
        name,
        {
            "feature_set": [feature_set_row(name, dim, **more)],
            "feature_set_patient": [{"feature_set": name, "patient_id": "internal/P000", "role": "trained"}],
        },
    )


def add_results(committer: Committer, run_id: str = "analyze-1") -> Path:
    common = {"run_id": run_id, "endpoint": "1y", "cohort": "internal"}
    metric = {**common, "model": "pps", "metric": "auroc", "lower": 0.5, "upper": 0.9, "n": 40, "events": 9}
    return committer.record(
        "results",
        run_id,
        {
            "run": [
                {"run_id": run_id, "command": "analyze", "started": "2026-01-02T03:04:05+00:00", "seconds": 1.5}
            ],
            "metric": [
                {**metric, "split": "apparent", "estimate": 0.81, "method": "DeLong"},
                {**metric, "split": "held_out", "estimate": 0.7, "method": "DeLong"},
            ],
            "subgroup_metric": [
                {**metric, "metric": "c_index", "split": "held_out", "item": "sex", "level": level, "estimate": 0.6}
                for level in ("female", "male")
            ],
            "hazard_ratio": [
                {**common, "kind": "univariable", "term": "afp", "hr": 1.9, "p": 0.01, "n": 40, "ties": "efron"}
            ],
            "prediction": [
                {**common, "split": "held_out", "model": "pps", "patient_id": f"internal/P{i:03d}", "risk": i / 10}
                for i in range(3)
            ],
        },
    )


def image_ids(cohort: str = "internal", patients: int = 5, images: int = 2) -> list[str]:
    return [row["image_id"] for row in cohort_tables(cohort, patients, images)["image"]]


def publish_shards(study: Path, ids: list[str], **more: Any) -> list[ShardInfo]:
    return [write_shard(study, shard(image_id, **more)) for image_id in ids]


def make_study(study: Path, *, results: bool = True) -> Path:
    """Five patients with two images each: nine with vectors, one excluded; one failure elsewhere."""
    study.mkdir(parents=True, exist_ok=True)
    with Committer(study) as committer:
        ingest(committer)
        committer.record(
            "splits",
            "frozen",
            {"split": [{"split": "frozen", "patient_id": "internal/P000", "role": "train", "fold": 1}]},
        )
        add_feature_set(committer)
        ids = image_ids()
        committer.adopt(publish_shards(study, ids[:-1]))
        committer.adopt([write_shard(study, shard(ids[-1], 0))])
        if results:
            add_results(committer)
    return study


def add_mri(committer: Committer, study: Path, cohort: str = "external", patients: int = 3) -> list[str]:
    """A cohort of MRI exams beside the slides: the last exam lacks its HBP, the first has odd slices."""
    tables = cohort_tables(cohort, patients, images=0)
    ids = [row["patient_id"] for row in tables["patient"]]
    tables["image"] = [
        {"image_id": f"{p}-mri", "patient_id": p, "cohort": cohort, "status": "ok", "reason": "", "modality": "mri"}
        for p in ids
    ]
    tables["image"][-1] |= {"status": "incomplete", "reason": "phase HBP is missing"}
    tables["volume"] = [
        {
            "image_id": f"{p}-mri", "cohort": cohort, "phase": phase, "path": f"/mri/{p}/{phase}.nii.gz",
            "spacing_x_mm": 1.5, "spacing_y_mm": 1.5, "spacing_z_mm": 9.0 if (i, phase) == (0, "pre") else 3.0,
            "intensity_low": 1.0, "intensity_high": 300.0, "slices": 72, "missing_slices": 0,
            "phase_order": "not recorded", "status": "ok", "reason": "",
        }
        for i, p in enumerate(ids)
        for phase in ("pre", "hbp")[: 1 if i == patients - 1 else 2]
    ]  # fmt: skip
    for row, grade in zip(tables["clinical"], ("M0", "M2", None), strict=False):
        row["mvi_grade"] = grade
    committer.record(
        "ingest",
        cohort,
        tables,
        replaces={table: {"cohort": cohort} for table in tables},
        about={"clinical_columns": {**CLINICAL, "mvi_grade": "VARCHAR"}},
    )
    add_feature_set(committer, "mri-1", modality="mri", output="embedding", encoder="cmd_student")
    exams = [f"{p}-mri" for p in ids[:-1]]
    committer.adopt([write_shard(study, shard(exam, 1, feature_set="mri-1")) for exam in exams])
    return exams
