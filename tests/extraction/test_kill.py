"""Killed at any moment, ``extract`` loses and corrupts nothing: the rerun equals an undisturbed run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hccfeat.store.catalog import query, tables_equal
from hccfeat.study import open_study

SCRIPT = Path(__file__).with_name("kill_extract.py")


def shard_digests(study: Path, feature_set: str) -> dict[str, str]:
    rows = query(study, "SELECT image_id, digest FROM shard WHERE feature_set = ?", [feature_set])
    return dict(rows.rows())


def kill(study: Path, modality: str, moments: list[str]) -> list[dict]:
    """Start ``extract`` once per moment and kill it then; the findings of ``verify`` after each."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(study), modality, *moments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == len(moments)
    assert any(one["killed"] for one in rounds)
    return rounds


def finish_and_compare(study: Path, undisturbed: Path, modality: str, feature_set: str, tmp_path: Path) -> None:
    opened = open_study(study)
    opened.extract(modality=modality, device="cpu")
    assert opened.verify() == []
    assert shard_digests(study, feature_set) == shard_digests(undisturbed, feature_set)
    before = shutil.copy(study / "catalog.duckdb", tmp_path / "before.duckdb")
    assert tables_equal(before, opened.rebuild_catalog())


def damage(rounds: list[dict]) -> list[dict]:
    """Findings but one kind: what the readers' catalog does not show yet is adopted by the next run."""
    return [f for one in rounds for f in one["findings"] if "not in the catalog" not in f["problem"]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_kills_of_extract(ingested_study: Path, extracted_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(ingested_study, tmp_path / "study"))
    moments = [f"{seconds:.2f}" for seconds in np.random.default_rng(11).uniform(0.2, 5.0, 10)]
    assert damage(kill(study, "slides", moments)) == []
    finish_and_compare(study, extracted_study, "slides", "pps-1", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_of_extract_of_mri(ingested_study: Path, mri_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(ingested_study, tmp_path / "study"))
    assert damage(kill(study, "mri", ["0.4", "1.0", "1.8"])) == []
    finish_and_compare(study, mri_study, "mri", "mri-1", tmp_path)
