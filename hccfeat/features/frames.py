"""Image- and patient-level feature frames, from the store's materialised vectors or streamed from patches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.store.catalog import query
from hccfeat.store.names import image_table, patient_table
from hccfeat.store.patches import BLOCK_ROWS, PatchFile
from hccfeat.store.scan import patch_shards

_CACHED_ROWS = 256


def image_frame(study: Path, feature_set: str) -> pl.DataFrame:
    """Image-level features as the catalog holds them.

    Returns
    -------
    polars.DataFrame
        ``image_id``, ``patient_id``, ``cohort``, ``patches``, ``mean`` and ``sd`` (Array(Float32, d)):
        mean and population spread over the usable patches. Images without a usable patch are left out.
    """
    table = image_table(feature_set)
    return query(study, f'SELECT * FROM "{table}" WHERE patches > 0 ORDER BY image_id')


def patient_frame(study: Path, feature_set: str) -> pl.DataFrame:
    """Patient-level features: the mean over a patient's images, each image counting once.

    Returns
    -------
    polars.DataFrame
        ``patient_id``, ``cohort``, ``images``, ``patches``, ``mean`` (Array(Float32, d)).
    """
    table = patient_table(feature_set)
    return query(study, f'SELECT * FROM "{table}" ORDER BY patient_id')


def stream_image_frame(
    study: Path, feature_set: str, image_ids: Sequence[str] | None = None, batch_rows: int = BLOCK_ROWS
) -> pl.DataFrame:
    """Recompute image-level mean, count and spread from the patches, one batch in memory at a time.

    Sums and sums of squares are kept in float64. What the difference of two large ones loses is below the rounding
    of the float32 vectors themselves.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : str
        Its name.
    image_ids : sequence of str, optional
        Only these images.
    batch_rows : int
        Patches held in memory at once.

    Returns
    -------
    polars.DataFrame
        ``image_id``, ``patches``, ``mean`` and ``sd`` (Array(Float64, d)), sorted by image.

    Raises
    ------
    StoreError
        If the feature set is unknown, or a shard is missing or cannot be read.
    """
    dim, shards = patch_shards(study, feature_set, image_ids)
    counts = np.zeros(len(shards), dtype=np.int64)
    means, spreads = np.zeros((2, len(shards), dim))
    for number, path in enumerate(shards["path"]):
        with PatchFile(study / path) as file:
            counts[number] = file.rows
            for block in file.blocks(batch_rows):
                _add_moments(block, means[number], spreads[number])
    means /= counts[:, None]
    spreads /= counts[:, None]
    spreads -= means**2
    np.sqrt(np.maximum(spreads, 0, out=spreads), out=spreads)
    array = pl.Array(pl.Float64, dim)
    vectors = {"mean": pl.Series(means, dtype=array), "sd": pl.Series(spreads, dtype=array)}
    return pl.DataFrame({"image_id": shards["image_id"], "patches": counts, **vectors})


def _add_moments(block: NDArray[np.float32], total: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
    """Add the rows of a block, and their squares, in pieces that stay in the processor's cache."""
    for start in range(0, len(block), _CACHED_ROWS):
        rows = block[start : start + _CACHED_ROWS].astype(np.float64)
        total += np.einsum("ij->j", rows)
        squares += np.einsum("ij,ij->j", rows, rows)
