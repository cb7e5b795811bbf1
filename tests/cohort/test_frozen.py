"""The frozen split of a cohort: on recurrence as ever, on the grade where nobody has a recurrence outcome."""

import numpy as np
import polars as pl
import pytest

from hccfeat.cohort.frozen import frozen_split, split_name
from hccfeat.cohort.splits import make_split
from hccfeat.config import StudyConfig
from hccfeat.errors import AnalysisError
from hccfeat.store.committer import Committer

CONFIG = StudyConfig(name="s")
IDS = [f"internal/P{k:03d}" for k in range(100)]
GRADES = [["M0", "M0", "M1", "M1", "M2"][k % 5] if k >= 10 else None for k in range(100)]


def ingest(committer, *, recurrence=(), grades=None):
    tables = {
        "cohort": [{"cohort": "internal", "title": "I", "format": "plain", "simulated": True}],
        "patient": [{"patient_id": p, "cohort": "internal", "treatment": None} for p in IDS],
        "clinical": [
            {"patient_id": p, "age": 50.0, **({"mvi_grade": grade} if grades else {})}
            for p, grade in zip(IDS, grades or IDS, strict=True)
        ],
        "outcome": [
            {"patient_id": p, "outcome": "recurrence", "months": 5.0, "event": k % 2 == 0}
            for k, p in enumerate(recurrence)
        ],
    }
    columns = {"age": "DOUBLE"} | ({"mvi_grade": "VARCHAR"} if grades else {})
    committer.record("ingest", "internal", tables, about={"clinical_columns": columns})


def rows(committer):
    return committer.query("SELECT patient_id, role, fold FROM split ORDER BY patient_id")


def test_without_recurrence_the_grade_stratifies(tmp_path):
    with Committer(tmp_path) as committer:
        ingest(committer, grades=GRADES)
        assert frozen_split(tmp_path, committer, CONFIG) == split_name(CONFIG)
        found = rows(committer)
    assert found["patient_id"].to_list() == IDS[10:]
    grades = found.join(pl.DataFrame({"patient_id": IDS, "grade": GRADES}), on="patient_id")
    tests = grades.filter(role="test").group_by("grade").len().sort("grade")
    assert tests["len"].to_list() == [7, 7, 4]
    folds = grades.filter(role="train").group_by("fold", "grade").len()["len"]
    assert folds.max() - folds.min() <= 4
    assert np.unique(grades.filter(role="train")["fold"]).tolist() == [1, 2, 3, 4, 5]


def test_with_recurrence_the_split_is_that_of_the_recurrence(tmp_path):
    with Committer(tmp_path) as committer:
        ingest(committer, recurrence=IDS[:60], grades=GRADES)
        frozen_split(tmp_path, committer, CONFIG)
        found = rows(committer)
    expected = make_split(
        pl.DataFrame(
            {"patient_id": IDS[:60], "treatment": ["none"] * 60, "recurrence": [k % 2 == 0 for k in range(60)]}
        ),
        CONFIG.split,
    )
    assert found.to_dicts() == [{name: row[name] for name in ("patient_id", "role", "fold")} for row in expected]


def test_without_either_there_is_no_split(tmp_path):
    with Committer(tmp_path) as committer:
        ingest(committer)
        with pytest.raises(AnalysisError, match="no outcome"):
            frozen_split(tmp_path, committer, CONFIG)
