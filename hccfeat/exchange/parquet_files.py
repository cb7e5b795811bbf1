"""Parquet: one file for a whole feature set, a row per patch: image_id, x, y, vector."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hccfeat.errors import InputError
from hccfeat.exchange.bag import Bag, Facts, FoundFile, contradicts, coordinates, float_vectors, unreadable
from hccfeat.exchange.exported import Exported
from hccfeat.exchange.finding import files_in, nothing_found
from hccfeat.files import canonical_json, write_atomically

COLUMNS = ("image_id", "x", "y", "vector")
KEY = b"hccfeat"
"""Metadata of the file: feature set, encoder, and the images without a patch, which have no row."""

GROUP_ROWS = 65_536
REMEDY = "Write the columns image_id, x, y and vector; docs/formats.md shows the layout."


def find(path: Path, coords: Path | None = None) -> list[FoundFile]:
    """Find the images of a Parquet file, or of every one in a folder.

    Raises
    ------
    InputError
        If there are none, a file cannot be read or lacks a column, or the rows of an image are not together.
    """
    del coords  # each row has its own
    files = [path] if path.is_file() else files_in(path, ".parquet")
    found = [image for file in files for image in _images(file)]
    if not found:
        raise nothing_found(path, "Parquet", "a file with the columns image_id, x, y and vector")
    return found


def _images(path: Path) -> list[FoundFile]:
    try:
        with pq.ParquetFile(path) as file:
            lacking = [name for name in ("image_id", "vector") if name not in file.schema_arrow.names]
            if lacking:
                raise InputError(str(path), f"lacks the column {lacking[0]}", REMEDY)
            empty = _metadata(file.metadata).get("images_without_patches", [])
            groups = [file.read_row_group(k, ["image_id"])["image_id"] for k in range(file.num_row_groups)]
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(str(path), f"cannot be read as Parquet ({error})", "Write the file again.") from error
    ids = np.concatenate([np.asarray(group.to_pylist(), dtype=object) for group in groups] or [np.empty(0, object)])
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])) if len(ids) else np.empty(0, np.int64)
    names = [ids[start] for start in starts]
    if len(set(names)) < len(names) or None in names:
        raise InputError(str(path), "does not keep the rows of each image together", "Sort it by image_id.")
    ends = [*starts[1:].tolist(), len(ids)]
    found = [FoundFile(str(n), path, rows=(a, b)) for n, a, b in zip(names, starts.tolist(), ends, strict=True)]
    return [*found, *(FoundFile(name, path, rows=(0, 0)) for name in empty)]


def _metadata(meta: pq.FileMetaData) -> dict[str, Any]:
    return json.loads((meta.metadata or {}).get(KEY, b"{}"))


def facts(file: FoundFile) -> Facts:
    """Dimension, dtype and encoder of the file."""
    return _facts(file.path)


@lru_cache(maxsize=8)
def _facts(path: Path) -> Facts:
    try:
        schema = pq.read_schema(path)
        kind = schema.field("vector").type
        if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            raise contradicts(path, f"holds vectors of type {kind}", REMEDY)
        if pa.types.is_fixed_size_list(kind):
            dim: int | None = kind.list_size
        else:
            first = next(pq.ParquetFile(path).iter_batches(batch_size=1, columns=["vector"]), None)
            dim = None if first is None else len(first["vector"][0])
        return Facts(
            dim, str(kind.value_type.to_pandas_dtype().__name__), _metadata(pq.read_metadata(path)).get("encoder")
        )
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise unreadable(path, error) from error


def read(file: FoundFile) -> Bag:
    """Read the rows of one image.

    Raises
    ------
    SlideError
        If the file is damaged, or a vector is missing or of another length.
    """
    start, stop = file.rows or (0, 0)
    dim = _facts(file.path).dim
    if start == stop:
        return Bag(np.empty((0, dim or 0), np.float32), np.empty((0, 2)), "px")
    try:
        table = _rows(file.path, start, stop)
        column = table["vector"].combine_chunks()
        lengths = {len(vector) if vector.is_valid else None for vector in column}
        if column.null_count or lengths != {dim}:
            raise contradicts(file.path, f"has vectors of {file.name} that are missing or of another length")
        vectors = float_vectors(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim or 1), file.path)
        if not {"x", "y"} <= set(table.column_names) or table["x"].null_count == len(table):
            return Bag(vectors, None)
        places = np.stack([table[name].to_numpy() for name in ("x", "y")], axis=1)
        return Bag(vectors, coordinates(places, len(vectors), file.path), "px")
    except (OSError, pa.ArrowException, ValueError) as error:
        raise unreadable(file.path, error) from error


def _rows(path: Path, start: int, stop: int) -> pa.Table:
    """Rows of a file; of its groups of rows at most two stay in memory."""
    parts, offset = [], 0
    for group, count in enumerate(_group_sizes(path, path.stat().st_mtime_ns)):
        low, high = max(start, offset), min(stop, offset + count)
        if low < high:
            parts.append(_group(path, path.stat().st_mtime_ns, group).slice(low - offset, high - low))
        offset += count
    return pa.concat_tables(parts)


@lru_cache(maxsize=8)
def _group_sizes(path: Path, mtime_ns: int) -> tuple[int, ...]:
    del mtime_ns  # part of the key
    meta = pq.read_metadata(path)
    return tuple(meta.row_group(k).num_rows for k in range(meta.num_row_groups))


@lru_cache(maxsize=2)
def _group(path: Path, mtime_ns: int, group: int) -> pa.Table:
    del mtime_ns  # part of the key
    with pq.ParquetFile(path) as file:
        wanted = [name for name in COLUMNS if name in file.schema_arrow.names]
        return file.read_row_group(group, wanted)


def write(path: Path, slides: Iterable[Exported], about: dict[str, Any], dim: int) -> None:
    """Write slides into one file; x and y are null where the coordinates are not known.

    Parameters
    ----------
    path : Path
        ``.parquet``.
    slides : iterable of Exported
        In order; about 65,000 rows are in memory at a time.
    about : dict
        Kept in the file's metadata: feature set and encoder.
    dim : int
        Length of a vector.
    """
    vector = pa.list_(pa.field("element", pa.float32()), dim)
    types = (pa.string(), pa.int64(), pa.int64(), vector)
    schema = pa.schema([pa.field(*column) for column in zip(COLUMNS, types, strict=True)])
    empty: list[str] = []

    def fill(temporary: Path) -> None:
        waiting: list[pa.Table] = []
        with pq.ParquetWriter(temporary, schema) as writer:
            for slide in slides:
                if not len(slide.shard.vectors):
                    empty.append(slide.shard.image_id)
                    continue
                waiting.append(_table(slide, schema))
                if sum(len(table) for table in waiting) >= GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting).combine_chunks())
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting).combine_chunks())
            facts = canonical_json({**about, "images_without_patches": empty})
            writer.add_key_value_metadata({KEY.decode(): facts})

    write_atomically(path, fill)


def _table(slide: Exported, schema: pa.Schema) -> pa.Table:
    vectors, rows = slide.shard.vectors, len(slide.shard.vectors)
    x, y = slide.coords().T if slide.has_coords else ([None] * rows, [None] * rows)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=schema.field("vector").type)
    names = pa.repeat(pa.scalar(slide.shard.image_id), rows)
    return pa.Table.from_arrays([names, pa.array(x, pa.int64()), pa.array(y, pa.int64()), flat], schema=schema)
