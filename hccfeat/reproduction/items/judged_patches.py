"""Patches of patients whom the encoder has not seen, for the items that explain it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.patch_risks import patch_risks
from hccfeat.errors import AnalysisError, HccfeatError
from hccfeat.extraction.patch_cache import prepared_image
from hccfeat.extraction.plan import sources
from hccfeat.extraction.tasks import Source
from hccfeat.models import Encoder
from hccfeat.reproduction.context import Context
from hccfeat.slides.prepare import PreparedImage
from hccfeat.training.encoder import load_encoder

OUTCOMES = {1: "recurrence", 0: "no recurrence"}


def encoder_of(context: Context) -> Encoder:
    """Encoder of the study's feature set, in evaluation mode."""
    weights = context.study / "models" / context.feature_set.name / "weights.safetensors"
    return load_encoder(weights, context.feature_set.slide_recipe)


def judged_patches(context: Context, role: str) -> pl.DataFrame:
    """Stored patches of the untreated patients of a role whose final outcome is known.

    Parameters
    ----------
    context : Context
        Of the study.
    role : {"held_out", "external"}
        Whose patches.

    Returns
    -------
    polars.DataFrame
        ``image_id``, ``patient_id``, ``relapsed`` (Int64, 1 or 0), ``row``, ``x``, ``y``, ``side``,
        ``probability``; ordered by image and row.

    Raises
    ------
    LeakageError
        If the encoder has seen one of them.
    AnalysisError
        If there are none.
    """
    data = context.data("final")
    patients = data.patients.filter((pl.col("role") == role) & ~pl.col("treated") & pl.col("y").is_not_null())
    assert_unseen(patients["patient_id"], data.seen, f"{role.replace('_', '-')} patients whose patches are shown")
    known = patients.select("patient_id", relapsed=pl.col("y").cast(pl.Int64))
    cohorts = patients["cohort"].unique().to_list()
    images = pl.DataFrame(
        [(source.image_id, source.patient_id) for source in sources(context.study, cohorts)],
        schema={"image_id": pl.String, "patient_id": pl.String},
        orient="row",
    ).join(known, on="patient_id", maintain_order="left")
    risks = patch_risks(context.study, context.feature_set, images["image_id"].to_list())
    if risks.is_empty():
        raise AnalysisError(
            f"{role.replace('_', '-')} patients", "have no patch to show", "Extract the images of this cohort."
        )
    return images.join(risks, on="image_id", maintain_order="left")


def of_most_patients(patches: pl.DataFrame, count: int, *, highest: bool) -> pl.DataFrame:
    """The patches of highest or lowest risk, one per patient before a second of anyone."""
    order = ["probability", "image_id", "row"]
    ranked = patches.sort(order, descending=[highest, False, False])
    turn = ranked.with_columns(turn=pl.int_range(pl.len()).over("patient_id"))
    chosen = turn.sort(["turn", *order], descending=[False, highest, False, False]).head(count)
    return chosen.sort(order, descending=[highest, False, False]).drop("turn")


def source_of(context: Context, image_id: str) -> Source:
    """The file of an image."""
    return next(s for s in sources(context.study, [image_id.split("/")[0]]) if s.image_id == image_id)


def prepared(context: Context, image_id: str) -> PreparedImage:
    """Patches of an image as the encoder was fed, from the cache or the slide.

    Raises
    ------
    AnalysisError
        If the slide cannot be read now; which one it is, a report does not say.
    """
    source = source_of(context, image_id)
    try:
        return prepared_image(context.study, source, context.feature_set.slide_recipe, device="cpu", keep=False)
    except (HccfeatError, OSError) as error:
        raise AnalysisError(
            "a slide of a judged patient", "cannot be read now", "Look for moved or damaged files."
        ) from error


def pixels(context: Context, chosen: pl.DataFrame) -> NDArray[np.uint8]:
    """Pixels (N, S, S, 3) of chosen rows of :func:`judged_patches`, in their order."""
    images = {image_id: prepared(context, image_id) for image_id in sorted(set(chosen["image_id"]))}
    return np.stack([images[row["image_id"]].patches[row["row"]] for row in chosen.to_dicts()])


def probabilities_under(chosen: pl.DataFrame) -> Sequence[str]:
    """Captions under patches: their recurrence probability."""
    risks = chosen["probability"].to_list()
    decimals = 2 if not risks or max(risks) - min(risks) >= 0.05 else 4
    return [f"{risk:.{decimals}f}" for risk in risks]


def annotations_file(study: Path, image_id: str) -> Path:
    """Where the annotations of an image lie, if there are any."""
    return study / "annotations" / f"{image_id}.geojson"
