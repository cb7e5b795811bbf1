"""CSV files: numbers at full precision, empty cells for what there is not."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Row = Sequence[Any]


def cell(value: Any) -> str:
    """Text of one CSV cell: floats at full precision, empty where there is no value.

    A number read back from the text equals the number written.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def csv_text(header: Sequence[str], rows: Iterable[Row]) -> str:
    """Return a CSV file's text: comma, quotes where needed, newline at each row's end."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def records_text(records: Sequence[dict[str, Any]], first: Sequence[str]) -> str:
    """Return the CSV text of dictionaries: the columns ``first``, then any others in order of appearance."""
    header = list(first)
    for record in records:
        header += [key for key in record if key not in header]
    return csv_text(header, ([record.get(key) for key in header] for record in records))
