"""Making, opening and publishing catalog files."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

import duckdb

from hccfeat.errors import StoreError
from hccfeat.files import copy_file, flush_to_disk, write_atomically
from hccfeat.store.apply import apply_record, apply_shards
from hccfeat.store.findings import Finding
from hccfeat.store.names import catalog_path, private_catalog_path, quarantine_folder, shard_entries
from hccfeat.store.records import Record, read_records
from hccfeat.store.schema import STORAGE_VERSION, create_tables, refresh_views
from hccfeat.store.shards import ShardInfo, check_shard

BATCH = 500
"""Shards per transaction when many are adopted at once."""

ROW_GROUP = 30_720
"""Rows that one thread reads at a time; DuckDB's usual 122,880 leave threads idle on tables of image vectors."""

_STALE_SECONDS = 600.0

_NOT_WRITTEN = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.TransactionException)
"""How DuckDB says that it cannot write; the last where a commit failed: there is one writer only."""


def attach(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Connect to a catalog file under the name ``catalog``, in an engine instance of its own.

    A plain connection would share its settings and locks with every other one of this process.
    """
    connection = duckdb.connect()
    options = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP}"
    quoted = str(path).replace("'", "''")
    try:
        if not read_only:
            # Packed floats are a sixth smaller, and take twice as long to compare.
            connection.execute("SET disabled_compression_methods = 'alp,alprd'")
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
    except _NOT_WRITTEN as error:
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
    except _NOT_WRITTEN as error:
        raise _not_written(error) from error


def _not_written(error: duckdb.Error) -> StoreError:
    return StoreError(
        "the catalog",
        f"could not be written ({str(error).splitlines()[0]})",
        "Make room on the disk and run the command again; shards and records that were written are kept.",
    )


def damage(error: BaseException | None) -> str:
    """What DuckDB says of a database file that is damaged, if that is what an error is about, else nothing."""
    for one in (error, getattr(error, "__cause__", None)):
        if isinstance(one, duckdb.Error) and "corrupt" in str(one).lower():
            return str(one).splitlines()[0]
    return ""


def discard_if_damaged(study: Path, error: BaseException | None) -> StoreError | None:
    """Remove the committer's catalog if that is what an error is about; the error that says so instead."""
    problem, private = damage(error), private_catalog_path(study)
    if not problem:
        return None
    private.unlink(missing_ok=True)
    private.with_name(private.name + ".wal").unlink(missing_ok=True)
    return StoreError(
        str(private), f"was damaged ({problem})", "Run the command again: it is made anew from records and shards."
    )


def build_catalog(
    study: Path,
    target: Path,
    records: list[Record] | None = None,
    shards: Iterable[ShardInfo] | None = None,
    *,
    views: bool = True,
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
    views : bool
        False makes the tables only, which is what is compared.

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
                    apply_record(connection, record, study, views=False)
                if views:
                    refresh_views(connection)
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
        for relative in sorted(shard_entries(study, name).keys() - committed):
            path = study / relative
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


def remake_catalog(
    study: Path, records: list[Record] | None = None, shards: Iterable[ShardInfo] | None = None
) -> list[Finding]:
    """Make the committer's catalog anew from records and shards; see :func:`build_catalog`.

    Rows of a record that is lost are in the old catalog only, so a copy of that goes to the folder ``quarantine``.
    """
    private = private_catalog_path(study)
    new = private.with_name("catalog.new.duckdb")
    found = build_catalog(study, new, records, shards)
    found += _keep_lost_records(study)
    # A log of the old file must never be replayed onto the new one. A kill between the steps leaves no
    # catalog, which the next committer makes again.
    private.unlink(missing_ok=True)
    private.with_name(private.name + ".wal").unlink(missing_ok=True)
    new.replace(private)
    flush_to_disk(private.parent)
    return found


def keep_catalog(study: Path) -> Path:
    """Copy the readers' catalog into the folder ``quarantine``; return the copy."""
    copies = (quarantine_folder(study) / f"catalog.{number}.duckdb" for number in count(1))
    copy = next(path for path in copies if not path.exists())
    write_atomically(copy, partial(copy_file, catalog_path(study)))
    return copy


def _keep_lost_records(study: Path) -> list[Finding]:
    try:
        connection = attach(catalog_path(study), read_only=True)
        paths = connection.execute("SELECT path FROM record ORDER BY path").fetchall()
        connection.close()
    except duckdb.Error:  # none yet, or unreadable
        return []
    lost = [path for (path,) in paths if not (study / path).is_file()]
    if not lost:
        return []
    copy = keep_catalog(study)
    remedy = f"Restore the file from a backup; {copy.relative_to(study)} still shows its rows."
    return [Finding(path, "is lost, and the new catalog lacks its rows", remedy) for path in lost]


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

    write_atomically(catalog_path(study), partial(copy_file, private))


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
