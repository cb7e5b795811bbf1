from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData, population
from hccfeat.errors import AnalysisError

Study = Callable[..., EndpointData]


def test_a_population_is_aligned_and_independent_of_row_order(study: Study) -> None:
    data = study()
    shuffled = study(
        patients=data.patients.sample(fraction=1, shuffle=True, seed=1),
        indicators=data.indicators.sample(fraction=1, shuffle=True, seed=2),
        images=data.images.sample(fraction=1, shuffle=True, seed=3),
    )
    one, two = (population(each, "internal", "train", "apparent") for each in (data, shuffled))
    assert one.ids == two.ids == sorted(one.ids)
    for name in ("time", "event", "y", "indicators", "image_vectors", "image_patient", "colour"):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True), name


def test_treated_patients_and_patients_without_images_are_left_out_and_counted(study: Study) -> None:
    data = study()
    rows = data.patients.filter(pl.col("role") == "held_out")
    untreated = rows.filter(~pl.col("treated"))["patient_id"].to_list()
    fewer = study(images=data.images.filter(pl.col("patient_id") != untreated[0]))
    found = population(fewer, "internal", "held_out", "held_out")
    assert found.ids == sorted(untreated[1:])
    assert found.left_out == {"treated": rows["treated"].sum(), "no embedded image": 1}


def test_taking_patients_takes_their_images(study: Study) -> None:
    whole = population(study(), "internal", "train", "apparent")
    keep = np.arange(len(whole)) % 3 == 1
    part = whole.take(keep)
    assert np.allclose(part.patient_mean(part.image_vectors), whole.patient_mean(whole.image_vectors)[keep])
    assert part.ids == [patient for patient, kept in zip(whole.ids, keep, strict=True) if kept]


def test_times_are_truncated_at_the_horizon_once(study: Study) -> None:
    data = study(horizon=12.0)
    found = population(data, "internal", "train", "apparent")
    assert found.time.max() == 12.0
    early = dict(
        zip(data.patients["patient_id"], data.patients["event"] & (data.patients["time"] <= 12), strict=True)
    )
    assert found.event.tolist() == [float(early[patient]) for patient in found.ids]
    cut = data.patients.with_columns(
        event=pl.col("event") & (pl.col("time") <= 12), time=pl.min_horizontal("time", pl.lit(12.0))
    )
    again = population(study(patients=cut), "internal", "train", "apparent")
    assert np.array_equal(found.time, again.time)
    assert np.array_equal(found.event, again.event)


def test_nulls_are_unknown_not_zero(study: Study) -> None:
    data = study()
    emptied = data.patients.with_columns(time=pl.lit(None, pl.Float64), event=pl.lit(None, pl.Boolean))
    found = population(study(patients=emptied), "internal", "train", "apparent")
    assert not found.followed.any()
    assert np.isnan(found.indicators).sum() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: {"patients": pl.concat([d.patients, d.patients.head(1)])}, "repeated values of patient_id"),
        (lambda d: {"patients": d.patients.with_columns(role=pl.lit("judge"))}, "unknown roles"),
        (lambda d: {"patients": d.patients.with_columns(time=-pl.col("time"))}, "negative"),
        (lambda d: {"patients": d.patients.with_columns(y=pl.lit(2))}, "other than 0, 1"),
        (lambda d: {"patients": d.patients.drop("treated")}, "treated"),
        (lambda d: {"indicators": d.indicators.with_columns(alt=pl.lit(float("nan")))}, "NaN"),
        (lambda d: {"indicators": d.indicators.with_columns(alt=pl.lit("high"))}, "not a number"),
        (lambda d: {"indicator_names": ["afp"]}, "afp"),
        (lambda d: {"images": d.images.drop("vector")}, "vector"),
    ],
)
def test_malformed_frames_are_refused(study: Study, change: Callable, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        study(**change(study()))


def test_a_vector_with_nan_is_refused(study: Study) -> None:
    data = study()
    first = data.images["image_id"][0]
    bad = pl.when(pl.col("image_id") == first).then(pl.lit(float("nan"))).otherwise(pl.col("vector").arr.first())
    images = data.images.with_columns(vector=pl.concat_list(bad, pl.col("vector").arr.last()))
    with pytest.raises(AnalysisError, match="NaN or infinity"):
        population(study(images=images), "internal", "train", "apparent")
