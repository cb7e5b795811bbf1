import errno
import json
import shutil
from pathlib import Path

import duckdb
import h5py
import pytest

from hccfeat.errors import StudyBusyError
from hccfeat.files import sha256_of_file
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.findings import Finding
from hccfeat.store.lock import WriterLock
from hccfeat.store.names import catalog_path
from hccfeat.store.repair import Repairs, repair
from hccfeat.store.shards import write_shard
from hccfeat.store.verify import verify
from tests.store.builder import shard

FIRST = "features/pps-1/internal/P000_1.h5"
SECOND = "features/pps-1/internal/P000_2.h5"


def repaired(study: Path) -> Repairs:
    result = repair(study, isolated=False)
    assert {finding.level for finding in result.done} <= {"repaired"}
    return result


def quarantined(study: Path) -> list[str]:
    return sorted(path.relative_to(study).as_posix() for path in (study / "quarantine").rglob("*.h5"))


def test_a_sound_study_is_left_alone(study: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*.*") if path.suffix != ".lock"}
    assert repaired(study) == Repairs()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_damaged_shard_moves_to_quarantine_with_the_reason(study: Path) -> None:
    content = (study / FIRST).read_bytes()[:3000]
    (study / FIRST).write_bytes(content)
    result = repaired(study)
    assert [finding.entity for finding in result.done] == [FIRST]
    assert [(finding.entity, finding.remedy.split("`")[1]) for finding in result.left] == [
        (FIRST, "hccfeat extract")
    ]
    assert quarantined(study) == ["quarantine/pps-1/internal/P000_1.1.h5"]
    kept = study / quarantined(study)[0]
    assert kept.read_bytes() == content
    reason = json.loads(kept.with_suffix(".json").read_text())
    assert reason["path"] == FIRST
    assert reason["problem"].startswith("cannot be read")
    warnings: list[Finding] = []
    assert verify(study, warnings=warnings, isolated=False) == []
    assert [(finding.entity, finding.problem) for finding in warnings] == [
        ("quarantine", f"{FIRST} was set aside, and its image has no shard since")
    ]
    # The next extraction finds the image missing, and makes it again.
    with Committer(study) as committer:
        assert "internal/P000_1" not in committer.done_images("pps-1")
        committer.adopt([write_shard(study, shard("internal/P000_1"))])
    warnings.clear()
    assert verify(study, warnings=warnings, isolated=False) == warnings == []


def test_a_second_damage_does_not_replace_the_first_in_quarantine(study: Path) -> None:
    for content in (b"one", b"two"):
        (study / FIRST).write_bytes(content)
        repaired(study)
    assert [(study / path).read_bytes() for path in quarantined(study)] == [b"one", b"two"]


def test_swapped_shards_move_back(study: Path) -> None:
    before = {name: (study / name).read_bytes() for name in (FIRST, SECOND)}
    (study / FIRST).rename(study / "aside")
    (study / SECOND).rename(study / FIRST)
    (study / "aside").rename(study / SECOND)
    result = repaired(study)
    assert sorted(finding.entity for finding in result.done) == [FIRST, SECOND]
    assert result.left == []
    assert {name: (study / name).read_bytes() for name in before} == before
    assert [path for path in (study / "quarantine").rglob("*") if path.is_file()] == []
    assert verify(study, isolated=False) == []


def test_a_shard_over_another_one_goes_home_and_the_lost_one_is_named(study: Path) -> None:
    content = (study / FIRST).read_bytes()
    (study / FIRST).rename(study / SECOND)
    result = repaired(study)
    assert (study / FIRST).read_bytes() == content
    assert [finding.entity for finding in result.left] == [SECOND]


def test_a_repair_that_was_killed_goes_on(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after both swapped shards were set aside: the next repair finds them in quarantine."""
    before = {name: (study / name).read_bytes() for name in (FIRST, SECOND)}
    (study / FIRST).write_bytes(before[SECOND])
    (study / SECOND).write_bytes(before[FIRST])

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hccfeat.store.repair._put_back", killed)
    with pytest.raises(KeyboardInterrupt):
        repair(study, isolated=False)
    monkeypatch.undo()
    assert len(quarantined(study)) == 2
    assert not (study / FIRST).exists()
    result = repaired(study)
    assert result.left == []
    assert {name: (study / name).read_bytes() for name in before} == before
    assert verify(study, isolated=False) == []


def test_a_copy_at_a_wrong_place_never_replaces_the_right_one(study: Path) -> None:
    shutil.copy(study / FIRST, study / SECOND)
    content = (study / FIRST).read_bytes()
    result = repaired(study)
    assert (study / FIRST).read_bytes() == content
    assert [finding.entity for finding in result.left] == [SECOND]
    assert quarantined(study) == ["quarantine/pps-1/internal/P000_2.1.h5"]


def test_intact_shards_that_the_catalog_lacks_are_adopted(study: Path) -> None:
    write_shard(study, shard("internal/new"))
    assert [finding.entity for finding in repaired(study).done] == ["features/pps-1/internal/new.h5"]
    assert query(study, "SELECT count(*) AS n FROM shard WHERE image_id = 'internal/new'")["n"].to_list() == [1]


def test_a_tampered_catalog_is_made_anew(study: Path) -> None:
    connection = duckdb.connect(str(catalog_path(study)))
    connection.execute("UPDATE metric SET estimate = 0.99")
    connection.close()
    result = repaired(study)
    assert [finding.entity.split(":")[0] for finding in result.done] == ["catalog table metric"]
    assert verify(study, isolated=False) == []


@pytest.mark.parametrize("content", [None, b"no database"])
def test_a_catalog_that_is_missing_or_unreadable_is_made_anew(study: Path, content: bytes | None) -> None:
    catalog_path(study).unlink()
    if content is not None:
        catalog_path(study).write_bytes(content)
    result = repaired(study)
    assert [finding.entity for finding in result.done] == ["catalog.duckdb"]
    assert result.left == []
    assert query(study, "SELECT count(*) FROM shard").item() == 10
    kept = [path.read_bytes() for path in (study / "quarantine").glob("catalog.*")]
    assert kept == ([] if content is None else [content])


def test_a_flipped_bit_in_the_vectors_of_the_catalog(study: Path) -> None:
    """Wherever the bit is: verify names the catalog, and repair makes it anew."""
    content = bytearray(catalog_path(study).read_bytes())
    vector = query(study, "SELECT mean FROM image_vector_pps_1 LIMIT 1").item().to_numpy().tobytes()
    where = bytes(content).find(vector)
    assert where > 0
    content[where + 2] ^= 1
    catalog_path(study).write_bytes(content)
    assert [finding.entity.split(" table ")[0] for finding in verify(study, isolated=False)] == ["catalog.duckdb"]
    assert [finding.entity for finding in repaired(study).done] == ["catalog.duckdb"]
    assert verify(study, isolated=False) == []


def test_a_missing_shard_is_named_with_the_remedy(study: Path) -> None:
    (study / FIRST).unlink()
    result = repaired(study)
    assert [finding.entity for finding in result.left] == [FIRST]
    assert "hccfeat extract" in result.left[0].remedy


def test_while_a_record_is_lost_the_catalog_that_still_shows_it_stays(study: Path) -> None:
    record = next((study / "records" / "results").glob("*.json"))
    content = record.read_bytes()
    record.unlink()
    (study / FIRST).write_bytes(b"")
    before = catalog_path(study).read_bytes()
    result = repaired(study)
    assert catalog_path(study).read_bytes() == before
    assert [finding.entity for finding in result.left] == [FIRST, record.relative_to(study).as_posix()]
    assert "backup" in result.left[1].remedy
    record.write_bytes(content)
    assert [finding.entity for finding in repaired(study).left] == [FIRST]


def test_a_shard_that_cannot_be_opened_stays(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be intact: neither is it moved, nor does the catalog forget it; other damage is still set aside."""
    opened = h5py.File

    def refused(path: Path, *arguments: object, **more: object) -> h5py.File:
        if path == study / FIRST:
            raise OSError(errno.EACCES, "Unable to synchronously open file")
        return opened(path, *arguments, **more)

    (study / SECOND).write_bytes(b"damaged")
    monkeypatch.setattr("hccfeat.store.shards.h5py.File", refused)
    result = repaired(study)
    assert [(finding.entity, "permissions or file system" in finding.problem) for finding in result.left] == [
        (FIRST, True), (SECOND, False),
    ]  # fmt: skip
    assert quarantined(study) == ["quarantine/pps-1/internal/P000_2.1.h5"]
    assert query(study, "SELECT count(*) FROM shard").item() == 10


def test_shards_of_an_unregistered_feature_set_stay(study: Path) -> None:
    info = write_shard(study, shard("internal/P000_1", feature_set="ghost-1"))
    result = repaired(study)
    assert [finding.entity for finding in result.left] == [info.path]
    assert (study / info.path).is_file()
    assert quarantined(study) == []


def test_a_shard_of_another_recipe_moves_to_quarantine(study: Path) -> None:
    (study / FIRST).unlink()
    other = shard("internal/P000_1")
    write_shard(study, type(other)(**{**vars(other), "feature_set_sha256": "a" * 64}))
    assert "another encoder" in repaired(study).done[0].problem
    assert len(quarantined(study)) == 1


def test_changed_weights_are_named_and_left_to_people(study: Path) -> None:
    weights, network = (study / f"models/pps-1{name}.safetensors" for name in ("/weights", "-1y/prognostic"))
    for path in (weights, network):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"tensors of " + path.parent.name.encode())
    rows = [
        {"model": path.parent.name, "path": path.relative_to(study).as_posix(), "sha256": sha256_of_file(path)}
        for path in (weights, network)
    ]
    with Committer(study) as committer:
        committer.record("results", "models", {"model_file": rows})
    content = bytearray(weights.read_bytes())
    content[3] ^= 1
    weights.write_bytes(content)
    network.unlink()
    remedy = "Restore the file from a backup, or run `hccfeat extract --train` for new ones."
    changed = [Finding("models/pps-1/weights.safetensors", "is not the file that was recorded", remedy)]
    remedy = "Restore the file from a backup, or run `hccfeat analyze` again."
    gone = [Finding(rows[1]["path"], "is in the catalog but not on disk", remedy, "warning")]
    catalog = catalog_path(study).stat().st_ino
    assert repaired(study) == Repairs(left=changed, warnings=gone)
    assert catalog_path(study).stat().st_ino == catalog, "not made anew"


def test_repair_waits_for_no_other_writer(study: Path) -> None:
    lock = WriterLock(study)
    lock.acquire()
    try:
        with pytest.raises(StudyBusyError):
            repair(study, isolated=False)
    finally:
        lock.release()
