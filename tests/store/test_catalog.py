from pathlib import Path

import duckdb
import polars as pl
import pytest

from hccfeat.errors import StoreError
from hccfeat.store.catalog import open_catalog, query, table_differences, tables_equal
from hccfeat.store.names import catalog_path


def test_query_with_parameters(read_study: Path) -> None:
    frame = query(read_study, "SELECT patient_id FROM patient WHERE patient_id = ?", ["internal/P001"])
    assert frame["patient_id"].to_list() == ["internal/P001"]
    assert query(read_study, "SELECT mean FROM image_pps LIMIT 1").schema["mean"] == pl.Array(pl.Float32, 8)


def test_the_published_catalog_is_read_only(read_study: Path) -> None:
    connection = open_catalog(read_study)
    try:
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("DELETE FROM patient")
    finally:
        connection.close()


def test_a_file_that_is_no_catalog(tmp_path: Path) -> None:
    catalog_path(tmp_path).write_bytes(b"nonsense" * 1000)
    with pytest.raises(StoreError, match="rebuild-catalog"):
        open_catalog(tmp_path)


def make(path: Path, *statements: str) -> Path:
    connection = duckdb.connect(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


BASE = ("CREATE TABLE t (x INT, v FLOAT[2])", "INSERT INTO t VALUES (1, [1, 2]), (1, [1, 2]), (NULL, [0.1, 0.2])")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((), None),
        (("INSERT INTO t VALUES (1, [1, 2])",), "t: 0 rows only in the first, 1 only in the second"),
        (("DELETE FROM t",), "t: 3 rows only in the first, 0 only in the second"),
        (("UPDATE t SET v = [0.1, 0.20000002] WHERE x IS NULL",), "t: 1 rows only in the first, 1"),
        (("ALTER TABLE t ADD COLUMN y INT",), "t: columns differ"),
        (("CREATE TABLE u (x INT)",), "u: columns differ"),
    ],
)
def test_table_differences(tmp_path: Path, changes: tuple[str, ...], words: str | None) -> None:
    a, b = make(tmp_path / "a.duckdb", *BASE), make(tmp_path / "b.duckdb", *BASE, *changes)
    differences = table_differences(a, b)
    assert tables_equal(a, b) == (words is None)
    if words is not None:
        assert differences[0].startswith(words)
