"""Patch-level vectors as a Polars LazyFrame that reads shards only as far as a query needs them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from hccfeat.store.catalog import asking
from hccfeat.store.patches import PatchFile
from hccfeat.store.versions import unknown_feature_set

KEYS = ("image_id", "patient_id", "cohort")
"""What is the same for all patches of a shard: conditions on these alone decide which shards are opened."""

_PLACE = ("x", "y")
COLUMNS = (*KEYS, *_PLACE, "vector")
_BATCH_ROWS = 16_384


def scan_patches(study: Path, feature_set: str, image_ids: Sequence[str] | None = None) -> pl.LazyFrame:
    """Scan the usable patches of a feature set.

    Conditions on ``image_id``, ``patient_id`` and ``cohort``, alone or together, decide which shards are opened,
    conditions on ``x`` and ``y`` whose vectors are read, unused columns are not read, and ``head(n)`` stops early.
    In SQL the frame is table ``patch_<feature set>``, with the same pushdown.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : str
        Name with version, such as ``pps-1``.
    image_ids : sequence of str, optional
        Only these images (a join is not pushed down; this is).

    Returns
    -------
    polars.LazyFrame
        ``image_id``, ``patient_id`` (null if the image is no longer in table ``image``) and ``cohort`` (String),
        ``x`` and ``y`` (Int64, top-left corner in pixels of level 0) and ``vector`` (Array(Float32, d)), in order
        of image and of the shard's rows.

    Raises
    ------
    StoreError
        If the feature set is unknown; while collecting, if a shard is missing or cannot be read.
    """
    dim, shards = patch_shards(study, feature_set, image_ids)
    schema = _schema(dim)

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = with_columns if with_columns is not None else list(COLUMNS)
        return _frames(study, shards, schema, wanted, predicate, n_rows, batch_size or _BATCH_ROWS)

    return register_io_source(source, schema=schema, validate_schema=True, is_pure=True)


def patch_shards(study: Path, feature_set: str, image_ids: Sequence[str] | None = None) -> tuple[int, pl.DataFrame]:
    """Length of the vectors of a feature set, and its shards with patches.

    Returns
    -------
    dim : int
        Length of a vector.
    shards : polars.DataFrame
        ``image_id``, ``patient_id``, ``cohort`` and ``path`` (relative to the study), by image.

    Raises
    ------
    StoreError
        If the feature set is unknown.
    """
    with asking(study) as ask:
        dims = ask("SELECT dim FROM feature_set WHERE feature_set = ?", [feature_set])["dim"]
        if dims.is_empty():
            raise unknown_feature_set(ask, feature_set)
        shards = ask(
            "SELECT s.image_id, i.patient_id, split_part(s.image_id, '/', 1) AS cohort, s.path FROM shard AS s "
            "LEFT JOIN image AS i USING (image_id) WHERE s.feature_set = ? AND s.patches > 0 ORDER BY s.image_id",
            [feature_set],
        )
    if image_ids is not None:
        shards = shards.filter(pl.col("image_id").is_in(list(image_ids)))
    return int(dims[0]), shards


def no_patches(dim: int) -> pl.LazyFrame:
    """The scan of a feature set that does not exist yet: no rows, vectors of length ``dim``."""
    return pl.LazyFrame(schema=_schema(dim))


def _schema(dim: int) -> dict[str, pl.DataType]:
    keys, place = dict.fromkeys(KEYS, pl.String()), dict.fromkeys(_PLACE, pl.Int64())
    return {**keys, **place, "vector": pl.Array(pl.Float32, dim)}


def _frames(
    study: Path,
    shards: pl.DataFrame,
    schema: dict[str, pl.DataType],
    wanted: list[str],
    predicate: pl.Expr | None,
    n_rows: int | None,
    batch_rows: int,
) -> Iterator[pl.DataFrame]:
    conditions = conjuncts(predicate) if predicate is not None else []
    names = [set(condition.meta.root_names()) for condition in conditions]
    on_shard = [c for c, used in zip(conditions, names, strict=True) if used and used <= set(KEYS)]
    on_place = [c for c, used in zip(conditions, names, strict=True) if used & set(_PLACE) and "vector" not in used]
    needed = set(wanted).union(*names)
    for condition in on_shard:
        shards = shards.filter(condition)
    left = n_rows
    pending: list[pl.DataFrame] = []
    rows = 0
    empty = True
    for shard in shards.iter_rows(named=True):
        if left is not None and left <= 0:
            break
        frame = _read(study / shard["path"], shard, schema, needed, on_place)
        if predicate is not None and frame.height:
            frame = frame.filter(predicate)
        frame = frame.select(wanted)
        if left is not None:
            frame = frame.head(left)
            left -= frame.height
        pending.append(frame)
        rows += frame.height
        if rows >= min(batch_rows, _BATCH_ROWS):
            yield pl.concat(pending)
            pending, rows, empty = [], 0, False
    if pending:
        yield pl.concat(pending)
    elif empty:
        yield pl.DataFrame(schema={name: schema[name] for name in wanted})


def conjuncts(predicate: pl.Expr) -> list[pl.Expr]:
    """Split ``a & b & c`` into its parts; an expression of another form is one part."""
    parts = predicate.meta.pop()
    if len(parts) == 2:
        first, second = parts
        for a, b in ((first, second), (second, first)):
            if (a & b).meta.eq(predicate):
                return conjuncts(a) + conjuncts(b)
    return [predicate]


def _read(
    path: Path, shard: dict[str, str], schema: dict[str, pl.DataType], needed: set[str], on_place: list[pl.Expr]
) -> pl.DataFrame:
    """Rows of one shard that fulfil the conditions on place: coordinates first, then their vectors."""
    with PatchFile(path) as file:
        columns = {
            name: pl.repeat(shard[name], file.rows, dtype=pl.String, eager=True)
            for name in KEYS
            if name in needed or name == "image_id"
        }
        chosen = None
        if needed & set(_PLACE):
            coords = file.coords()
            columns |= {name: pl.Series(coords[:, place]) for place, name in enumerate(_PLACE)}
        frame = pl.DataFrame(columns)
        if on_place:
            keep = frame.select(pl.all_horizontal(on_place).fill_null(value=False).alias("keep"))["keep"]
            chosen = np.flatnonzero(keep.to_numpy())
            frame = frame if len(chosen) == file.rows else frame[chosen]
        if "vector" in needed:
            frame = frame.with_columns(pl.Series("vector", file.vectors(chosen), dtype=schema["vector"]))
        return frame
