"""The partitioned Parquet catalog, read back by DuckDB and by Polars."""

import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from hccfeat.errors import InputError
from hccfeat.exchange import parquet_catalog
from hccfeat.exchange.parquet_catalog import ParquetExport, export_parquet
from hccfeat.files import sha256_of_file
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.scan import scan_patches
from tests.store.builder import add_mri, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_study(tmp_path_factory.mktemp("parquet") / "study")
    with Committer(folder) as committer:
        add_mri(committer, folder)
    return folder


@pytest.fixture(scope="module")
def exported(study: Path, tmp_path_factory: pytest.TempPathFactory) -> ParquetExport:
    return export_parquet(study, tmp_path_factory.mktemp("out") / "lake", patches=True)


def duck(folder: Path, table: str, rest: str) -> list[tuple]:
    with duckdb.connect() as connection:
        files = f"read_parquet('{folder / table}/**/*.parquet', hive_partitioning = true)"
        return connection.execute(rest.replace("TABLE", files)).fetchall()


def test_every_row_of_every_table_is_there(study: Path, exported: ParquetExport) -> None:
    for table, rows in exported.tables.items():
        if rows:
            assert duck(exported.folder, table, "SELECT count(*) FROM TABLE") == [(rows,)]
        if table not in ("image_vector", "patient_vector", "patch_vector"):
            assert query(study, f'SELECT count(*) AS n FROM "{table}"')["n"][0] == rows, table
    assert exported.tables["image_vector"] == 9 + 2
    assert not set(exported.tables) & {"record", "catalog_fact"}


def test_partitions_are_folders_of_feature_set_and_cohort(exported: ParquetExport) -> None:
    files = sorted(
        p.relative_to(exported.folder).as_posix() for p in exported.folder.glob("image_vector/**/*.parquet")
    )
    assert files == [
        "image_vector/feature_set=mri-1/cohort=external/part-00000.parquet",
        "image_vector/feature_set=pps-1/cohort=internal/part-00000.parquet",
    ]
    rows = duck(exported.folder, "patient", "SELECT cohort, count(*) FROM TABLE GROUP BY ALL ORDER BY ALL")
    assert rows == [("external", 3), ("internal", 5)]


def test_duckdb_joins_vectors_and_tables(study: Path, exported: ParquetExport) -> None:
    sql = "SELECT image_id, mean::FLOAT[8] FROM TABLE WHERE feature_set = 'pps-1' ORDER BY image_id"
    found = duck(exported.folder, "image_vector", sql)
    wanted = query(study, "SELECT image_id, mean FROM image_vector_pps_1 ORDER BY image_id")
    assert [row[0] for row in found] == wanted["image_id"].to_list()
    assert np.array_equal(np.array([row[1] for row in found], dtype=np.float32), wanted["mean"].to_numpy())


def test_polars_reads_patches_as_the_store_does(study: Path, exported: ParquetExport) -> None:
    lazy = pl.scan_parquet(exported.folder / "patch_vector", hive_partitioning=True)
    found = lazy.filter(pl.col("feature_set") == "pps-1").select("image_id", "x", "y", "vector").collect()
    wanted = scan_patches(study, "pps-1").drop("patient_id", "cohort").collect()
    assert found.with_columns(pl.col("vector").list.to_array(8)).equals(wanted)


def test_patches_are_cut_into_files_by_whole_images(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: ParquetExport
) -> None:
    monkeypatch.setattr(parquet_catalog, "ROWS_PER_FILE", 20)
    export_parquet(study, tmp_path / "lake", feature_sets=["pps-1"], patches=True)
    files = sorted((tmp_path / "lake" / "patch_vector").glob("*/*/*.parquet"))
    assert [pl.read_parquet(path)["image_id"].n_unique() for path in files] == [4, 3, 2]
    again = pl.scan_parquet(tmp_path / "lake" / "patch_vector", hive_partitioning=True).collect()
    whole = pl.scan_parquet(exported.folder / "patch_vector", hive_partitioning=True)
    assert again.equals(whole.filter(pl.col("feature_set") == "pps-1").collect())


def test_the_schema_documents_every_column(exported: ParquetExport) -> None:
    described = json.loads((exported.folder / parquet_catalog.SCHEMA_FILE).read_text())["tables"]
    assert set(described) == set(exported.tables)
    for table, facts in described.items():
        if exported.tables[table]:
            columns = {row[0]: row[1] for row in duck(exported.folder, table, "DESCRIBE SELECT * FROM TABLE")}
            assert columns == {name: column["type"] for name, column in facts["columns"].items()}, table
    assert "FLOAT[]" in json.dumps(described["image_vector"])
    assert described["shard"]["columns"]["digest"]["description"].startswith("SHA-256")


def test_a_choice_of_partitions_and_equal_bytes(study: Path, exported: ParquetExport, tmp_path: Path) -> None:
    part = export_parquet(study, tmp_path / "part", cohorts=["external"])
    assert part.tables["patient"] == 3
    assert part.tables["image_vector"] == 2
    assert not (part.folder / "patch_vector").exists()
    for path in sorted(part.folder.rglob("*.parquet")):
        twin = exported.folder / path.relative_to(part.folder)
        assert sha256_of_file(path) == sha256_of_file(twin)


def test_wrong_requests_leave_nothing(study: Path, exported: ParquetExport, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an empty folder"):
        export_parquet(study, exported.folder)
    with pytest.raises(InputError, match=r"feature set pps-9: .*There is mri-1, pps-1"):
        export_parquet(study, tmp_path / "new", feature_sets=["pps-9"])
    with pytest.raises(InputError, match="cohort nowhere"):
        export_parquet(study, tmp_path / "new", cohorts=["nowhere"])
    assert list(tmp_path.iterdir()) == []
