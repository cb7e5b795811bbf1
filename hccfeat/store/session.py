"""The analyst's SQL session: one SELECT at a time, read-only, with no way to files, network or settings."""

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import duckdb
import polars as pl
import pyarrow as pa

from hccfeat.errors import QueryError
from hccfeat.store.catalog import open_catalog
from hccfeat.store.limits import usual_memory
from hccfeat.store.names import catalog_path, safe_name
from hccfeat.store.representable import check_dates, check_types
from hccfeat.store.scan import no_patches, scan_patches
from hccfeat.store.schema import PLACEHOLDER_DIMS
from hccfeat.store.statements import READS_ONLY, friendly, reading_statement

_LOCKS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET GLOBAL python_enable_replacements = false",
    "SET max_temp_directory_size = '16GiB'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_LEFT_BEHIND = "SELECT 1 FROM duckdb_external_resource_types() UNION ALL SELECT 1 FROM duckdb_external_resources()"
_BATCH_ROWS = 65_536


class Session:
    """A locked read-only connection to the published catalog, kept from statement to statement.

    What DuckDB has read stays in memory for the next statement. The connection opens with the first one, and anew
    when another catalog has been published, so every statement sees the newest. It never hinders a committer.
    Threads may share a session; their statements run side by side and share its memory. Use it as a context
    manager, or close it; one that nothing refers to any more closes itself.

    Parameters
    ----------
    study : Path
        Study folder.
    """

    def __init__(self, study: Path) -> None:
        self.study = study
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type["Session"], tuple[Path]]:
        return Session, (self.study,)  # another process opens its own connection

    def sql(self, sql: str, *, timeout_s: float | None = None, memory: int | None = None) -> pl.DataFrame:
        """Run one read-only statement.

        Tables, views and ``patch_<feature set>`` (image_id, patient_id, cohort, x, y, vector) are there; files, the
        network, extensions, other databases and settings are not.

        Parameters
        ----------
        sql : str
            One statement, or the name of a worked query.
        timeout_s : float, optional
            Stop the query after this many seconds.
        memory : int, optional
            Bytes that queries may take; what is more goes to a temporary folder. The result may have half as many.
            Another number than before opens the connection anew.

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
        with self._cursor(limit) as cursor:
            _register_patches(cursor, self.study, statement)
            with _time_limit(cursor, timeout_s) as expired:
                try:
                    return _collect(cursor, statement, limit // 2)
                except (
                    duckdb.Error,
                    pl.exceptions.PolarsError,
                    pa.ArrowException,
                    MemoryError,
                    RuntimeError,
                    pl.exceptions.PanicException,  # of Polars' Rust code: no Exception
                ) as error:
                    if expired.is_set():
                        problem = f"took longer than {timeout_s:g} seconds and was stopped"
                        raise QueryError(
                            "query", problem, "Narrow it, or allow more time with --timeout."
                        ) from error
                    raise friendly(error) from error

    def close(self) -> None:
        """Let go of the catalog and remove temporary files once no statement runs; a later one opens it anew."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and not opened.statements:
            opened.close()

    @contextmanager
    def _cursor(self, memory: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one statement: what it registers goes with it, if need be with the engine."""
        with self._lock:
            state = _state(self.study, memory)
            if self._opened is None or self._opened.state != state:
                self._drop()
                self._opened = _Opened(self.study, memory, state)
            opened = self._opened
            cursor = opened.connection.cursor()
            opened.statements += 1
        try:
            cursor.execute("USE catalog")
            yield cursor
        finally:
            clean = _is_clean(cursor)
            cursor.close()
            with self._lock:
                opened.statements -= 1
                if not clean and opened is self._opened:
                    self._opened = None
                if opened is not self._opened and not opened.statements:
                    opened.close()


def run_sql(study: Path, sql: str, *, timeout_s: float | None = None, memory: int | None = None) -> pl.DataFrame:
    """Run one read-only statement on the published catalog in a session of its own; see :meth:`Session.sql`."""
    with Session(study) as session:
        return session.sql(sql, timeout_s=timeout_s, memory=memory)


class _Opened:
    """An engine on one state of the catalog, its folder for what does not fit into memory, and who uses it."""

    def __init__(self, study: Path, memory: int, state: tuple[Any, ...]) -> None:
        self.state = state
        self.statements = 0
        self.connection = open_catalog(study)
        spill = tempfile.mkdtemp(prefix="hccfeat-sql-")
        self.close = weakref.finalize(self, _close, self.connection, spill, os.getpid())
        try:
            self.connection.execute(f"SET temp_directory = '{spill}'")
            self.connection.execute(f"SET memory_limit = '{memory // 1024}KiB'")
            for lock in _LOCKS:
                self.connection.execute(lock)
        except BaseException:
            self.close()
            raise


_OF_PARENT: list[duckdb.DuckDBPyConnection] = []


def _close(connection: duckdb.DuckDBPyConnection, spill: str, process: int) -> None:
    if os.getpid() != process:
        _OF_PARENT.append(connection)  # closing would wait for threads that a forked process does not have
        return
    connection.close()
    shutil.rmtree(spill, ignore_errors=True)


def _is_clean(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Whether the engine still answers, and a statement left nothing in it that another would find."""
    try:
        return not cursor.execute(_LEFT_BEHIND).fetchall()
    except duckdb.CatalogException:
        return True  # DuckDB before 2.0 knows no external resources
    except duckdb.Error:
        return False


def _state(study: Path, memory: int) -> tuple[Any, ...]:
    """What a connection stands for: process, memory, and the published file, which a committer never changes."""
    with suppress(OSError):
        file = catalog_path(study).stat()
        return os.getpid(), memory, file.st_ino, file.st_mtime_ns, file.st_size
    return os.getpid(), memory


def _collect(connection: duckdb.DuckDBPyConnection, statement: str, limit: int) -> pl.DataFrame:
    """Read the result in batches, so that one that is too large is noticed before it fills the memory."""
    relation = connection.sql(statement)
    if relation is None:
        raise QueryError("query", "gives no rows", READS_ONLY)
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    check_types(reader.schema)
    batches, size = [], 0
    for batch in reader:
        check_dates(batch)
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
    if seconds is None or seconds >= threading.TIMEOUT_MAX:
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
