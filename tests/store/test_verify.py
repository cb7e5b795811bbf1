import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

from hccfeat.errors import StoreError
from hccfeat.store.catalog import query, rebuild
from hccfeat.store.committer import Committer
from hccfeat.store.findings import Finding
from hccfeat.store.names import catalog_path
from hccfeat.store.shards import write_shard
from hccfeat.store.verify import verify
from tests.store.builder import add_feature_set, image_ids, ingest, shard

FIRST = "features/pps-1/internal/P000_1.h5"
SECOND = "features/pps-1/internal/P000_2.h5"


def only(study: Path) -> Finding:
    findings = verify(study, isolated=False)
    assert len(findings) == 1, findings
    return findings[0]


def test_a_sound_study_has_no_findings(study: Path) -> None:
    assert verify(study) == []


def test_a_copied_study_is_sound(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy, copy_function=shutil.copyfile)
    assert verify(copy, isolated=False) == []


def test_a_flipped_bit_names_exactly_the_shard(study: Path) -> None:
    path = study / FIRST
    content = bytearray(path.read_bytes())
    where = bytes(content).index(shard("internal/P000_1").vectors.tobytes())
    content[where + 5] ^= 1
    path.write_bytes(content)
    assert only(study).entity == FIRST
    assert "`hccfeat verify --repair` and then `hccfeat extract`" in only(study).remedy, "extract alone leaves it"


def test_a_shard_with_nan_that_another_program_wrote(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (study / FIRST).unlink()
    made = shard("internal/P000_1")
    made.vectors[0, 0] = np.nan
    with monkeypatch.context() as patched:
        patched.setattr("hccfeat.store.shards.check_arrays", lambda *_: None)
        write_shard(study, made)
    assert only(study).problem == "vectors hold NaN or infinity"
    assert "hccfeat verify --repair" in only(study).remedy


def test_a_truncated_shard(study: Path) -> None:
    (study / FIRST).write_bytes((study / FIRST).read_bytes()[:3000])
    assert only(study).entity == FIRST


def test_a_missing_shard(study: Path) -> None:
    (study / FIRST).unlink()
    assert only(study) == Finding(FIRST, "is in the catalog but not on disk", "Run `hccfeat extract` again.")


def test_swapped_shards(study: Path) -> None:
    (study / FIRST).rename(study / "aside")
    (study / SECOND).rename(study / FIRST)
    (study / "aside").rename(study / SECOND)
    findings = verify(study, isolated=False)
    assert [finding.entity for finding in findings] == [FIRST, SECOND]
    assert all("swapped" in finding.problem for finding in findings)


def test_an_uncommitted_shard(study: Path) -> None:
    write_shard(study, shard("internal/new"))
    assert only(study).problem == "is not in the catalog"


def test_an_intact_shard_with_other_content(study: Path) -> None:
    (study / FIRST).unlink()
    write_shard(study, shard("internal/P000_1", seed=5))
    assert only(study).problem == "is intact but not the shard that was committed"


def test_a_shard_of_an_unregistered_feature_set(study: Path) -> None:
    write_shard(study, shard("internal/P000_1", feature_set="ghost-1"))
    assert "ghost-1, which is not registered" in only(study).problem


def test_a_foreign_file_among_the_shards(study: Path) -> None:
    (study / "features" / "pps-1" / "internal" / "notes.h5").write_text("not HDF5")
    assert only(study).entity.endswith("notes.h5")


def test_an_edited_record(study: Path) -> None:
    path = next((study / "records" / "results").glob("*.json"))
    path.write_text(path.read_text().replace("0.81", "0.91"))
    assert only(study).entity == path.relative_to(study).as_posix()


def test_a_lost_record(study: Path) -> None:
    path = next((study / "records" / "results").glob("*.json"))
    path.unlink()
    assert only(study).problem == "is in the catalog but not on disk"


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("metric", "UPDATE metric SET estimate = 0.99"),
        ("clinical", "UPDATE clinical SET afp = 5 WHERE patient_id = 'internal/P000'"),
        ("image_vector_pps_1", "UPDATE image_vector_pps_1 SET mean = sd WHERE image_id = 'internal/P000_1'"),
        ("patient_vector_pps_1", "DELETE FROM patient_vector_pps_1 WHERE patient_id = 'internal/P000'"),
    ],
)
def test_a_tampered_catalog(study: Path, table: str, change: str) -> None:
    connection = duckdb.connect(str(catalog_path(study)))
    connection.execute(change)
    connection.close()
    assert only(study).entity.startswith(f"catalog table {table}:")
    rebuild(study)
    assert verify(study, isolated=False) == []


def test_damage_is_repaired_by_writing_again(study: Path) -> None:
    (study / FIRST).write_bytes(b"")
    with Committer(study) as committer:
        assert "internal/P000_1" not in committer.done_images("pps-1")
        committer.adopt([write_shard(study, shard("internal/P000_1"))])
    assert verify(study, isolated=False) == []


def test_rebuild_leaves_damaged_shards_out_and_says_so(study: Path) -> None:
    (study / FIRST).write_bytes(b"")
    findings: list[Finding] = []
    rebuild(study, findings)
    assert [finding.entity for finding in findings] == [str(study.resolve() / FIRST)]
    assert only(study).entity == FIRST


def test_rebuild_keeps_the_last_catalog_that_shows_a_lost_record(study: Path) -> None:
    path = next((study / "records" / "results").glob("*.json"))
    path.unlink()
    for _ in range(2):
        findings: list[Finding] = []
        rebuild(study, findings)
        assert query(study, "SELECT count(*) FROM metric").item() == 0
    assert findings == []
    kept = duckdb.connect(str(study / "quarantine" / "catalog.1.duckdb"), read_only=True)
    assert kept.execute("SELECT count(*) FROM metric").fetchone() == (2,)
    kept.close()


def test_rebuild_refuses_a_damaged_record_and_keeps_the_catalog(study: Path) -> None:
    path = next((study / "records" / "ingest").glob("*.json"))
    path.write_text("{}")
    before = catalog_path(study).read_bytes()
    with pytest.raises(StoreError, match="cannot be read"):
        rebuild(study)
    assert catalog_path(study).read_bytes() == before


def test_a_study_without_catalog(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="hccfeat init"):
        verify(tmp_path)


def test_shards_of_a_feature_set_that_only_a_record_knows_are_good(tmp_path: Path) -> None:
    """A kill between the record and the readers' copy leaves a catalog that is older than both."""
    with Committer(tmp_path) as committer:
        ingest(committer)
    older = catalog_path(tmp_path).read_bytes()
    with Committer(tmp_path) as committer:
        add_feature_set(committer)
    write_shard(tmp_path, shard(image_ids()[0], 0))
    catalog_path(tmp_path).write_bytes(older)
    assert {finding.problem for finding in verify(tmp_path, isolated=False)} == {"is not in the catalog"}
