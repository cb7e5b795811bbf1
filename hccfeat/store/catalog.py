"""Reading the published catalog, making it anew, and comparing two."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import polars as pl

from hccfeat.errors import StoreError
from hccfeat.store.build import attach, damage, publish, remake_catalog
from hccfeat.store.findings import Finding
from hccfeat.store.lock import WriterLock
from hccfeat.store.names import catalog_path
from hccfeat.store.schema import schema_digest


class Ask(Protocol):
    """Runs a SELECT: on the published catalog, or on an open committer's."""

    def __call__(self, sql: str, params: Sequence[Any] | None = None) -> pl.DataFrame:
        """Run it; ``?`` stands for a parameter."""
        ...


Catalog = Path | Ask
"""What can be asked: a study folder, whose published catalog is opened for each statement, or an open catalog."""


def open_catalog(study: Path) -> duckdb.DuckDBPyConnection:
    """Connect read-only to the published catalog; close the connection when done.

    It stays what it was when opened, also while a committer publishes newer copies.

    Raises
    ------
    StoreError
        If there is no catalog, or it cannot be opened.
    """
    path = catalog_path(study)
    if not path.is_file():
        raise StoreError(
            str(path), "does not exist", "Run `hccfeat init` (new study) or `hccfeat rebuild-catalog`."
        )
    try:
        return attach(path, read_only=True)
    except duckdb.Error as error:
        problem = f"cannot be opened ({str(error).splitlines()[0]})"
        raise StoreError(str(path), problem, "Run `hccfeat rebuild-catalog`.") from error


@contextmanager
def asking(study: Path) -> Iterator[Ask]:
    """Open the published catalog once for several statements; see :func:`query` for one.

    Raises
    ------
    StoreError
        If there is no catalog, it cannot be opened, or it is another version's and lacks what a statement names.
    """
    connection = open_catalog(study)

    def ask(sql: str, params: Sequence[Any] | None = None) -> pl.DataFrame:
        try:
            return connection.sql(sql, params=list(params or [])).pl()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            row = connection.execute("SELECT value FROM catalog_fact WHERE fact = 'schema'").fetchone()
            if row is not None and row[0] == schema_digest():
                raise
            problem = f"was made by another version of hccfeat ({str(error).splitlines()[0]})"
            raise StoreError(str(catalog_path(study)), problem, "Run `hccfeat rebuild-catalog`.") from error

    try:
        yield ask
    except duckdb.Error as error:
        if not damage(error):
            raise
        problem = f"is damaged ({damage(error)})"
        raise StoreError(str(catalog_path(study)), problem, "Run `hccfeat rebuild-catalog`.") from error
    finally:
        connection.close()


def query(catalog: Catalog, sql: str, params: Sequence[Any] | None = None) -> pl.DataFrame:
    """Run one SELECT of the package's own.

    Parameters
    ----------
    catalog : Path or Ask
        Study folder, whose published catalog is opened, or a catalog that is open.
    sql : str
        Statement; ``?`` stands for a parameter.
    params : sequence, optional
        Values of the parameters.

    Returns
    -------
    polars.DataFrame
        Vectors come as Array(Float32, d).

    Raises
    ------
    StoreError
        As :func:`asking`.
    """
    if not isinstance(catalog, Path):
        return catalog(sql, params)
    with asking(catalog) as ask:
        return ask(sql, params)


def rebuild(study: Path, findings: list[Finding] | None = None) -> Path:
    """Make the catalog anew from records and shards, and publish it.

    Parameters
    ----------
    study : Path
        Study folder.
    findings : list of Finding, optional
        Damaged shards, which are left out, and lost records are appended here; ``verify`` reports them too.

    Returns
    -------
    Path
        The published catalog.

    Raises
    ------
    StudyBusyError
        If another process writes to the study.
    StoreError
        If a record is damaged; the old catalog stays.
    """
    study = study.resolve()
    lock = WriterLock(study)
    lock.acquire()
    clean = False
    try:
        found = remake_catalog(study)
        publish(study)
        clean = True
    finally:
        lock.release(clean=clean)
    if findings is not None:
        findings += found
    return catalog_path(study)


def tables_equal(a: Path, b: Path) -> bool:
    """Whether two catalog files hold the same tables with the same rows, vectors included."""
    return not table_differences(a, b)


def table_differences(a: Path, b: Path) -> list[str]:
    """Tables in which two catalog files differ, each with what differs; rows compare as multisets."""
    connection = duckdb.connect()
    try:
        for name, path in (("a", a), ("b", b)):
            quoted = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)")
        tables = _tables(connection)
        differences = []
        for table in sorted(set(tables["a"]) | set(tables["b"])):
            if tables["a"].get(table) != tables["b"].get(table):
                differences.append(f"{table}: columns differ")
                continue
            only = _only_in_each(connection, table)
            if any(only):
                differences.append(f"{table}: {only[0]} rows only in the first, {only[1]} only in the second")
        return differences
    finally:
        connection.close()


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Columns and their types by table, of catalogs ``a`` and ``b``."""
    rows = connection.execute(
        "SELECT c.database_name, c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c "
        "JOIN duckdb_tables() AS t ON t.table_oid = c.table_oid AND t.database_name = c.database_name "
        "WHERE c.database_name IN ('a', 'b') ORDER BY c.table_name, c.column_index"
    ).fetchall()
    found: dict[str, dict[str, list[tuple[str, str]]]] = {"a": {}, "b": {}}
    for database, table, column, kind in rows:
        found[database].setdefault(table, []).append((column, kind))
    return found


def _only_in_each(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[int, int]:
    """How many rows of a table only ``a`` has, and only ``b``: both have equally many of those they share."""
    sizes = connection.execute(
        f'SELECT (SELECT count(*) FROM a."{table}"), (SELECT count(*) FROM b."{table}")'
    ).fetchone()
    assert sizes is not None
    if not any(sizes):
        return 0, 0
    row = connection.execute(
        f'SELECT count(*) FROM (SELECT * FROM a."{table}" EXCEPT ALL SELECT * FROM b."{table}")'
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[0] - sizes[0] + sizes[1])
