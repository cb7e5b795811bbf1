"""The committer: the only thing that writes to a study's catalog."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import polars as pl

from hccfeat.errors import StoreError, StudyBusyError
from hccfeat.store.apply import apply_record, apply_shards
from hccfeat.store.build import (
    attach,
    batches,
    checkpoint,
    damage,
    detach,
    discard_if_damaged,
    found_shards,
    publish,
    remake_catalog,
    remove_leftovers,
    transaction,
)
from hccfeat.store.findings import Finding
from hccfeat.store.lock import WriterLock
from hccfeat.store.names import catalog_path, private_catalog_path
from hccfeat.store.presence import images_in_place
from hccfeat.store.records import Rows, new_record, publish_record, read_record, record_files
from hccfeat.store.schema import schema_digest
from hccfeat.store.shards import ShardInfo, check_shard, present_shard

PUBLISH_SECONDS = 60.0
PUBLISH_SHARE = 0.02
"""Readers get a copy at most once a minute, and so rarely that copying takes at most 2 % of a long run."""


class Committer:
    """Writes to one study; use it as a context manager.

    On entry it takes the writer lock, makes the catalog if there is none (or if it is damaged, or of another
    schema), applies records that a killed run left unapplied, and, after a kill, adopts shards that were
    published but not committed: running again is the recovery. On exit it publishes the readers' copy.

    Parameters
    ----------
    study : Path
        Study folder.

    Attributes
    ----------
    findings : list of Finding
        Problems met on entry or by :meth:`adopt_found`: damaged shards, a catalog that had to be made again.

    Raises
    ------
    StudyBusyError
        On entry, if another process writes to the study.
    StoreError
        On entry, if a record is damaged.
    """

    def __init__(self, study: Path) -> None:
        self.study = study.resolve()
        self.findings: list[Finding] = []
        self._lock = WriterLock(self.study)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._dirty = False
        self._published_at = 0.0
        self._publish_took = 0.0

    def __enter__(self) -> Self:
        clean = self._lock.acquire()
        try:
            if not clean:
                remove_leftovers(self.study)
            self._open(clean=clean)
            self.publish()  # this process reads the readers' copy too: it must know what a killed run left
        except BaseException as error:
            self._end(error, clean=False)
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        clean = False
        try:
            if not damage(error):
                self.publish()
                clean = True
        except StoreError as problem:
            if error is None:
                raise
            error.add_note(str(problem))
        finally:
            self._end(error, clean=clean)

    def _end(self, error: BaseException | None, *, clean: bool) -> None:
        self._close()
        damaged = discard_if_damaged(self.study, error)
        self._lock.release(clean=clean)
        if damaged:
            raise damaged from error

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open catalog."""
        if self._connection is None:
            raise StoreError(str(self.study), "its committer is not open", "Use it in a with statement.")
        return self._connection

    def query(self, sql: str, params: Sequence[Any] | None = None) -> pl.DataFrame:
        """Run a SELECT on the committer's own catalog: it sees what is not published yet."""
        return self.connection.sql(sql, params=list(params or [])).pl()

    def record(
        self,
        kind: str,
        name: str,
        tables: Mapping[str, Rows],
        replaces: Mapping[str, Mapping[str, str]] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a record and apply it.

        The record is tried in an open transaction, then its file is published, then the transaction commits:
        a record that does not fit leaves nothing behind, and after a kill the file is applied on the next
        entry.

        Parameters
        ----------
        kind : {"ingest", "splits", "runs", "results", "freezes", "feature_sets"}
            Folder of the record.
        name : str
            What it is about.
        tables : mapping
            Rows to insert, by catalog table; missing is None, NaN is refused.
        replaces : mapping, optional
            ``{table: {column: value}}``: rows removed before the insert. ``cohort`` also works for tables that
            only have ``patient_id``.
        about : mapping, optional
            Further facts; ``clinical_columns`` (name -> DOUBLE, BOOLEAN, BIGINT or VARCHAR) adds columns to
            table ``clinical``, ``clinical_descriptions`` (name -> text) describes them.

        Returns
        -------
        Path
            The record's file.

        Raises
        ------
        StoreError
            If a table or column is unknown, a value is NaN or does not fit, or a key comes twice.
        """
        record = new_record(self.study, kind, name, tables, replaces, about)
        with transaction(self.connection):
            apply_record(self.connection, record, self.study)
            try:
                publish_record(record)
            except OSError as error:
                problem = f"could not be written ({error.strerror or error})"
                raise StoreError(
                    str(record.path), problem, "Make room on the disk and run the command again."
                ) from error
        self._dirty = True
        checkpoint(self.connection)  # keeps changes of tables out of the log
        return record.path

    def adopt(self, shards: Sequence[ShardInfo]) -> None:
        """Commit published shards in one transaction; publish the readers' copy now and then.

        Raises
        ------
        StoreError
            If a feature set is unknown or of another dimension, or a file is not the one described.
        """
        present = [present_shard(self.study, info) for info in shards]
        with transaction(self.connection):
            apply_shards(self.connection, present)
        self._dirty = self._dirty or bool(shards)
        if time.monotonic() - self._published_at > max(PUBLISH_SECONDS, self._publish_took / PUBLISH_SHARE):
            self.publish()

    def adopt_found(self, feature_set: str) -> list[ShardInfo]:
        """Adopt shards that are on disk but not in the catalog; damaged ones go to ``findings``."""
        adopted = []
        for batch in batches(found_shards(self.study, self.connection, self.findings, feature_set)):
            self.adopt(batch)
            adopted += batch
        return adopted

    def done_images(self, feature_set: str) -> set[str]:
        """Images whose committed shard is still in place.

        A file of the committed size with another time (a copied study) is hashed, and counts if it is intact.
        """
        rows = self.connection.execute(
            "SELECT image_id, path, bytes, mtime_ns, digest FROM shard WHERE feature_set = ?", [feature_set]
        ).fetchall()
        done, touched = images_in_place(self.study, feature_set, (row[:4] for row in rows))
        moved = []
        for path, digest in [(row[1], row[4]) for row in rows if row[0] in touched]:
            try:
                info = check_shard(self.study / path)
            except StoreError as error:
                self.findings.append(Finding(error.entity, error.problem, error.remedy))
                continue
            if info.digest == digest:
                moved.append(info)
                done.add(info.image_id)
        self.adopt(moved)
        return done

    def publish(self) -> None:
        """Give readers a checkpointed copy of the catalog, if it changed; StoreError if the disk is full."""
        if self._connection is None or not self._dirty:
            return
        try:
            self._publish(self._connection)
        except (OSError, StoreError, duckdb.Error) as problem:
            text = f"the readers' copy of the catalog could not be published ({problem})"
            remedy = "Nothing is lost: make room on the disk and run any writing command again."
            raise StoreError(str(self.study), text, remedy) from problem

    def _publish(self, connection: duckdb.DuckDBPyConnection) -> None:
        # Closed while copied: the file then is complete without a log, and DuckDB's lock on it survives.
        started = time.monotonic()
        detach(connection)
        self._connection = None
        try:
            publish(self.study)
            self._dirty = False
        finally:
            self._connection = attach(private_catalog_path(self.study), read_only=False)
            self._published_at = time.monotonic()
            self._publish_took = self._published_at - started

    def _open(self, *, clean: bool) -> None:
        private = private_catalog_path(self.study)
        self._dirty = not clean or not catalog_path(self.study).is_file()
        self._published_at = time.monotonic()
        if not (private.is_file() and self._open_existing(private)):
            self.findings += remake_catalog(self.study)
            self._connection = attach(private, read_only=False)
            self._dirty = True
            return
        self._apply_missing_records()
        if not clean:
            for batch in batches(found_shards(self.study, self.connection, self.findings)):
                self.adopt(batch)

    def _open_existing(self, private: Path) -> bool:
        try:
            self._connection = attach(private, read_only=False)
            row = self._connection.execute("SELECT value FROM catalog_fact WHERE fact = 'schema'").fetchone()
            if row is None or row[0] != schema_digest():
                reason = "has the schema of another version of hccfeat"
            elif self._out_of_order():
                reason = "lacks a record older than others that it has"
            else:
                return True
        except duckdb.Error as error:
            if "lock" in str(error).lower():
                raise StudyBusyError(
                    str(private),
                    "is open in another program",
                    "Close it there; readers open catalog.duckdb instead.",
                ) from error
            reason = f"could not be opened ({str(error).splitlines()[0]})"
        self._close()
        self.findings.append(Finding(str(private), reason, "It was made again from records and shards."))
        return False

    def _apply_missing_records(self) -> None:
        for path in self._missing_records():
            record = read_record(path)
            with transaction(self.connection):
                apply_record(self.connection, record, self.study)
            checkpoint(self.connection)
            self._dirty = True

    def _out_of_order(self) -> bool:
        newest = self.connection.execute("SELECT coalesce(max(sequence), 0) FROM record").fetchone()
        assert newest is not None
        return any(int(path.name.split("-")[0]) < newest[0] for path in self._missing_records())

    def _missing_records(self) -> list[Path]:
        rows = self.connection.execute("SELECT sequence FROM record").fetchall()
        applied = {row[0] for row in rows}
        return [path for sequence, path in record_files(self.study) if sequence not in applied]

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                detach(connection)
            except duckdb.Error:  # the log stays beside the file and is replayed on the next entry
                where = str(private_catalog_path(self.study))
                self.findings.append(Finding(where, "was not checkpointed", "Run any command again."))
