"""Query results as text and files."""

import io
from pathlib import Path

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
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    texts = []
    for name in nested:
        inner = frame.select(name).to_struct("s").struct.json_encode()
        # {"name":[...]} -> [...]
        texts.append(inner.str.json_decode(pl.Struct({name: pl.String})).struct.field(name).alias(name))
    return frame.with_columns(texts)
