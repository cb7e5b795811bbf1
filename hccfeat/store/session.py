"""The analyst's SQL session: one SELECT at a time, read-only, with no way to files, network or settings."""

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from hccfeat.errors import QueryError, StoreError
from hccfeat.resources import resource_folder
from hccfeat.store.catalog import open_catalog
from hccfeat.store.names import safe_name
from hccfeat.store.scan import no_patches, scan_patches
from hccfeat.store.schema import PLACEHOLDER_DIMS

_READS_ONLY = (
    "The session is read-only: use SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN."
)
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LOCKS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


def run_sql(study: Path, sql: str, *, timeout_s: float | None = None) -> pl.DataFrame:
    """Run one read-only statement on the published catalog.

    Tables, views and ``patch_<feature set>`` (image_id, x, y, vector) are there; files, the network,
    extensions, other databases and settings are not.

    Parameters
    ----------
    study : Path
        Study folder.
    sql : str
        One statement.
    timeout_s : float, optional
        Stop the query after this many seconds.

    Returns
    -------
    polars.DataFrame
        Vectors come as Array(Float32, d).

    Raises
    ------
    QueryError
        If the statement is refused, fails or runs out of time; the message says what to do.
    StoreError
        If there is no catalog.
    """
    statement = _one_reading_statement(sql)
    with _session(study, statement) as connection, _time_limit(connection, timeout_s) as expired:
        try:
            relation = connection.sql(statement)
            if relation is None:
                raise QueryError("query", "gives no rows", _READS_ONLY)
            return relation.pl()
        except (duckdb.Error, pl.exceptions.PolarsError, RuntimeError) as error:
            if expired.is_set():
                problem = f"took longer than {timeout_s:g} seconds and was stopped"
                raise QueryError("query", problem, "Narrow it, or allow more time with --timeout.") from error
            raise _friendly(error) from error


def named_query(name: str) -> str:
    """Text of a worked query of ``sql/queries/``.

    Raises
    ------
    QueryError
        If there is none of that name.
    """
    known = named_queries()
    key = name.strip().replace("-", "_")
    if key not in known:
        raise QueryError(f"worked query {name!r}", "does not exist", f"Worked queries: {', '.join(known)}.")
    return (resource_folder("sql") / "queries" / f"{key}.sql").read_text(encoding="utf-8")


def named_queries() -> dict[str, str]:
    """Names of the worked queries, each with the question it answers (its first comment line)."""
    found = {}
    for path in sorted((resource_folder("sql") / "queries").glob("*.sql")):
        found[path.stem] = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("--").strip()
    return found


def _one_reading_statement(sql: str) -> str:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _friendly(error) from error
    if len(statements) != 1:
        problem = "is empty" if not statements else f"holds {len(statements)} statements"
        raise QueryError("query", problem, "Give exactly one statement.")
    statement = statements[0]
    kind = statement.type.name
    if kind == "EXPLAIN":
        inner = _EXPLAIN.sub("", _COMMENT.sub(" ", sql), count=1)
        kind = duckdb.extract_statements(inner)[0].type.name if inner.strip() else kind
    if kind not in ("SELECT", "MULTI") or (kind == "MULTI" and not re.search(r"\bpivot", sql, re.IGNORECASE)):
        raise QueryError("query", f"is a statement of type {kind}, which is not allowed", _READS_ONLY)
    return sql


@contextmanager
def _session(study: Path, statement: str) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = open_catalog(study)
    with tempfile.TemporaryDirectory(prefix="hccfeat-sql-") as spill:
        try:
            _register_patches(connection, study, statement)
            connection.execute(f"SET temp_directory = '{spill}'")
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


def _friendly(error: Exception) -> QueryError:
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    problem = re.sub(r"^[A-Za-z ]+ Error: ", "", lines[0]) if lines else type(error).__name__
    near = next((line for line in lines[1:] if line.lower().startswith(("did you mean", "candidate"))), "")
    if near:
        problem = f"{problem.rstrip('.!')} ({near.rstrip('.')})"
    if isinstance(error, duckdb.PermissionException):
        problem = "reaches outside the catalog: files, network and extensions are closed to it"
        return QueryError("query", problem, _READS_ONLY)
    remedies: list[tuple[type[Exception], str]] = [
        (duckdb.ParserException, "Check the spelling near that word."),
        (duckdb.CatalogException, "See the tables with SHOW TABLES."),
        (duckdb.BinderException, "See the columns of a table with DESCRIBE <table>."),
        (duckdb.ConversionException, "Cast with TRY_CAST, which gives NULL where it cannot."),
        (duckdb.OutOfMemoryException, "Select fewer columns or rows; leave vectors out where you can."),
    ]
    remedy = next((advice for kind, advice in remedies if isinstance(error, kind)), "Correct the statement.")
    if "cannot be read" in text and ".h5" in text:
        return QueryError(
            "query", "needs a shard that cannot be read", "Run `hccfeat verify`, then `hccfeat extract`."
        )
    return QueryError("query", problem.rstrip(".!"), remedy)


__all__ = ["QueryError", "StoreError", "named_queries", "named_query", "run_sql"]
