"""Making, opening and publishing catalog files."""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from hccfeat.errors import StoreError
from hccfeat.files import flush_to_disk, write_atomically
from hccfeat.store.apply import apply_record, apply_shards
from hccfeat.store.findings import Finding
from hccfeat.store.names import catalog_path, private_catalog_path, shard_files
from hccfeat.store.records import Record, read_records
from hccfeat.store.schema import STORAGE_VERSION, create_tables
from hccfeat.store.shards import ShardInfo, check_shard

BATCH = 500
"""Shards per transaction when many are adopted at once."""

_STALE_SECONDS = 600.0


def attach(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Connect to a catalog file under the name ``catalog``, in an engine instance of its own.

    A plain connection would share its settings and locks with every other one of this process.
    """
    connection = duckdb.connect()
    options = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}'"
    quoted = str(path).replace("'", "''")
    try:
        connection.execute(f"ATTACH '{quoted}' AS catalog ({options})")
        connection.execute("USE catalog")
    except duckdb.Error:
        connection.close()
        raise
    return connection


def detach(connection: duckdb.DuckDBPyConnection) -> None:
    """Checkpoint, let go of the file (its write-ahead log is gone then) and close."""
    try:
        if not _is_read_only(connection):
            connection.execute("CHECKPOINT catalog")
        connection.execute("USE memory")
        connection.execute("DETACH catalog")
    finally:
        connection.close()


def _is_read_only(connection: duckdb.DuckDBPyConnection) -> bool:
    row = connection.execute("SELECT readonly FROM duckdb_databases() WHERE database_name = 'catalog'").fetchone()
    return row is None or bool(row[0])


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit at the end, or roll back.

    Raises
    ------
    StoreError
        If the catalog cannot be written (a full disk).
    """
    try:
        connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):  # a connection that cannot roll back is closed without a commit
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
        raise _not_written(error) from error


def checkpoint(connection: duckdb.DuckDBPyConnection) -> None:
    """Move what is committed from the log into the catalog file.

    Raises
    ------
    StoreError
        If the catalog cannot be written (a full disk); what is committed stays in the log.
    """
    try:
        connection.execute("CHECKPOINT catalog")
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
        raise _not_written(error) from error


def _not_written(error: duckdb.Error) -> StoreError:
    return StoreError(
        "the catalog",
        f"could not be written ({str(error).splitlines()[0]})",
        "Make room on the disk and run the command again; shards and records that were written are kept.",
    )


def build_catalog(
    study: Path, target: Path, records: list[Record] | None = None, shards: Iterable[ShardInfo] | None = None
) -> list[Finding]:
    """Make a catalog file from the study's records and shards; it appears complete or not at all.

    Parameters
    ----------
    study : Path
        Study folder.
    target : Path
        Catalog file, replaced if present.
    records : list of Record, optional
        In sequence order; read from the study by default.
    shards : iterable of ShardInfo, optional
        Checked from the files of every registered feature set by default.

    Returns
    -------
    list of Finding
        Damaged shards that were left out.

    Raises
    ------
    StoreError
        If a record is damaged, or the study holds records that do not fit together.
    """
    found: list[Finding] = []
    history = read_records(study) if records is None else records

    def write(temporary: Path) -> None:
        connection = attach(temporary, read_only=False)
        try:
            with transaction(connection):
                create_tables(connection)
                for record in history:
                    apply_record(connection, record, study)
            infos = found_shards(study, connection, found) if shards is None else shards
            for batch in batches(infos):
                with transaction(connection):
                    apply_shards(connection, batch)
        finally:
            detach(connection)

    write_atomically(target, write)
    return found


def found_shards(
    study: Path, connection: duckdb.DuckDBPyConnection, damaged: list[Finding], feature_set: str | None = None
) -> Iterator[ShardInfo]:
    """Check every published shard that the catalog does not hold yet, of one or of all feature sets.

    Damaged ones are appended to ``damaged`` and left out.
    """
    known = connection.execute("SELECT feature_set, sha256 FROM feature_set ORDER BY feature_set").fetchall()
    for name, identity in known:
        if feature_set not in (None, name):
            continue
        rows = connection.execute("SELECT path FROM shard WHERE feature_set = ?", [name]).fetchall()
        committed = {row[0] for row in rows}
        for path in shard_files(study, name):
            if path.relative_to(study).as_posix() in committed:
                continue
            try:
                info = check_shard(path)
                if info.feature_set_sha256 != identity:
                    problem = f"was made by another encoder or recipe than {name}"
                    raise StoreError(str(path), problem, "Delete it and run `hccfeat extract` again.")
            except StoreError as error:
                damaged.append(Finding(error.entity, error.problem, error.remedy))
            else:
                yield info


def batches(infos: Iterable[ShardInfo]) -> Iterator[list[ShardInfo]]:
    """Group shards so that neither memory nor the number of transactions grows with their number."""
    batch: list[ShardInfo] = []
    for info in infos:
        batch.append(info)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def remake_catalog(study: Path) -> list[Finding]:
    """Make the committer's catalog anew from records and shards; see :func:`build_catalog`."""
    private = private_catalog_path(study)
    new = private.with_name("catalog.new.duckdb")
    found = build_catalog(study, new)
    # A log of the old file must never be replayed onto the new one. A kill between the steps leaves no
    # catalog, which the next committer makes again.
    private.unlink(missing_ok=True)
    private.with_name(private.name + ".wal").unlink(missing_ok=True)
    new.replace(private)
    flush_to_disk(private.parent)
    return found


def publish(study: Path) -> None:
    """Replace the readers' copy by the committer's catalog, which no connection holds open.

    Raises
    ------
    StoreError
        If the catalog still has a log, so that a copy would be incomplete.
    """
    private = private_catalog_path(study)
    if private.with_name(private.name + ".wal").exists():
        raise StoreError(str(private), "still has a log after a checkpoint", "Run any writing command again.")

    def copy(temporary: Path) -> None:
        shutil.copyfile(private, temporary)

    write_atomically(catalog_path(study), copy)


def remove_leftovers(study: Path) -> None:
    """Remove temporary files of a killed writer; those of workers that may still run only when they are old."""
    own = [*study.glob(".*.tmp*"), *(study / ".hccfeat").glob(".*.tmp*"), *(study / "records").glob("*/.*.tmp*")]
    old = time.time() - _STALE_SECONDS
    for path in own:
        path.unlink(missing_ok=True)
    for path in [*(study / "features").glob("*/*/.*.tmp"), *(study / ".hccfeat").glob("*/*/*/.*.tmp")]:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < old:
                path.unlink()
