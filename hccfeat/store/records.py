"""Records: immutable JSON files that hold everything of a study that is not in a shard."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

from hccfeat.errors import StoreError
from hccfeat.files import write_text_atomically

KINDS = ("ingest", "splits", "runs", "results", "freezes", "feature_sets")
FORMAT = "hccfeat-record"
FORMAT_VERSION = 1
Rows = Sequence[Mapping[str, Any]]
_FILE_NAME = re.compile(r"(\d{6,})-(.+)\.json")
_RESTORE = "Restore the file from a backup; records are never edited."


@dataclass(frozen=True)
class Record:
    """One record file.

    Attributes
    ----------
    sequence : int
        Its place in the study's history, from 1.
    kind, name : str
        Folder under ``records/``, and what it is about.
    created : str
        ISO 8601 time, UTC.
    tables : dict
        Rows to insert, by catalog table.
    replaces : dict
        By table, column values whose rows are removed before the insert.
    about : dict
        Facts that are no table row: settings, types of clinical columns.
    path : Path
        The file, absolute.
    digest : str
        Hex SHA-256 of its content.
    """

    sequence: int
    kind: str
    name: str
    created: str
    tables: dict[str, list[dict[str, Any]]]
    replaces: dict[str, dict[str, str]]
    about: dict[str, Any]
    path: Path
    digest: str


def new_record(
    study: Path,
    kind: str,
    name: str,
    tables: Mapping[str, Rows],
    replaces: Mapping[str, Mapping[str, str]] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Record:
    """Make the record that would come next, without writing it.

    Raises
    ------
    StoreError
        If the kind is unknown, or a value is NaN, infinite or not JSON.
    """
    if kind not in KINDS:
        raise StoreError(f"record {name}", f"has unknown kind {kind!r}", f"Use one of {', '.join(KINDS)}.")
    sequence = max((number for number, _ in record_files(study)), default=0) + 1
    clean = {table: [_clean_row(table, row) for row in rows] for table, rows in tables.items()}
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:100] or "record"
    record = Record(
        sequence=sequence,
        kind=kind,
        name=name,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        tables=clean,
        replaces={table: dict(values) for table, values in (replaces or {}).items()},
        about=_plain_json(f"record {name}", about or {}),
        path=study / "records" / kind / f"{sequence:06d}-{slug}.json",
        digest="",
    )
    return Record(**{**record.__dict__, "digest": _digest(_document(record))})


def publish_record(record: Record) -> None:
    """Write a record's file, atomically and durably."""
    document = {**_document(record), "digest": record.digest}
    write_text_atomically(record.path, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_record(
    study: Path,
    kind: str,
    name: str,
    tables: Mapping[str, Rows],
    replaces: Mapping[str, Mapping[str, str]] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write the next record of a study. The caller holds the writer lock.

    Parameters
    ----------
    study : Path
        Study folder.
    kind : {"ingest", "splits", "runs", "results", "freezes", "feature_sets"}
        Folder of the record.
    name : str
        What it is about; part of the file's name.
    tables : mapping
        Rows to insert, by catalog table. Floats are finite; missing is None.
    replaces : mapping, optional
        ``{table: {column: value}}``: rows removed before the insert.
    about : mapping, optional
        Further facts.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        If the kind is unknown, or a value is NaN, infinite or not JSON.
    """
    record = new_record(study, kind, name, tables, replaces, about)
    publish_record(record)
    return record.path


def record_files(study: Path) -> list[tuple[int, Path]]:
    """Sequence number and path of every record, in sequence order."""
    found = []
    for kind in KINDS:
        for path in (study / "records" / kind).glob("*.json"):
            match = _FILE_NAME.fullmatch(path.name)
            if match:
                found.append((int(match[1]), path))
    return sorted(found)


def read_record(path: Path) -> Record:
    """Load one record and check its digest and number.

    Raises
    ------
    StoreError
        If it is damaged, edited, or of a newer format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if document["format"] != FORMAT:
            raise StoreError(str(path), "is not an hccfeat record", "Move it out of the records folder.")
        if document["format_version"] > FORMAT_VERSION:
            version = document["format_version"]
            raise StoreError(str(path), f"has record format {version}, this hccfeat reads 1", "Update hccfeat.")
        digest = document.pop("digest")
        fields = ("sequence", "kind", "name", "created", "tables", "replaces", "about")
        record = Record(**{name: document[name] for name in fields}, path=path, digest=digest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(str(path), f"cannot be read ({error})", _RESTORE) from error
    match = _FILE_NAME.fullmatch(path.name)
    if _digest(document) != digest or match is None or int(match[1]) != record.sequence:
        raise StoreError(str(path), "does not match its digest or number: it was changed", _RESTORE)
    return record


def read_records(study: Path) -> list[Record]:
    """Every record of a study in sequence order.

    Raises
    ------
    StoreError
        If one is damaged, or two have the same number.
    """
    records = [read_record(path) for _, path in record_files(study)]
    for earlier, later in pairwise(records):
        if earlier.sequence == later.sequence:
            raise StoreError(str(later.path), f"has the number of {earlier.path.name}", _RESTORE)
    return records


def _plain_json(entity: str, value: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(value), ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise StoreError(entity, f"has facts that are not JSON ({error})", "Store plain values.") from error


def _document(record: Record) -> dict[str, Any]:
    fields = ("sequence", "kind", "name", "created", "tables", "replaces", "about")
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **{name: getattr(record, name) for name in fields},
    }


def _digest(document: Mapping[str, Any]) -> str:
    # Key order counts (it is the order of clinical columns), so keys are not sorted.
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_constant(text: str) -> float:
    message = f"{text} is not a number"
    raise ValueError(message)


def _clean_row(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: _clean_value(f"{table}.{column}", value) for column, value in row.items()}


def _clean_value(column: str, value: Any) -> Any:
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        remedy = "Store None where a value is missing: SQL would order NaN above every number."
        raise StoreError(column, f"holds {value}", remedy)
    if isinstance(value, dict | list | tuple):
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StoreError(column, f"holds {value!r}, which is not JSON", "Store plain values.") from error
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise StoreError(
            column, f"holds {value!r}, which is not valid Unicode", "Rename the file or correct the text."
        )
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise StoreError(column, f"holds {type(value).__name__} {value!r}", "Store text, a number, a flag or None.")
