import os
import shutil
import time
from pathlib import Path

import pytest

from hccfeat.errors import StoreError
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.freeze import freeze, release
from hccfeat.store.repair import repair
from hccfeat.store.retention import KINDS, Removable, removable, remove
from hccfeat.store.status import status
from hccfeat.store.verify import verify
from tests.store.builder import add_feature_set, image_ids, make_study, publish_shards


def run_row(run_id: str, feature_set: str, started: str, **more: object) -> dict:
    settings = {"feature_set": feature_set, "endpoints": ["1y"], **more}
    return {"run_id": run_id, "command": "analyze", "started": started, "seconds": 1.0, "settings": settings}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with two versions of pps, three runs, a cache, a leftover and a quarantined shard."""
    study = make_study(tmp_path_factory.mktemp("gc") / "study")
    with Committer(study) as committer:
        # Once failed, then embedded: the shard hides the failure, which must not come back without the shard.
        common = {"feature_set": "pps-1", "kind": "unreadable", "message": "no file"}
        failures = [{**common, "image_id": name} for name in ("internal/gone", "internal/P000_1")]
        committer.record("runs", "failures-pps-1", {"extraction_failure": failures})
        add_feature_set(committer, "pps-2")
        committer.adopt(publish_shards(study, image_ids(), feature_set="pps-2"))
        rows = [
            run_row("a-old", "pps-1", "2026-01-01T00:00:00"),
            run_row("a-new", "pps-2", "2026-01-02T00:00:00"),
            run_row("a-other", "pps-2", "2026-01-01T00:00:00", cross_validate=True),
        ]
        committer.record("results", "runs", {"run": rows})
    for name in ("a-old", "a-new", "a-other", "predict-x"):
        (study / "results" / name).mkdir(parents=True)
        (study / "results" / name / "report.html").write_text("report " * 20)
    for path in (
        ".hccfeat/patches/0123/a.npz",
        ".hccfeat/training/4567/last.ckpt",
        "quarantine/pps-1/internal/a.1.h5",
    ):
        (study / path).parent.mkdir(parents=True)
        (study / path).write_bytes(b"x" * 100)
    leftover = study / "features" / "pps-1" / "internal" / ".b.h5.0.tmp"
    leftover.write_bytes(b"half")
    os.utime(leftover, (time.time() - 3600,) * 2)
    return study


@pytest.fixture
def study(grown: Path, tmp_path: Path) -> Path:
    return shutil.copytree(grown, tmp_path / "study")


def names(found: list[Removable]) -> list[tuple[str, str]]:
    return [(item.kind, item.name) for item in found]


def tree(study: Path) -> set[str]:
    found = {path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(("records/", "catalog.duckdb", ".hccfeat/catalog"))}


def test_what_may_go_with_its_bytes(study: Path) -> None:
    before = tree(study)
    found = removable(study)
    assert names(found) == [
        ("leftovers", "half-written files"),
        ("caches", ".hccfeat/patches/0123"),
        ("caches", ".hccfeat/training/4567"),
        ("quarantine", "pps-1"),
        ("results", "a-old"),
        ("features", "pps-1"),
    ]
    assert [(item.files, item.bytes) for item in found[:5]] == [(1, 4), (1, 100), (1, 100), (1, 100), (1, 140)]
    shards = list((study / "features" / "pps-1").rglob("*.h5"))
    assert (found[5].files, found[5].bytes) == (11, 4 + sum(path.stat().st_size for path in shards))
    assert found[4].reason == "replaced by a-new"
    assert tree(study) == before


def test_a_real_run_removes_exactly_what_the_dry_run_shows(study: Path) -> None:
    shown = removable(study)
    going = {
        file.relative_to(study).as_posix()
        for item in shown
        for path in item.paths
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    }
    before = tree(study)
    assert remove(study, KINDS) == shown
    assert tree(study) == before - going
    assert removable(study) == []
    # The absence is explained, and a catalog made anew agrees.
    rows = query(study, "SELECT kind, name, files, bytes FROM removal ORDER BY kind").rows()
    assert rows == [(item.kind, item.name, item.files, item.bytes) for item in (shown[5], shown[4])]
    told = status(study)["Removed by gc"]
    assert [tuple(row.values())[:4] for row in sorted(told, key=lambda row: row["kind"])] == rows
    assert verify(study, isolated=False) == []
    assert query(study, "SELECT DISTINCT feature_set FROM shard")["feature_set"].to_list() == ["pps-2"]
    assert query(study, "SELECT count(*) FROM image_vector_pps_1").item() == 0
    assert query(study, "SELECT count(*) FROM metric WHERE run_id = 'analyze-1'").item() > 0
    # Extracting the old version again is possible.
    with Committer(study) as committer:
        assert committer.done_images("pps-1") == set()
        committer.adopt(publish_shards(study, image_ids()[:2]))
    assert query(study, "SELECT count(*) FROM patient_vector_pps_1").item() == 1
    assert verify(study, isolated=False) == []


def test_only_what_is_named_goes(study: Path) -> None:
    before = tree(study)
    assert names(remove(study, ["quarantine"])) == [("quarantine", "pps-1")]
    assert before - tree(study) == {"quarantine/pps-1/internal/a.1.h5"}
    with pytest.raises(StoreError, match="Use one of leftovers, caches"):
        remove(study, ["everything"])


def test_a_freeze_protects_the_feature_set_and_its_reports(study: Path) -> None:
    freeze(study, "paper", cohort="internal", feature_set="pps-1")
    assert not {"results", "features"} & {item.kind for item in removable(study)}
    assert not {"results", "features"} & {item.kind for item in remove(study, KINDS)}
    release(study, "paper")
    assert names(removable(study)) == [("results", "a-old"), ("features", "pps-1")]


def test_a_version_that_has_more_images_than_the_newest_stays(study: Path) -> None:
    (study / "features" / "pps-2" / "internal" / "P000_1.h5").unlink()
    assert ("features", "pps-1") in names(removable(study))  # the catalog still has it: verify says that it is lost
    repair(study, isolated=False)
    assert ("features", "pps-1") not in names(removable(study))


def test_encoders_of_folds_stay_with_the_cross_validation_that_used_them(study: Path) -> None:
    with Committer(study) as committer:
        add_feature_set(committer, "pps-fold1-1", base="pps", fold=1)
        add_feature_set(committer, "pps-fold1-2", base="pps", fold=1)
        for name in ("pps-fold1-1", "pps-fold1-2"):
            committer.adopt(publish_shards(study, image_ids()[:1], feature_set=name))
    assert ("features", "pps-fold1-1") not in names(removable(study))
    with Committer(study) as committer:
        replaces = {"run": {"run_id": "a-other"}}
        committer.record("results", "gone", {}, replaces=replaces)
    assert ("features", "pps-fold1-1") in names(removable(study))


def test_a_version_that_a_kept_report_uses_stays(study: Path) -> None:
    with Committer(study) as committer:
        committer.record("results", "x", {"run": [run_row("a-x", "pps-1", "2026-01-03T00:00:00", tune=True)]})
    assert ("features", "pps-1") not in names(removable(study))


def test_a_version_that_only_its_import_names_may_go(study: Path) -> None:
    made = {**run_row("import-1", "pps-1", "2026-01-03T00:00:00", imported=10), "command": "import"}
    with Committer(study) as committer:
        committer.record("runs", "import", {"run": [made]})
    assert ("features", "pps-1") in names(removable(study))


@pytest.mark.parametrize("step", ["before the folder", "before the rest"])
def test_an_interruption_loses_nothing(study: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    if step == "before the folder":
        monkeypatch.setattr(Path, "rename", _killed)
    else:
        monkeypatch.setattr(shutil, "rmtree", _killed)
    with pytest.raises(KeyboardInterrupt):
        remove(study, ["features"])
    monkeypatch.undo()
    assert verify(study, isolated=False) == []
    assert {item.kind for item in remove(study, ["features", "leftovers"])} <= {"features", "leftovers"}
    assert not (study / "features" / "pps-1").exists()
    assert not (study / ".hccfeat" / "trash").exists()


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
