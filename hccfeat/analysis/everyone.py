"""The PPS risk of every patient, the treated ones too: what the treatment questions and the figures rest on."""

import numpy as np
import polars as pl

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.models import IMAGE_MODELS
from hccfeat.analysis.results import EndpointResult
from hccfeat.errors import AnalysisError


def risks_of_everyone(data: EndpointData, result: EndpointResult) -> pl.DataFrame:
    """Risk of each patient with an image, by the network that ``result`` fitted on untreated training patients.

    Parameters
    ----------
    data : EndpointData
        Patients and images.
    result : EndpointResult
        Analysis of the same data.

    Returns
    -------
    polars.DataFrame
        ``patient_id``, ``cohort``, ``role`` (train, held_out, external), ``treated``, ``time``, ``event``, ``y``,
        ``risk`` (float64), ``fitted`` (bool: the patient trained the network or its encoder, so that the risk is
        apparent), sorted by patient. Times and events are cut at the horizon, as the endpoint's labels are.

    Raises
    ------
    AnalysisError
        If there are no images or no fitted network.
    """
    model = result.artefacts.get(IMAGE_MODELS[data.modality])
    if data.images is None or model is None:
        raise AnalysisError(f"endpoint {data.endpoint}", "has no image risks", "Extract the images first.")
    images = data.images.sort("image_id")
    per_image = model.predict(np.stack([np.asarray(v, dtype=np.float32) for v in images["vector"]]))
    risk = images.select("patient_id").with_columns(risk=pl.Series(per_image, dtype=pl.Float64))
    joined = data.patients.join(risk.group_by("patient_id").agg(pl.col("risk").mean()), on="patient_id")
    labelled = (pl.col("role") == "train") & ~pl.col("treated") & pl.col("y").is_not_null()
    fitted = labelled | pl.col("patient_id").is_in(sorted(data.seen))
    return joined.with_columns(fitted=fitted).drop("excluded").sort("patient_id")
