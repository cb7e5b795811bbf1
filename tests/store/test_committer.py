import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from hccfeat.errors import StoreError, StudyBusyError
from hccfeat.store import committer as committer_module
from hccfeat.store.catalog import query, rebuild, tables_equal
from hccfeat.store.committer import Committer
from hccfeat.store.names import catalog_path, private_catalog_path
from hccfeat.store.records import read_records, record_files
from hccfeat.store.shards import read_shard, write_shard
from hccfeat.store.verify import verify
from tests.store.builder import (
    CLINICAL,
    add_feature_set,
    add_results,
    cohort_tables,
    feature_set_row,
    image_ids,
    ingest,
    make_study,
    publish_shards,
    shard,
)


def test_an_empty_study_has_every_table_and_view(tmp_path: Path) -> None:
    with Committer(tmp_path):
        pass
    assert query(tmp_path, "SELECT * FROM patient").is_empty()
    for view in ("image_pps", "patient_pps", "patient_clinical", "coverage", "latest_metric", "newest_feature_set"):
        assert query(tmp_path, f"SELECT * FROM {view}").is_empty()
    assert query(tmp_path, "SELECT mean FROM image_pps").schema["mean"] == pl.Array(pl.Float32, 128)


def test_image_and_patient_vectors(study: Path) -> None:
    images = query(study, "SELECT * FROM image_pps ORDER BY image_id")
    assert images.height == 9, "the excluded image has no vector"
    assert images.schema["mean"] == pl.Array(pl.Float32, 8)
    for row in images.iter_rows(named=True):
        vectors = read_shard(study / "features" / "pps-1" / f"{row['image_id']}.h5").vectors.astype(np.float64)
        np.testing.assert_array_equal(np.float32(row["mean"]), vectors.mean(axis=0).astype(np.float32))
        np.testing.assert_array_equal(np.float32(row["sd"]), vectors.std(axis=0).astype(np.float32))
    patients = query(study, "SELECT * FROM patient_pps ORDER BY patient_id")
    assert patients["images"].to_list() == [2, 2, 2, 2, 1]
    first = images.filter(pl.col("patient_id") == "internal/P000")["mean"].to_numpy()
    np.testing.assert_allclose(patients["mean"].to_numpy()[0], first.mean(axis=0), rtol=1e-6)


def test_order_of_commits_leaves_no_trace(tmp_path: Path) -> None:
    frames = []
    for name, order in (("a", 1), ("b", -1)):
        study = tmp_path / name
        with Committer(study) as committer:
            ingest(committer)
            add_feature_set(committer)
            for info in publish_shards(study, image_ids())[::order]:
                committer.adopt([info])
        frames.append(query(study, "SELECT * FROM patient_pps ORDER BY patient_id"))
    assert frames[0].equals(frames[1])


def test_readers_see_the_published_copy_only(study: Path) -> None:
    with Committer(study) as committer:
        ingest(committer, "external")
        assert committer.query("SELECT count(*) AS n FROM cohort")["n"][0] == 2
        assert query(study, "SELECT count(*) AS n FROM cohort")["n"][0] == 1
        committer.publish()
        assert query(study, "SELECT count(*) AS n FROM cohort")["n"][0] == 2


def test_a_reader_open_meanwhile_keeps_its_catalog_and_blocks_nobody(study: Path) -> None:
    from hccfeat.store.catalog import open_catalog

    reader = open_catalog(study)
    try:
        for number in range(3):
            with Committer(study) as committer:
                ingest(committer, f"external{number}")
            assert reader.execute("SELECT count(*) FROM cohort").fetchone() == (1,)
        assert query(study, "SELECT count(*) AS n FROM cohort")["n"][0] == 4
    finally:
        reader.close()


def test_adopt_publishes_at_most_once_a_minute(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = []
    monkeypatch.setattr(committer_module, "publish", lambda study: published.append(study))
    with Committer(study) as committer:
        ingest(committer, "external")
        info = write_shard(study, shard("external/P000_1"))
        committer.adopt([info])
        committer.adopt([info])
        assert not published
        committer._published_at -= 61
        committer.adopt([info])
        committer.adopt([info])
        assert len(published) == 1
        committer._publish_took = 10.0
        committer._published_at -= 61
        committer.adopt([info])
        assert len(published) == 1, "a copy that takes ten seconds is made every ten minutes or so"
        committer._published_at -= 440
        committer.adopt([info])
        assert len(published) == 2


def test_nothing_to_do_publishes_nothing(study: Path) -> None:
    before = catalog_path(study).stat()
    with Committer(study):
        pass
    assert catalog_path(study).stat().st_mtime_ns == before.st_mtime_ns
    assert catalog_path(study).stat().st_ino == before.st_ino


def test_replacing_a_cohort(study: Path) -> None:
    with Committer(study) as committer:
        ingest(committer, "external", patients=3)
        ingest(committer, "internal", patients=2, images=1)
    counts = query(study, "SELECT cohort, count(*) AS n FROM patient GROUP BY ALL ORDER BY ALL")
    assert counts.rows() == [("external", 3), ("internal", 2)]
    assert query(study, "SELECT count(*) AS n FROM clinical")["n"][0] == 5
    assert query(study, "SELECT count(*) AS n FROM outcome")["n"][0] == 10
    orphans = query(study, "SELECT count(*) AS n FROM image_pps WHERE patient_id IS NULL")["n"][0]
    assert orphans == 7, "vectors of images that are no longer listed stay, without a patient"
    assert query(study, "SELECT patient_id, images FROM patient_pps ORDER BY ALL").rows() == [
        ("internal/P000", 1),
        ("internal/P001", 1),
    ]
    assert verify(study, isolated=False) == []


def test_a_patient_renamed_in_the_manifest_takes_the_vectors_along(study: Path) -> None:
    tables = cohort_tables()
    tables["image"][0]["patient_id"] = "internal/P001"
    with Committer(study) as committer:
        committer.record("ingest", "again", {"image": tables["image"]}, replaces={"image": {"cohort": "internal"}})
        images = committer.query("SELECT patient_id, images FROM patient_pps ORDER BY patient_id")
    assert images.rows()[:2] == [("internal/P000", 1), ("internal/P001", 3)]
    assert verify(study, isolated=False) == []


def test_clinical_columns_grow_and_views_follow(study: Path) -> None:
    tables = cohort_tables("external", patients=1)
    tables["clinical"] = [{"patient_id": "external/P000", "albumin": 41.5, "age": 50.0}]
    with Committer(study) as committer:
        committer.record(
            "ingest", "external", tables, about={"clinical_columns": {"albumin": "DOUBLE", "age": "DOUBLE"}}
        )
    frame = query(study, "SELECT age, albumin, afp, bclc FROM patient_clinical WHERE cohort = 'external'")
    assert frame.rows() == [(50.0, 41.5, None, None)]
    comment = query(
        study, "SELECT comment FROM duckdb_columns() WHERE table_name = 'clinical' AND column_name = 'afp'"
    )
    assert comment["comment"][0] == "alpha-fetoprotein, the patient's"


def test_a_clinical_variable_named_like_an_outcome_does_not_hide_it(study: Path) -> None:
    with Committer(study) as committer:
        committer.record(
            "ingest", "x", {}, about={"clinical_columns": {"os_months": "DOUBLE", "treatment": "VARCHAR"}}
        )
    frame = query(study, "SELECT * FROM patient_clinical ORDER BY patient_id")
    assert frame["os_months"].to_list()[0] == 16.0
    assert frame["treatment"].to_list()[2] == "sorafenib"


def test_missing_values_are_null_so_thresholds_do_not_select_them(study: Path) -> None:
    above = query(study, "SELECT patient_id FROM clinical WHERE afp > 400 ORDER BY ALL")["patient_id"].to_list()
    assert above == ["internal/P003", "internal/P004"], "P002 has no AFP"
    with Committer(study) as committer, pytest.raises(StoreError, match=r"clinical\.afp: holds nan"):
        committer.record("ingest", "x", {"clinical": [{"patient_id": "internal/P9", "afp": float("nan")}]})


BAD_RECORDS: dict[str, tuple[dict, dict | None, str]] = {
    "unknown table": ({"nonsense": [{"a": 1}]}, None, "unknown table nonsense"),
    "bookkeeping": ({"record": [{"sequence": 1}]}, None, "unknown table record"),
    "derived": ({"shard": [{"feature_set": "pps-1"}]}, None, "unknown table shard"),
    "unknown column": ({"patient": [{"patient_id": "a/b", "colour": "x"}]}, None, r"patient\.colour"),
    "text in a number": ({"clinical": [{"patient_id": "a/b", "age": "old"}]}, None, r"clinical\.age"),
    "number in a flag": ({"outcome": [{"patient_id": "a", "outcome": "os", "event": 1}]}, None, "outcome.event"),
    "second key": ({"patient": [{"patient_id": "internal/P000", "cohort": "internal"}]}, None, "already has a row"),
    "no key": ({"patient": [{"cohort": "internal"}]}, None, "refuses a row"),
    "column of another type": ({}, {"clinical_columns": {"age": "VARCHAR"}}, "age: is DOUBLE already"),
    "unusable column": ({}, {"clinical_columns": {"a b": "DOUBLE"}}, "cannot be a column"),
    "unusable type": ({}, {"clinical_columns": {"ab": "BLOB); DROP"}}, "cannot be a column"),
    "same tables": ({"feature_set": [feature_set_row("pps-1", feature_set="pps_1")]}, None, "another feature"),
    "view over table": ({"feature_set": [feature_set_row("vector-pps-1-1")]}, None, "which is a table"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_a_record_that_does_not_fit_leaves_nothing_behind(study: Path, case: str) -> None:
    tables, about, words = BAD_RECORDS[case]
    before = [path for _, path in record_files(study)]
    with Committer(study) as committer:
        with pytest.raises(StoreError, match=words):
            committer.record("ingest", "bad", tables, about=about)
        committer.record("ingest", "good", {"attrition": [{"cohort": "internal", "step_number": 9, "n": 1}]})
    assert [path for _, path in record_files(study)][:-1] == before
    assert verify(study, isolated=False) == []


def test_feature_sets_are_never_replaced(study: Path) -> None:
    with Committer(study) as committer, pytest.raises(StoreError, match="replaces a feature set"):
        committer.record("feature_sets", "x", {}, replaces={"feature_set": {"feature_set": "pps-1"}})


def test_a_whole_table_is_never_emptied(study: Path) -> None:
    with Committer(study) as committer, pytest.raises(StoreError, match="would be emptied"):
        committer.record("ingest", "x", {}, replaces={"patient": {}})


def test_views_show_the_newest_version(study: Path) -> None:
    with Committer(study) as committer:
        add_feature_set(committer, "pps-2", dim=3)
        add_feature_set(committer, "pps-3", dim=5, fold=1)
        committer.adopt([write_shard(study, shard("internal/P000_1", feature_set="pps-2", dim=3))])
    frame = query(study, "SELECT * FROM image_pps")
    assert frame["feature_set"].to_list() == ["pps-2"]
    assert frame.schema["mean"] == pl.Array(pl.Float32, 3)
    assert query(study, "SELECT count(*) AS n FROM image_vector_pps_1")["n"][0] == 9


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (lambda study: write_shard(study, shard("internal/P000_1", feature_set="other-1")), "not registered"),
        (lambda study: write_shard(study, shard("internal/new", dim=3)), "vectors of length 3"),
    ],
)
def test_shards_that_do_not_fit_are_refused(study: Path, info: Callable, words: str) -> None:
    with Committer(study) as committer, pytest.raises(StoreError, match=words):
        committer.adopt([info(study)])


def test_a_shard_changed_since_it_was_written_is_refused(study: Path) -> None:
    info = write_shard(study, shard("internal/new"))
    (study / info.path).unlink()
    write_shard(study, shard("internal/new", seed=1))
    with Committer(study) as committer, pytest.raises(StoreError, match="changed since"):
        committer.adopt([info])


def failure(message: str) -> dict:
    row = {"feature_set": "pps-1", "image_id": "internal/new", "kind": "unreadable", "message": message}
    return {"extraction_failure": [row]}


def test_failures_keep_the_latest_reason_until_a_shard_comes(study: Path) -> None:
    with Committer(study) as committer:
        committer.record("runs", "one", failure("first"))
        committer.record("runs", "two", failure("second"))
        assert committer.query("SELECT message FROM extraction_failure")["message"].to_list() == ["second"]
        committer.adopt([write_shard(study, shard("internal/new"))])
        assert committer.query("SELECT * FROM extraction_failure").is_empty()
        committer.record("runs", "three", failure("third"))
        assert committer.query("SELECT * FROM extraction_failure").is_empty()
    assert verify(study, isolated=False) == []


def test_skipped_patches_and_stain_reach_the_catalog(study: Path) -> None:
    row = query(study, "SELECT * FROM shard WHERE image_id = 'internal/P000_1'").to_dicts()[0]
    assert (row["patches"], row["skipped"], row["skipped_background"], row["skipped_blurred"]) == (6, 3, 2, 1)
    assert (row["stain_h_r"], row["stain_accepted"], row["mean_green"], row["status"]) == (0.56, True, 150.5, "ok")
    excluded = query(study, "SELECT image_id, reason FROM shard WHERE status = 'excluded'").rows()
    assert excluded == [("internal/P004_2", "no tissue")]


def crash(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_kill_between_record_and_commit_is_recovered(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record file is there, its rows are not: the next entry applies it."""
    original = committer_module.publish_record

    def publish_and_crash(record: object) -> None:
        original(record)
        crash()

    monkeypatch.setattr(committer_module, "publish_record", publish_and_crash)
    with pytest.raises(KeyboardInterrupt), Committer(study) as committer:
        ingest(committer, "external")
    monkeypatch.undo()
    assert [finding.problem for finding in verify(study, isolated=False)] == ["is not in the catalog"]
    with Committer(study):
        pass
    assert query(study, "SELECT count(*) AS n FROM patient WHERE cohort = 'external'")["n"][0] == 5
    assert verify(study, isolated=False) == []


def test_a_record_missed_among_others_makes_the_catalog_anew(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = committer_module.publish_record

    def publish_and_crash(record: object) -> None:
        original(record)
        crash()

    with Committer(study) as committer:
        monkeypatch.setattr(committer_module, "publish_record", publish_and_crash)
        with pytest.raises(KeyboardInterrupt):
            ingest(committer, "external", patients=2)
        monkeypatch.undo()
        ingest(committer, "external", patients=3)
    with Committer(study) as committer:
        assert "older than others" in committer.findings[0].problem
    assert query(study, "SELECT count(*) AS n FROM patient WHERE cohort = 'external'")["n"][0] == 3
    assert verify(study, isolated=False) == []


def test_shards_published_by_a_killed_run_are_adopted_on_entry(study: Path) -> None:
    write_shard(study, shard("internal/late"))
    (study / ".hccfeat" / "writer.lock").write_text('{"pid": 1}')
    with Committer(study) as committer:
        assert "internal/late" in committer.done_images("pps-1")
    assert verify(study, isolated=False) == []


def test_adopt_found_names_damaged_shards_and_takes_the_others(study: Path) -> None:
    infos = publish_shards(study, ["internal/x1", "internal/x2", "internal/x3"])
    path = study / infos[1].path
    path.write_bytes(path.read_bytes()[:500])
    with Committer(study) as committer:
        adopted = committer.adopt_found("pps-1")
        assert [info.image_id for info in adopted] == ["internal/x1", "internal/x3"]
        assert [finding.entity for finding in committer.findings] == [str(path)]
        assert committer.adopt_found("pps-1") == []


def test_shards_of_another_identity_are_not_adopted(study: Path) -> None:
    from dataclasses import replace

    write_shard(study, replace(shard("internal/alien"), feature_set_sha256="0" * 64))
    with Committer(study) as committer:
        assert committer.adopt_found("pps-1") == []
        assert "another encoder or recipe" in committer.findings[0].problem


def test_done_images_needs_the_committed_file(study: Path) -> None:
    paths = [study / "features" / "pps-1" / f"{image_id}.h5" for image_id in image_ids()]
    paths[0].unlink()
    os.utime(paths[1], ns=(1, 1))
    content = bytearray(paths[2].read_bytes())
    content[len(content) // 2] ^= 255
    content[1200] ^= 255
    paths[2].write_bytes(content)
    os.utime(paths[2], ns=(1, 1))
    with Committer(study) as committer:
        done = committer.done_images("pps-1")
    assert image_ids()[0] not in done
    assert image_ids()[1] in done, "a copied study keeps its work"
    assert (image_ids()[2] in done) == (not [f for f in verify(study, isolated=False) if "P001_1" in f.entity])


def test_a_lost_or_damaged_private_catalog_is_made_again(study: Path) -> None:
    before = catalog_path(study).read_bytes()
    private = private_catalog_path(study)
    private.unlink()
    with Committer(study):
        pass
    private.write_bytes(b"not a database" * 1000)
    with Committer(study) as committer:
        assert "could not be opened" in committer.findings[0].problem
    other = study.parent / "before.duckdb"
    other.write_bytes(before)
    assert tables_equal(other, catalog_path(study))


def test_a_catalog_of_another_schema_is_made_again(study: Path) -> None:
    connection = duckdb.connect(str(private_catalog_path(study)))
    connection.execute("UPDATE catalog_fact SET value = 'old'")
    connection.close()
    with Committer(study) as committer:
        assert "schema of another version" in committer.findings[0].problem
    assert verify(study, isolated=False) == []


def test_private_catalog_open_elsewhere_is_busy(study: Path) -> None:
    import subprocess
    import sys

    code = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(private_catalog_path(study))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StudyBusyError, match="open in another program"), Committer(study):
            pass
        other.kill()


def test_an_error_in_the_block_keeps_what_was_committed(study: Path) -> None:
    def fail() -> None:
        with Committer(study) as committer:
            add_results(committer, "analyze-2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert query(study, "SELECT count(*) AS n FROM run")["n"][0] == 2


def test_catalog_opens_as_a_plain_file_of_the_old_storage_version(study: Path) -> None:
    connection = duckdb.connect(str(catalog_path(study)), read_only=True)
    try:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchone()
        assert "v1.4.0" in str(tags)
        assert connection.execute("SELECT count(*) FROM patient_clinical").fetchone() == (5,)
        assert connection.execute("SELECT typeof(mean) FROM image_pps LIMIT 1").fetchone() == ("FLOAT[8]",)
    finally:
        connection.close()


DESCRIBED = """
SELECT table_name, column_name, data_type, comment FROM duckdb_columns()
WHERE database_name = 'catalog' ORDER BY table_name, column_index
"""


def test_rebuild_gives_equal_tables(study: Path) -> None:
    with Committer(study) as committer:
        ingest(committer, "external", patients=2)
        committer.adopt(publish_shards(study, image_ids("external", 2)))
        committer.record("runs", "failed", failure("gone"))
        add_feature_set(committer, "uni-1", dim=4)
        committer.adopt([write_shard(study, shard("internal/P000_1", feature_set="uni-1", dim=4))])
        ingest(committer, "internal", patients=4)
    kept = study.parent / "kept.duckdb"
    kept.write_bytes(catalog_path(study).read_bytes())
    described = query(study, DESCRIBED)
    assert rebuild(study) == catalog_path(study)
    assert tables_equal(kept, catalog_path(study))
    assert query(study, DESCRIBED).equals(described), "views too, though registering refreshes its own only"
    assert len(read_records(study)) == 8


def test_leftovers_of_a_killed_run_are_removed(study: Path) -> None:
    left = [
        study / ".catalog.duckdb.abc.tmp",
        study / ".hccfeat" / ".catalog.duckdb.abc.tmp.wal",
        study / "records" / "ingest" / ".x.json.abc.tmp",
        study / "features" / "pps-1" / "internal" / ".P.h5.abc.tmp",
    ]
    for path in left:
        path.write_text("half")
    os.utime(left[-1], (1, 1))
    (study / ".hccfeat" / "writer.lock").write_text("killed")
    with Committer(study):
        pass
    assert not [path for path in left if path.exists()]


def test_clinical_only_study(tmp_path: Path) -> None:
    tables = {name: rows for name, rows in cohort_tables(images=0).items() if name != "image"}
    with Committer(tmp_path) as committer:
        committer.record("ingest", "internal", tables, about={"clinical_columns": CLINICAL})
    assert query(tmp_path, "SELECT count(*) AS n FROM patient_clinical")["n"][0] == 5
    assert verify(tmp_path, isolated=False) == []


def test_make_study_is_sound(tmp_path: Path) -> None:
    assert verify(make_study(tmp_path / "s"), isolated=False) == []
