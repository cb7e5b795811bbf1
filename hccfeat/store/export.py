"""Query results as text and files."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.errors import QueryError
from hccfeat.files import write_atomically

FORMATS = ("table", "csv", "json", "parquet", "xlsx")
_EXCEL_ROWS, _EXCEL_COLUMNS = 1_048_576, 16_384


def as_text(frame: pl.DataFrame, kind: str = "table", *, rows: int = 100, letters: int = 80) -> str:
    """Render a result for the terminal or a pipe.

    Parameters
    ----------
    frame : polars.DataFrame
        The result.
    kind : {"table", "csv", "json"}
        ``csv`` holds vectors as JSON lists; ``csv`` and ``json`` hold bytes in hexadecimal digits.
    rows : int
        That a ``table`` shows; of longer ones the first and last half.
    letters : int
        Of a text that a ``table`` shows.

    Raises
    ------
    QueryError
        If the format needs a file, is unknown, or cannot hold a column of the result.
    """
    with _holding(kind):
        if kind == "csv":
            return _flat(frame).write_csv()
        if kind == "json":
            return frame.with_columns(_digits(frame)).write_json() + "\n"
        if kind == "table":
            return _table(frame, rows, letters)
    if kind in ("parquet", "xlsx"):
        raise QueryError(f"format {kind}", "cannot be printed", "Give a file with --out.")
    raise QueryError(f"format {kind}", "is unknown", f"Use one of {', '.join(FORMATS)}.")


def kind_of(path: Path) -> str:
    """Format that the suffix of a file names.

    Raises
    ------
    QueryError
        If it names none.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS[1:]:
        known = ", ".join(f".{name}" for name in FORMATS[1:])
        raise QueryError(str(path), "has no suffix that names a format", f"Use one of {known}.")
    return kind


def check_folder(path: Path) -> None:
    """Refuse a file in a folder that is not there: mostly a slip of the pen, so no folder is made for it.

    Raises
    ------
    QueryError
        Naming the folder.
    """
    if not path.parent.is_dir():
        raise QueryError(str(path), "is in a folder that does not exist", "Make the folder, or name another file.")


def rows_of(frame: pl.DataFrame) -> str:
    """Number of rows, in words."""
    return f"{frame.height} row" + ("" if frame.height == 1 else "s")


def write_frame(frame: pl.DataFrame, kind: str, path: Path) -> None:
    """Write a result to a file, atomically.

    Raises
    ------
    QueryError
        If the format is unknown or cannot hold a column of the result, or the folder does not exist.
    """
    check_folder(path)
    with _holding(kind):
        if kind == "parquet":
            buffer = io.BytesIO()
            frame.write_parquet(buffer)
            content = buffer.getvalue()
        elif kind == "xlsx":
            content = _workbook(frame)
        else:
            content = as_text(frame, kind).encode()

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)


def _workbook(frame: pl.DataFrame) -> bytes:
    """One sheet; equal frames give equal bytes. Texts are written as texts, never as formulas or links."""
    import xlsxwriter

    if frame.height >= _EXCEL_ROWS or frame.width > _EXCEL_COLUMNS:
        problem = f"has {frame.height} rows and {frame.width} columns, more than a sheet of Excel holds"
        raise QueryError("result", problem, "Write it as .parquet or .csv.")
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(buffer, options) as workbook:
        workbook.set_properties({"created": datetime(2000, 1, 1)})
        _flat(frame).write_excel(workbook, worksheet="result")
    return buffer.getvalue()


def _table(frame: pl.DataFrame, shown: int, letters: int) -> str:
    with pl.Config(
        tbl_rows=shown,
        tbl_cols=-1,
        tbl_width_chars=200,
        fmt_str_lengths=letters,
        fmt_table_cell_list_len=3,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
    ):
        text = f"{frame}\n"
    rows = rows_of(frame)
    return text + (f"{rows}, the first and last {shown // 2} shown\n" if frame.height > shown else f"{rows}\n")


@contextmanager
def _holding(kind: str) -> Iterator[None]:
    """Say in our words that a format cannot hold a result, whatever its writer raises."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError, OverflowError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".!")
        remedy = "Take the column as text: CAST(... AS VARCHAR)."
        raise QueryError("result", f"cannot be given as {kind} ({first})", remedy) from error


def _digits(frame: pl.DataFrame) -> list[pl.Series]:
    """Columns of bytes as hexadecimal digits."""
    return [frame[name].bin.encode("hex") for name, dtype in frame.schema.items() if dtype == pl.Binary]


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Nested columns as JSON text and bytes as digits, which CSV can hold."""
    texts = [
        pl.Series(
            name, [None if value is None else _json(value) for value in frame[name].to_list()], dtype=pl.String
        )
        for name, dtype in frame.schema.items()
        if dtype.is_nested()
    ]
    return frame.with_columns(texts + _digits(frame))


def _json(value: Any) -> str:
    return json.dumps(
        value, ensure_ascii=False, default=lambda part: part.hex() if type(part) is bytes else str(part)
    )
