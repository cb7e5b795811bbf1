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


def shard_digests(study: Path) -> dict[str, str]:
    return dict(query(study, "SELECT image_id, digest FROM shard").rows())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_kills_of_extract(ingested_study: Path, extracted_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(ingested_study, tmp_path / "study"))
    moments = [f"{seconds:.2f}" for seconds in np.random.default_rng(11).uniform(0.2, 5.0, 10)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(study), *moments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == 10
    assert any(one["killed"] for one in rounds)
    # A shard that was published but not yet committed is no damage: the next run adopts it.
    damage = [f for one in rounds for f in one["findings"] if "not committed" not in f["problem"]]
    assert damage == []
    opened = open_study(study)
    opened.extract()
    assert opened.verify() == []
    assert shard_digests(study) == shard_digests(extracted_study)
    before = shutil.copy(study / "catalog.duckdb", tmp_path / "before.duckdb")
    assert tables_equal(before, opened.rebuild_catalog())
