"""Text tables as hospitals deliver them, read without guessing any type."""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from hccfeat.errors import InputError

ROW = "row_number"
"""Column of :class:`RawTable` frames: the row in the file; a header, where there is one, is row 1."""


@dataclass(frozen=True)
class Rejection:
    """A row or value that is not taken; ``column`` is empty for a whole row."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class Step:
    """One step of the attrition: ``n`` remain, ``excluded`` left, for ``reason``."""

    step: str
    n: int
    excluded: int = 0
    reason: str = ""

    @classmethod
    def of(cls, step: str, n: int, excluded: int, reason: str) -> "Step":
        """Make a step whose reason is empty when nobody left."""
        return cls(step, n, excluded, reason if excluded else "")


@dataclass(frozen=True)
class RawTable:
    """A clinical table as texts.

    Attributes
    ----------
    path : Path
        The file.
    frame : polars.DataFrame
        ``row_number`` (Int64) and every column of the file (String, surrounding spaces removed).
    rejected : tuple of Rejection
        Rows that could not be read.
    steps : tuple of Step
        Attrition so far.
    companions : tuple of Path
        Further files that columns were taken from.
    """

    path: Path
    frame: pl.DataFrame
    rejected: tuple[Rejection, ...] = ()
    steps: tuple[Step, ...] = ()
    companions: tuple[Path, ...] = ()

    def with_frame(self, frame: pl.DataFrame, *steps: Step) -> "RawTable":
        """Return the table with another frame and further steps."""
        return replace(self, frame=frame, steps=(*self.steps, *steps))

    @property
    def columns(self) -> list[str]:
        """Names of the file's columns."""
        return [name for name in self.frame.columns if name != ROW]


def read_text_table(
    path: Path, *, delimiter: str | None = None, quoting: bool = True, header: tuple[str, ...] = ()
) -> RawTable:
    """Read a delimited text file as texts.

    UTF-8 with or without byte-order mark; the delimiter is comma, semicolon or tab, whichever the header
    has most of. Blank rows are skipped; a row with another number of fields than the header is rejected.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str, optional
        Given by the format; else found in the header.
    quoting : bool
        Whether double quotes enclose fields.
    header : tuple of str
        Names of the columns of a file whose first row is data already; row numbers then start there with 1.

    Raises
    ------
    InputError
        If the file is missing, empty, not text in UTF-8, or its header is unusable.
    """
    text = _decode(path)
    first = text.split("\n", 1)[0]
    chosen = delimiter or max(",;\t", key=first.count)
    lines = io.StringIO(text, newline="")
    if quoting:
        reader = csv.reader(lines, delimiter=chosen, strict=True)
    else:
        reader = csv.reader(lines, delimiter=chosen, quoting=csv.QUOTE_NONE)
    try:
        records = list(reader)
    except csv.Error as error:
        raise InputError(
            str(path), f"is damaged near line {reader.line_num} ({error})", "Export the table again as CSV."
        ) from error
    if header:
        return _to_raw(path, list(header), records, first=1)
    names = [name.strip() for name in records[0]] if records else []
    _check_header(path, names)
    return _to_raw(path, names, records[1:], first=2)


def read_manifest(path: Path) -> RawTable:
    """Read a manifest: a text table that must have the column ``file``.

    Raises
    ------
    InputError
        As :func:`read_text_table`, or if there is no column ``file``.
    """
    table = read_text_table(path)
    if "file" not in table.columns:
        raise InputError(
            str(path),
            f"has no column file (columns: {', '.join(table.columns)})",
            "A manifest has the columns file, patient_id and, where slides carry none, mpp.",
        )
    return table


def _decode(path: Path) -> str:
    if path.is_dir():
        raise InputError(str(path), "is a folder", "Name the table inside it.")
    if not path.is_file():
        raise InputError(str(path), "does not exist", "Check the path.")
    content = path.read_bytes()
    if not content.strip():
        raise InputError(str(path), "is empty", "Export the table again.")
    if content.startswith(b"PK\x03\x04") or content.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(str(path), "is a spreadsheet, not a text table", "Save it as CSV (UTF-8).")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(str(path), f"is not UTF-8 (line {line})", "Save it as CSV (UTF-8).") from error
    if "\0" in text:
        raise InputError(str(path), "holds binary data", "Save it as CSV (UTF-8).")
    return text


def _check_header(path: Path, header: list[str]) -> None:
    named = [name for name in header if name]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise InputError(str(path), f"has columns of the same name: {', '.join(twice)}", "Rename one of each.")
    if not named:
        raise InputError(str(path), "has no column names in its first row", "Add a header row.")
    if ROW in named:
        raise InputError(str(path), f"has a column {ROW}, which is reserved", "Rename it.")


def _to_raw(path: Path, header: list[str], records: list[list[str]], *, first: int) -> RawTable:
    rows: list[list[str | int]] = []
    rejected: list[Rejection] = []
    for number, fields in enumerate(records, start=first):
        if not any(field.strip() for field in fields):
            continue
        while len(fields) > len(header) and not fields[-1].strip():
            fields.pop()
        if len(fields) != len(header):
            reason = f"has {len(fields)} fields, the header has {len(header)} (an unquoted delimiter?)"
            rejected.append(Rejection(number, "", reason))
        else:
            rows.append([number, *(field.strip() for field in fields)])
    found = len(rows) + len(rejected)
    if not found:
        raise InputError(str(path), "has a header but no rows", "Export the table again.")
    names = [name or f"(column {index})" for index, name in enumerate(header, start=1)]
    schema = {ROW: pl.Int64, **dict.fromkeys(names, pl.String)}
    steps = [Step("rows in the table", found)]
    if rejected:
        steps.append(Step("readable rows", len(rows), len(rejected), "number of fields differs from the header"))
    return RawTable(path, pl.DataFrame(rows, schema=schema, orient="row"), tuple(rejected), tuple(steps))
