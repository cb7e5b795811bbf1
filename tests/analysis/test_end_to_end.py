"""PPS against end-to-end encoders: the same judges, both readings, and the arithmetic of Table 3."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData, population
from hccfeat.analysis.end_to_end import (
    METRICS,
    Comparison,
    RiskModel,
    compare,
    literal_model,
    pps_model,
    raw_label_model,
)
from hccfeat.analysis.recurrence import analyse
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.reproduction.printed import printed
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.threshold import f1_of, threshold_metrics

Study = Callable[..., EndpointData]
RECIPE = PrognosticRecipe()


@pytest.mark.parametrize("model", ["pps", "end_to_end"])
@pytest.mark.parametrize("horizon", ["1y", "2y", "final"])
def test_our_metrics_of_the_printed_confusion_matrices_are_table_3(model: str, horizon: str) -> None:
    tp, fp, fn, tn = printed("table3", "confusion", model, horizon)
    labels = [1] * tp + [0] * fp + [1] * fn + [0] * tn
    risk = [0.5] * (tp + fp) + [0.49] * (fn + tn)
    found = threshold_metrics(labels, risk, 0.5, resamples=100, seed=1)
    values = [found[name].value for name in ("accuracy", "precision", "recall", "f1")]
    assert [round(value, 3) for value in values if value is not None] == printed("table3", model, horizon)[2:]
    assert found["accuracy"].n == 57
    assert found["accuracy"].events == {"1y": 22, "2y": 24, "final": 28}[horizon]


def judges(data: EndpointData, role: str = "held_out") -> list[str]:
    cohort = "internal" if role == "held_out" else "external"
    found = population(data, cohort, role, role)  # type: ignore[arg-type]
    return [patient for patient, known in zip(found.ids, found.labelled, strict=True) if known]


def noise(data: EndpointData, name: str, seed: int = 0, seen: frozenset[str] = frozenset()) -> RiskModel:
    generator = np.random.default_rng(seed)
    return RiskModel(name, {patient: generator.random() for patient in data.patients["patient_id"]}, seen)


def scored(found: Comparison, model: str, metric: str) -> float | None:
    return next(score for score in found.scores if score.model == model).estimates[metric].value


def test_all_models_are_judged_by_the_same_patients(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    models = [noise(data, "pps_mlp", 1), noise(data, "raw_labels", 2), noise(data, "literal", 3)]
    inside, outside = compare(data, models, settings)
    assert (inside.cohort, inside.split, outside.cohort, outside.split) == (
        "internal",
        "held_out",
        "external",
        "external",
    )
    for found, role in ((inside, "held_out"), (outside, "external")):
        who = judges(data, role)
        y = dict(data.patients.select("patient_id", "y").rows())
        assert (found.n, found.events, found.left_out) == (len(who), sum(y[patient] for patient in who), 0)
        for model in models:
            expected = auroc([y[patient] for patient in who], [model.risks[patient] for patient in who]).value
            assert scored(found, model.name, "auroc") == expected
        assert {score.confusion.n for score in found.scores} == {found.n}
        assert {score.confusion.events for score in found.scores} == {found.events}
        assert all(set(score.estimates) == set(METRICS) for score in found.scores)


def test_who_lacks_a_risk_in_one_model_judges_none(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    lost = judges(data)[0]
    full, short = noise(data, "pps_mlp", 1), noise(data, "literal", 2)
    short = replace(short, risks={k: v for k, v in short.risks.items() if k != lost})
    before, after = compare(data, [full], settings)[0], compare(data, [full, short], settings)[0]
    assert (after.n, after.left_out) == (before.n - 1, 1)
    assert {score.confusion.n for score in after.scores} == {after.n}


def test_the_gap_is_paired(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    first, second = noise(data, "pps_mlp", 1), noise(data, "literal", 2)
    gap = compare(data, [first, second], settings)[0].gaps[0]
    back = compare(data, [second, first], settings)[0].gaps[0]
    assert gap.difference.value == pytest.approx(-back.difference.value)
    assert gap.difference.lower == pytest.approx(-back.difference.upper)
    assert gap.p == pytest.approx(back.p)
    found = compare(data, [first, second], settings)[0]
    assert gap.difference.value == pytest.approx(
        scored(found, "pps_mlp", "auroc") - scored(found, "literal", "auroc")
    )
    same = compare(data, [first, replace(first, name="literal")], settings)[0].gaps[0]
    assert (same.difference.value, same.difference.lower, same.p) == (0.0, None, None)
    assert "same value" in same.difference.method


def test_a_judge_whom_a_model_has_seen_is_a_leak(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    leaky = noise(data, "literal", 2, frozenset(judges(data)[:2]))
    with pytest.raises(LeakageError, match=r"held-out patients of cohort internal \(literal\): 2 of"):
        compare(data, [noise(data, "pps_mlp"), leaky], settings)


def test_one_class_gives_no_number_and_says_why(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    all_free = data.patients.with_columns(
        y=pl.when(pl.col("role") == "held_out").then(pl.lit(0, pl.Int8)).otherwise(pl.col("y"))
    )
    found = compare(replace(data, patients=all_free), [noise(data, "pps_mlp"), noise(data, "literal", 2)], settings)
    assert scored(found[0], "literal", "auroc") is None
    assert found[0].gaps[0].difference.value is None
    assert found[0].gaps[0].p is None
    assert "no judged patient has the event" in found[0].gaps[0].difference.method


def test_without_judges_there_is_nothing_to_compare(study: Study, settings: AnalysisConfig) -> None:
    data = study(external=0)
    assert [found.split for found in compare(data, [noise(data, "pps_mlp")], settings)] == ["held_out"]
    empty = RiskModel("pps_mlp", {}, frozenset())
    assert compare(data, [empty], settings) == []


def test_the_literal_risk_is_the_mean_over_images() -> None:
    images = pl.DataFrame({"patient_id": ["b", "a", "b"], "probability": [0.2, 0.9, 0.4]})
    model = literal_model(images, frozenset({"c"}))
    assert model.risks == pytest.approx({"a": 0.9, "b": 0.3})
    assert model.seen == {"c"}


def test_the_raw_label_model_learns_from_training_patients_only(study: Study, quick: type) -> None:
    data = study(images=True, seen=set())
    other = study(seed=9)
    assert data.images is not None
    assert other.images is not None
    vectors = data.images.with_columns(vector=other.images["vector"] * 1.0)
    vectors = vectors.with_columns(pl.col("vector").cast(pl.Array(pl.Float32, 6)))
    seen = frozenset({"internal/P0000"})
    model = raw_label_model(data, vectors, seen, RECIPE, quick)
    train = population(data, "internal", "train", "apparent")
    labelled = {patient for patient, known in zip(train.ids, train.labelled, strict=True) if known}
    assert model.seen == seen | labelled
    assert set(model.risks).isdisjoint(labelled)
    assert set(judges(data)) | set(judges(data, "external")) <= set(model.risks)

    def flipped(role: str) -> EndpointData:
        mine = pl.col("role") == role
        return replace(
            data, patients=data.patients.with_columns(y=pl.when(mine).then(1 - pl.col("y")).otherwise(pl.col("y")))
        )

    assert raw_label_model(flipped("held_out"), vectors, seen, RECIPE, quick).risks == model.risks
    assert raw_label_model(flipped("train"), vectors, seen, RECIPE, quick).risks != model.risks
    # the vectors of the endpoint's own feature set play no part
    assert raw_label_model(replace(data, images=None), vectors, seen, RECIPE, quick).risks == model.risks


def test_the_networks_of_both_models_are_fitted_alike(study: Study, quick: type, settings: AnalysisConfig) -> None:
    """With the same vectors the comparator is the PPS model."""
    data = study()
    result = analyse(data, settings, fit_images=quick)
    pps = pps_model(data, result)
    assert data.images is not None
    raw = raw_label_model(data, data.images, frozenset(data.seen), RECIPE, quick)
    assert {patient: raw.risks[patient] for patient in pps.risks} == pytest.approx(dict(pps.risks))
    assert pps.seen == data.seen
    found = compare(data, [pps, raw], settings)[0]
    assert scored(found, "pps_mlp", "f1") == f1_of(found.scores[1].confusion)


def test_without_pps_risks_the_comparison_says_so(study: Study, settings: AnalysisConfig) -> None:
    data = study(images=False)
    with pytest.raises(AnalysisError, match="no PPS risks"):
        pps_model(data, analyse(data, settings))
    assert data.images is None
    one_class = data.patients.with_columns(y=pl.when(pl.col("y").is_not_null()).then(pl.lit(0, pl.Int8)))
    images = study().images
    assert images is not None
    with pytest.raises(AnalysisError, match=r"none of .* has an event"):
        raw_label_model(replace(data, patients=one_class), images, frozenset(), RECIPE)
