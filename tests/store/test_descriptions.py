"""Every table, view and column says what it holds, to any client."""

from pathlib import Path

import duckdb
import pytest

from hccfeat.errors import QueryError
from hccfeat.store.catalog import query, rebuild
from hccfeat.store.committer import Committer
from hccfeat.store.describe import catalog_contents, describe_table
from hccfeat.store.names import catalog_path
from tests.store.builder import CLINICAL, add_feature_set, cohort_tables, make_study

COLUMNS = "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"


def undescribed(study: Path) -> list[tuple[str, ...]]:
    """As a DuckDB client sees it that opens the catalog itself."""
    with duckdb.connect(str(catalog_path(study)), read_only=True) as client:
        missing = client.execute(f"{COLUMNS} AND coalesce(comment, '') = ''").fetchall()
        for kind, function in (("table", "duckdb_tables()"), ("view", "duckdb_views()")):
            missing += client.execute(
                f"SELECT {kind}_name FROM {function} WHERE NOT internal AND coalesce(comment, '') = ''"
            ).fetchall()
        return missing


def comments(study: Path, table: str) -> dict[str, str]:
    frame = query(study, f"{COLUMNS} AND table_name = ?", [table])
    return dict(frame.select("column_name", "comment").rows())


def test_nothing_lacks_a_description(read_study: Path, tmp_path: Path) -> None:
    assert undescribed(read_study) == []
    with Committer(tmp_path / "empty"):
        pass
    assert undescribed(tmp_path / "empty") == []


def test_clinical_variables_carry_the_words_of_the_data_dictionary(ingested_study: Path) -> None:
    assert undescribed(ingested_study) == []
    for table in ("clinical", "patient_clinical", "clinical_patient_pps"):
        assert comments(ingested_study, table)["afp"].startswith("AFP [ng/mL]. Alpha-fetoprotein")
    assert "recurrence" in comments(ingested_study, "clinical_image_pps")["recurrence_event"]


def test_views_follow_a_description_that_comes_later(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", results=False)
    assert "does not describe" in comments(study, "patient_clinical")["alt"]
    with Committer(study) as committer:
        tables = cohort_tables("external", patients=1, images=0)
        committer.record(
            "ingest",
            "external",
            {name: tables[name] for name in ("cohort", "patient", "clinical")},
            about={"clinical_columns": CLINICAL, "clinical_descriptions": {"alt": "ALT [U/L]"}},
        )
    assert comments(study, "patient_clinical")["alt"] == "ALT [U/L]"
    assert comments(study, "patient_clinical")["afp"] == "alpha-fetoprotein, the patient's"
    before = query(study, f"{COLUMNS} ORDER BY ALL")
    rebuild(study)
    assert query(study, f"{COLUMNS} ORDER BY ALL").equals(before)


def test_contents_in_words(read_study: Path) -> None:
    tables, columns = catalog_contents(read_study)
    rows = {row["name"]: row for row in tables.to_dicts()}
    assert (rows["patient"]["kind"], rows["patient"]["rows"]) == ("table", 5)
    assert rows["clinical_patient_pps"]["kind"] == "view"
    assert rows["patch_pps"]["description"] == "Patch-level vectors of pps-1, read as needed"
    assert set(columns["name"]) == set(rows)
    description, found = describe_table(read_study, "PATCH_pps_1")
    assert "pps-1" in description
    assert found["type"].to_list() == ["VARCHAR"] * 3 + ["BIGINT", "BIGINT", "FLOAT[8]"]
    assert describe_table(read_study, "patch_mri")[1]["type"][-1] == "FLOAT[1024]"
    with pytest.raises(QueryError, match="Did you mean patient"):
        describe_table(read_study, "patiens")


def test_vectors_have_a_fixed_length_at_every_level(tmp_path: Path) -> None:
    with Committer(tmp_path) as committer:
        add_feature_set(committer, "pps-1", 128)
    with duckdb.connect(str(catalog_path(tmp_path)), read_only=True) as client:
        types = client.execute(
            "SELECT table_name, data_type FROM duckdb_columns() "
            "WHERE column_name = 'mean' AND table_name LIKE '%pps%'"
        ).fetchall()
    assert dict(types) == dict.fromkeys(
        ("image_pps", "patient_pps", "image_vector_pps_1", "patient_vector_pps_1", "clinical_image_pps",
         "clinical_patient_pps"), "FLOAT[128]"
    )  # fmt: skip
