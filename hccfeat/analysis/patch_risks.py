"""Risks of single patches, from stored vectors and the head of their encoder."""

from pathlib import Path

import numpy as np
import polars as pl

from hccfeat.extraction.identity import FeatureSet
from hccfeat.store.shards import read_shard, shard_path


def patch_risks(study: Path, feature_set: FeatureSet, image_ids: list[str]) -> pl.DataFrame:
    """Recurrence probability of the stored patches of some images.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : FeatureSet
        Its encoder's head turns stored vectors into probabilities.
    image_ids : list of str
        Images; those without a shard, or without a usable patch, give no rows.

    Returns
    -------
    polars.DataFrame
        ``image_id``, ``row`` (of the shard), ``x``, ``y`` (Int64, level-0 px), ``side`` (Int64, of a patch on
        level 0), ``probability`` (Float32), in the order of the images and rows.
    """
    from hccfeat.training.encoder import load_encoder
    from hccfeat.training.risk import recurrence_probabilities

    encoder = load_encoder(study / "models" / feature_set.name / "weights.safetensors", feature_set.slide_recipe)
    schema = pl.Schema(
        {"image_id": pl.String(), "row": pl.Int64(), "x": pl.Int64(), "y": pl.Int64(), "side": pl.Int64()}
        | {"probability": pl.Float32()}
    )
    frames = [pl.DataFrame(schema=schema)]
    for image_id in image_ids:
        path = shard_path(study, feature_set.name, image_id)
        if not path.is_file():
            continue
        shard = read_shard(path)
        columns = {
            "image_id": [image_id] * len(shard.coords),
            "row": np.arange(len(shard.coords)),
            "x": shard.coords[:, 0],
            "y": shard.coords[:, 1],
            "side": np.full(len(shard.coords), int(shard.attributes["patch_size_level0"])),
            "probability": recurrence_probabilities(encoder, shard.vectors),
        }
        frames.append(pl.DataFrame(columns, schema=schema))
    return pl.concat(frames)
