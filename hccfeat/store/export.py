"""Query results as text and files."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.errors import QueryError
from hccfeat.files import write_atomically

FORMATS = ("table", "csv", "json", "parquet")


def as_text(frame: pl.DataFrame, kind: str = "table") -> str:
    """Render a result for the terminal or a pipe.

    Parameters
    ----------
    frame : polars.DataFrame
        The result.
    kind : {"table", "csv", "json"}
        ``table`` shows up to 100 rows; ``csv`` holds vectors as JSON lists.

    Raises
    ------
    QueryError
        If the format needs a file or is unknown.
    """
    if kind == "csv":
        return _flat(frame).write_csv()
    if kind == "json":
        return frame.write_json() + "\n"
    if kind == "table":
        return _table(frame)
    if kind == "parquet":
        raise QueryError("format parquet", "cannot be printed", "Give a file with --out.")
    raise QueryError(f"format {kind}", "is unknown", f"Use one of {', '.join(FORMATS)}.")


def write_frame(frame: pl.DataFrame, kind: str, path: Path) -> None:
    """Write a result to a file, atomically.

    Raises
    ------
    QueryError
        If the format is unknown.
    """
    if kind == "parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
    else:
        content = as_text(frame, kind).encode()

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)


def _table(frame: pl.DataFrame) -> str:
    with pl.Config(
        tbl_rows=100,
        tbl_cols=-1,
        tbl_width_chars=200,
        fmt_str_lengths=80,
        fmt_table_cell_list_len=3,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
    ):
        text = f"{frame}\n"
    rows = f"{frame.height} row" + ("" if frame.height == 1 else "s")
    return text + (f"{rows}, the first and last 50 shown\n" if frame.height > 100 else f"{rows}\n")


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Nested columns as JSON text, which CSV can hold."""
    texts = [
        pl.Series(
            name, [None if value is None else _json(value) for value in frame[name].to_list()], dtype=pl.String
        )
        for name, dtype in frame.schema.items()
        if dtype.is_nested()
    ]
    return frame.with_columns(texts)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
