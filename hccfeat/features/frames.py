"""Image- and patient-level feature frames, from the store's materialised vectors or streamed from patches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from hccfeat.store.catalog import query
from hccfeat.store.names import image_table, patient_table
from hccfeat.store.scan import scan_patches


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
    study: Path, feature_set: str, image_ids: Sequence[str] | None = None, batch_rows: int = 100_000
) -> pl.DataFrame:
    """Recompute image-level mean, count and spread from the patches, one batch in memory at a time.

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
    """
    sums: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}
    scan = scan_patches(study, feature_set, image_ids).select("image_id", "vector")
    for batch in scan.collect_batches(chunk_size=batch_rows):
        for (image_id,), group in batch.group_by("image_id"):
            vectors = group["vector"].to_numpy().astype(np.float64)
            count, total, squares = sums.get(str(image_id), (0, 0.0, 0.0))
            sums[str(image_id)] = (
                count + len(vectors),
                total + vectors.sum(axis=0),
                squares + (vectors**2).sum(axis=0),
            )
    rows = []
    for image_id in sorted(sums):
        count, total, squares = sums[image_id]
        mean = total / count
        rows.append((image_id, count, mean, np.sqrt(np.maximum(squares / count - mean**2, 0))))
    dim = len(rows[0][2]) if rows else 0
    array = pl.Array(pl.Float64, dim)
    columns = [("image_id", pl.String()), ("patches", pl.Int64()), ("mean", array), ("sd", array)]
    return pl.DataFrame(rows, schema=pl.Schema(columns), orient="row")
