"""Results that DuckDB can give and Polars, Python or a spreadsheet cannot hold are refused before they do harm."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from hccfeat.errors import QueryError

_DAYS = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days since 1970: what Python and Polars know as a date."""

_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_AS_TEXT = "Take it as text: CAST(... AS VARCHAR)"


def check_types(schema: pa.Schema) -> None:
    """Refuse intervals, alone or inside lists and structs.

    Raises
    ------
    QueryError
        Naming the column.
    """
    for column in schema:
        if any(kind == pa.month_day_nano_interval() for kind in _leaf_types(column.type)):
            remedy = f"{_AS_TEXT}, or as a number: date_diff('day', a, b)."
            raise QueryError(
                "query", f"gives column {column.name!r} as an INTERVAL, which no result can hold", remedy
            )


def check_dates(batch: pa.RecordBatch) -> None:
    """Refuse dates and times outside the years 1 to 9999 and infinite ones, alone or inside lists and structs.

    Raises
    ------
    QueryError
        Naming the column.
    """
    for column, values in zip(batch.schema, batch.columns, strict=True):
        if not any(pa.types.is_temporal(kind) for kind in _leaf_types(column.type)):
            continue  # vectors are not looked through
        for leaf in _leaves(values):
            if pa.types.is_date32(leaf.type):
                low, high = _DAYS
            elif pa.types.is_timestamp(leaf.type):
                per_day = _PER_DAY[leaf.type.unit]
                low, high = _DAYS[0] * per_day, (_DAYS[1] + 1) * per_day - 1
            else:
                continue
            found = pc.min_max(leaf.view(pa.int32() if pa.types.is_date32(leaf.type) else pa.int64())).as_py()
            if found["min"] is not None and (found["min"] < low or found["max"] > high):
                problem = f"gives dates outside the years 1 to 9999 in column {column.name!r}"
                raise QueryError("query", problem, f"{_AS_TEXT}, or leave such rows out.")


def _leaf_types(kind: pa.DataType) -> Iterator[pa.DataType]:
    if not pa.types.is_nested(kind):
        yield kind
    for number in range(kind.num_fields if pa.types.is_nested(kind) else 0):
        yield from _leaf_types(kind.field(number).type)


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    kind = values.type
    if pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif pa.types.is_struct(kind):
        for part in values.flatten():
            yield from _leaves(part)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(values.flatten())
    else:
        yield values
