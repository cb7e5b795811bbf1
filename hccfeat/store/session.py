"""The analyst's SQL session: one SELECT at a time, read-only, with no way to files, network or settings."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from hccfeat.errors import QueryError
from hccfeat.store.catalog import open_catalog
from hccfeat.store.limits import usual_memory
from hccfeat.store.names import safe_name
from hccfeat.store.scan import no_patches, scan_patches
from hccfeat.store.schema import PLACEHOLDER_DIMS
from hccfeat.store.statements import READS_ONLY, friendly, reading_statement

_LOCKS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET max_temp_directory_size = '16GiB'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_BATCH_ROWS = 65_536


def run_sql(study: Path, sql: str, *, timeout_s: float | None = None, memory: int | None = None) -> pl.DataFrame:
    """Run one read-only statement on the published catalog.

    Tables, views and ``patch_<feature set>`` (image_id, x, y, vector) are there; files, the network,
    extensions, other databases and settings are not.

    Parameters
    ----------
    study : Path
        Study folder.
    sql : str
        One statement, or the name of a worked query.
    timeout_s : float, optional
        Stop the query after this many seconds.
    memory : int, optional
        Bytes that the query may take; what is more goes to a temporary folder. The result may have half as many.

    Returns
    -------
    polars.DataFrame
        Vectors come as Array(Float32, d).

    Raises
    ------
    QueryError
        If the statement is refused, fails, or runs out of time or memory; the message says what to do.
    StoreError
        If there is no catalog.
    """
    statement = reading_statement(sql)
    limit = memory or usual_memory()
    with _session(study, statement, limit) as connection, _time_limit(connection, timeout_s) as expired:
        try:
            return _collect(connection, statement, limit // 2)
        except (duckdb.Error, pl.exceptions.PolarsError, pa.ArrowException, MemoryError, RuntimeError) as error:
            if expired.is_set():
                problem = f"took longer than {timeout_s:g} seconds and was stopped"
                raise QueryError("query", problem, "Narrow it, or allow more time with --timeout.") from error
            raise friendly(error) from error


def _collect(connection: duckdb.DuckDBPyConnection, statement: str, limit: int) -> pl.DataFrame:
    """Read the result in batches, so that one that is too large is noticed before it fills the memory."""
    relation = connection.sql(statement)
    if relation is None:
        raise QueryError("query", "gives no rows", READS_ONLY)
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    batches, size = [], 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > limit:
            problem = f"gives a result of more than {limit / (1 << 30):g} GiB"
            raise QueryError("query", problem, "Add a LIMIT, select fewer columns, or allow more with --memory.")
    table = pa.Table.from_batches(batches, schema=reader.schema)
    return pl.DataFrame(table.rename_columns(_distinct(table.column_names)))


def _distinct(names: list[str]) -> list[str]:
    """Column names of a join, which may come twice: the second ``cohort`` becomes ``cohort_1``."""
    found: list[str] = []
    for name in names:
        number, free = 0, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


@contextmanager
def _session(study: Path, statement: str, memory: int) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = open_catalog(study)
    with tempfile.TemporaryDirectory(prefix="hccfeat-sql-") as spill:
        try:
            _register_patches(connection, study, statement)
            connection.execute(f"SET temp_directory = '{spill}'")
            connection.execute(f"SET memory_limit = '{memory // 1024}KiB'")
            for lock in _LOCKS:
                connection.execute(lock)
            yield connection
        finally:
            connection.close()


def _register_patches(connection: duckdb.DuckDBPyConnection, study: Path, statement: str) -> None:
    """Give the session the patch tables that the statement may mean: of each feature set, and the newest's."""
    text = statement.lower()
    if "patch_" not in text:
        return
    tables = dict(connection.execute("SELECT base, feature_set FROM newest_feature_set").fetchall())
    tables.update((name, name) for (name,) in connection.execute("SELECT feature_set FROM feature_set").fetchall())
    for name, feature_set in tables.items():
        if f"patch_{safe_name(name)}" in text:
            connection.register(f"patch_{safe_name(name)}", scan_patches(study, feature_set))
    for base, dim in PLACEHOLDER_DIMS.items():
        if base not in tables:
            connection.register(f"patch_{base}", no_patches(dim))


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, seconds: float | None) -> Iterator[threading.Event]:
    expired = threading.Event()
    if seconds is None:
        yield expired
        return

    def stop() -> None:
        expired.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
