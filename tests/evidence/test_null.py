from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hccfeat.evidence import null
from hccfeat.evidence.null_page import coverages
from hccfeat.evidence.record import Part, Record
from hccfeat.evidence.settings import load_settings
from hccfeat.evidence.studies import Options

STUDY = load_settings().null.model_copy(update={"bootstraps": 100})


def test_nothing_is_found_where_there_is_nothing_unless_it_leaks() -> None:
    rows = [dict(zip(null.COLUMNS, null.replicate(STUDY, 57, seed), strict=True)) for seed in range(1, 17)]
    found = np.array([row["auroc"] for row in rows])
    assert abs(found.mean() - 0.5) < 4 * found.std() / np.sqrt(len(rows))
    leaked = np.array([row["leak_auroc"] for row in rows])
    assert leaked.mean() - 0.5 > 4 * leaked.std() / np.sqrt(len(rows))
    assert abs(np.mean([row["log_hr"] for row in rows])) < 0.2
    assert all(row["delong_lower"] < row["auroc"] < row["delong_upper"] for row in rows)


def test_without_permutation_the_same_pipeline_finds_recurrence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(null, "permuted", lambda people, seed: people)
    found = [null.replicate(STUDY, 500, seed)[0] for seed in range(1, 4)]
    assert min(found) > 0.6


def test_coverage_counts_only_statements_that_are_made() -> None:
    columns = ("held_out_patients", "seed", *null.COLUMNS)
    covering = [0.5, 0.4, 0.6, 0.51, 0.6, 0.0, 0.3, 0.2, 50, 20, 0.9, 0.8, 0.95]
    missing: list[Any] = [0.5, None, None, 0.4, 0.6, None, None, None, 50, 20, 0.5, 0.4, 0.6]
    part = Part("permuted", {}, columns, 2, [[57, 1, *covering], [57, 2, *missing], [500, 1, *missing]])
    assert [(one.right, one.made) for one in coverages(part, 57)] == [(1, 1), (1, 2), (1, 1), (1, 1), (1, 2)]


def test_finished_replicates_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = null.run(Options(tmp_path, replicates=1))
    first.record.save()
    calls: list[int] = []

    def count(study: Any, held_out: int, seed: int) -> list[Any]:
        calls.append(seed)
        return [0.5, 0.4, 0.6, 0.4, 0.6, 0.0, 0.3, 0.2, 50, 20, 0.5, 0.4, 0.6]

    monkeypatch.setattr(null, "replicate", count)
    null.run(Options(tmp_path, replicates=2))
    assert calls == [2, 2]
    kept = Record(tmp_path / "null.json", "null").parts["permuted"]
    assert len(kept.rows) == 4
