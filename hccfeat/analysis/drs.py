"""The deep risk score of every patient: the encoder's own mean patch probability (P1 reading 36)."""

from pathlib import Path

import numpy as np
import polars as pl

from hccfeat.extraction.identity import FeatureSet
from hccfeat.store.catalog import query
from hccfeat.store.scan import scan_patches


def deep_risk_scores(study: Path, feature_set: FeatureSet, cohort: str) -> pl.DataFrame:
    """Mean recurrence probability of patches, then images, for each patient of a cohort.

    The probabilities follow from the stored patch embeddings and the head of the encoder that made them; no image
    is read. One image's patches are in memory at a time.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : FeatureSet
        Whose encoder and embeddings to use.
    cohort : str
        Whose patients.

    Returns
    -------
    polars.DataFrame
        ``patient_id``, ``drs`` (Float64, 0..1), sorted by patient; patients without a usable patch are not in it.

    Raises
    ------
    StoreError
        If the weights or a shard are missing or damaged.
    """
    from hccfeat.training.encoder import load_encoder
    from hccfeat.training.risk import image_drs, mean_by_patient

    encoder = load_encoder(study / "models" / feature_set.name / "weights.safetensors", feature_set.slide_recipe)
    images = query(
        study,
        "SELECT s.image_id, i.patient_id FROM shard AS s JOIN image AS i USING (image_id) "
        "WHERE s.feature_set = ? AND i.cohort = ? AND s.patches > 0 ORDER BY s.image_id",
        [feature_set.name, cohort],
    )
    scan = scan_patches(study, feature_set.name)
    scores = []
    for image in images["image_id"]:
        vectors = scan.filter(pl.col("image_id") == image).select("vector").collect()["vector"].to_numpy()
        scores.append(image_drs(encoder, np.asarray(vectors, dtype=np.float32)))
    known = mean_by_patient(images["patient_id"].to_list(), np.array(scores, dtype=np.float64))
    return pl.DataFrame(
        {"patient_id": list(known), "drs": list(known.values())},
        schema={"patient_id": pl.String, "drs": pl.Float64},
    )
