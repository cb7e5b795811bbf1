"""Old stores open for ever: the committed golden study must load identically."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hccfeat.store.catalog import query, rebuild
from hccfeat.store.records import read_records
from hccfeat.store.shards import check_shard, content_digest, read_shard
from hccfeat.store.verify import verify
from tests.store.golden.make import FOLDER, golden_shard, golden_tables

SHARD = FOLDER / "features" / "pps-1" / "internal" / "P0001_1.h5"
DIGEST = "fc0e20f4214de61f7551762089fa0510b200744aa4eea0aefd1e22cea45cd110"


def test_the_golden_shard_loads_identically() -> None:
    found, expected = read_shard(SHARD), golden_shard()
    for name in ("vectors", "coords", "skipped_coords", "skipped_status"):
        array, wanted = getattr(found, name), getattr(expected, name)
        assert array.dtype == wanted.dtype
        np.testing.assert_array_equal(array, wanted)
    assert dict(found.attributes) == dict(expected.attributes)
    assert (found.image_id, found.feature_set, found.feature_set_sha256) == (
        expected.image_id,
        expected.feature_set,
        expected.feature_set_sha256,
    )


def test_the_digest_of_the_format_never_changes() -> None:
    assert check_shard(SHARD).digest == DIGEST
    assert content_digest(golden_shard()) == DIGEST


def test_the_golden_study_gives_its_catalog(tmp_path: Path) -> None:
    study = shutil.copytree(FOLDER, tmp_path / "study")
    assert [record.kind for record in read_records(study)] == ["ingest", "feature_sets"]
    assert read_records(study)[0].tables == golden_tables()
    rebuild(study)
    assert query(study, "SELECT afp, bclc FROM patient_clinical").rows() == [(12.5, "A")]
    row = query(study, "SELECT * FROM image_pps").to_dicts()[0]
    assert row["patient_id"] == "internal/P0001"
    assert row["mean"] == pytest.approx([0.0, 0.125, 0.25, 0.375])
    assert row["sd"] == pytest.approx([np.sqrt(32 / 3) / 8] * 4)
    assert verify(study, isolated=False) == []
