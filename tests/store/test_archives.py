"""Old stores open for ever: the archive of each store version is opened, verified, rebuilt, queried, extended."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hccfeat.errors import StoreError
from hccfeat.store.catalog import open_catalog, query, rebuild
from hccfeat.store.committer import Committer
from hccfeat.store.findings import Finding
from hccfeat.store.freeze import freezes, freezes_of
from hccfeat.store.names import shard_files
from hccfeat.store.scan import scan_patches
from hccfeat.store.session import run_sql
from hccfeat.store.shards import check_shard, write_shard
from hccfeat.store.verify import verify
from tests.data.make_archive import ARCHIVES, contents, make_study
from tests.store.builder import shard

FOUND = sorted(ARCHIVES.glob("*.zip"))
WEIGHTS = "models/pps-1/1y.safetensors"
"""What the archives leave out."""


@pytest.fixture(scope="module", params=FOUND, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study as its archive holds it, not yet touched by this version."""
    folder = tmp_path_factory.mktemp("archive") / "study"
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(folder)
    return folder


def expected(study: Path) -> dict[str, list[dict[str, Any]]]:
    return json.loads((study / "expected.json").read_text(encoding="utf-8"))


def assert_holds(study: Path) -> None:
    """Every table, row and value that the old version showed is there; newer columns may stand beside them."""
    now = contents(study)
    for table, rows in expected(study).items():
        columns = list(rows[0]) if rows else []
        found = [{column: row[column] for column in columns} for row in now[table]]
        assert sorted(found, key=json.dumps) == sorted(rows, key=json.dumps), table


def test_the_archives_are_there_and_small() -> None:
    assert {path.stem for path in FOUND} >= {"0.1.0-a"}
    assert all(path.stat().st_size < 100_000 for path in FOUND)


def test_the_old_catalog_opens_as_it_is(old: Path) -> None:
    connection = open_catalog(old)
    rows = connection.execute("SELECT digest FROM shard ORDER BY path").fetchall()
    connection.close()
    folders = sorted(path.name for path in (old / "features").iterdir())
    assert [row[0] for row in rows] == [
        check_shard(path).digest for name in folders for path in shard_files(old, name)
    ]


def test_what_the_old_catalog_lacks_is_an_error_with_a_remedy(old: Path) -> None:
    if "frozen" in expected(old):
        assert freezes_of(old, "pps-1") == [row["name"] for row in expected(old)["frozen"]]
        return
    with pytest.raises(StoreError, match="hccfeat rebuild-catalog"):
        freezes_of(old, "pps-1")


def test_nothing_is_damaged_before_and_after_a_rebuild(old: Path) -> None:
    warnings: list[Finding] = []
    assert verify(old, warnings=warnings, isolated=False) == []
    assert {finding.entity for finding in warnings} <= {"catalog.duckdb", WEIGHTS}
    rebuild(old)
    warnings.clear()
    assert verify(old, warnings=warnings, isolated=False) == []
    assert [finding.entity for finding in warnings] == [WEIGHTS]
    assert_holds(old)


def test_what_was_frozen_is_unchanged(old: Path) -> None:
    assert [row["state"] for row in freezes(old)] == ["unchanged"] * len(expected(old).get("frozen", []))


def test_it_is_queried_and_written_to(old: Path) -> None:
    with Committer(old) as committer:
        committer.adopt([write_shard(old, shard("internal/P002_2"))])
    assert query(old, "SELECT count(*) FROM extraction_failure").item() == 0
    assert scan_patches(old, "pps-1").collect().height == 5 * 6
    assert run_sql(old, "SELECT afp, bclc FROM patient_clinical ORDER BY patient_id LIMIT 1").rows() == [(1.0, "0")]
    assert run_sql(old, "SELECT count(*) FROM image_mri").item() == 2


def test_an_archive_holds_what_its_study_shows(tmp_path: Path) -> None:
    """The script that makes archives works, and the test above can fail."""
    study = tmp_path / "study"
    make_study(study)
    (study / "expected.json").write_text(json.dumps(contents(study)), encoding="utf-8")
    assert_holds(study)
    with Committer(study) as committer:
        committer.adopt([write_shard(study, shard("internal/P002_2"))])
    with pytest.raises(AssertionError):
        assert_holds(study)


def test_a_record_of_a_newer_format_asks_for_an_update(old: Path) -> None:
    record = next((old / "records" / "splits").glob("*.json"))
    text = record.read_text(encoding="utf-8")
    try:
        record.write_text(text.replace('"format_version": 1', '"format_version": 2'), encoding="utf-8")
        with pytest.raises(StoreError, match="Update hccfeat"):
            rebuild(old)
    finally:
        record.write_text(text, encoding="utf-8")
