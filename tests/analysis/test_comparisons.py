from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from statsmodels.stats.multitest import multipletests

from hccfeat.analysis.comparators import ComparatorOptions
from hccfeat.analysis.comparisons import (
    ADDED,
    ADDED_IMPUTED,
    AUROC,
    BRIER,
    C_INDEX,
    Pair,
    add_comparisons,
    compare_models,
    compare_pairs,
    declaration,
    delong_difference,
    model_pairs,
)
from hccfeat.analysis.completed_risks import completed_risks
from hccfeat.analysis.data import EndpointData, population
from hccfeat.analysis.judged_risks import judged_risks
from hccfeat.analysis.recurrence import analyse, analyse_folds
from hccfeat.analysis.results import EndpointResult, ModelComparison, Prediction, SplitRole
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import cox_model, nested_test
from hccfeat.stats.delong import paired_delong
from tests.analysis.test_crossval import make_folds

CLINICAL, PPS, INTEGRATED, OTHER = "clinical_logistic", "pps_mlp", "integrated_logistic", "xgboost"
SETTINGS = AnalysisConfig(bootstraps=200)


def study(n: int = 150, horizon: float | None = 12.0) -> EndpointData:
    """Patients followed for 30 months, a third of them censored before 12."""
    generator = np.random.default_rng(4)
    time = generator.exponential(16, n) + 0.1
    censored = generator.uniform(3, 40, n)
    event, time = time <= censored, np.minimum(time, censored)
    labels = [1 if e and t <= 12 else (0 if t >= 12 else None) for t, e in zip(time, event, strict=True)]
    ids = [f"internal/P{k}" for k in range(n)]
    patients = pl.DataFrame(
        {
            "patient_id": ids,
            "cohort": ["internal"] * n,
            "role": ["held_out"] * n,
            "treated": [False] * n,
            "time": np.minimum(time, 12.0),
            "event": event & (time <= 12),
            "months": time,
            "recurred": event,
            "y": labels if horizon else [int(e) for e in event],
            "excluded": [None] * n,
        },
        schema_overrides={"y": pl.Int8, "excluded": pl.String},
    )
    empty = pl.DataFrame({"patient_id": ids})
    return EndpointData("1y", "Recurrence", horizon, "none", patients, empty, [])


def risks(data: EndpointData, seed: int = 2) -> dict[str, np.ndarray]:
    """Risks of which the second and third know more than the first."""
    generator = np.random.default_rng(seed)
    n = data.patients.height
    early = -np.log(data.patients["months"].to_numpy())
    noise = generator.normal(size=(4, n))
    latent = {
        CLINICAL: 0.3 * early + noise[0],
        PPS: 0.8 * early + noise[1],
        INTEGRATED: early + 0.5 * noise[0] + 0.7 * noise[1],
        OTHER: 0.5 * early + noise[3],
    }
    return {name: 1 / (1 + np.exp(-values - 1)) for name, values in latent.items()}


def rows_of(data: EndpointData, found: dict[str, np.ndarray], split: SplitRole = "held_out") -> list[Prediction]:
    ids = data.patients["patient_id"].to_list()
    return [
        Prediction("1y", "internal", split, model, patient, float(value), float(value))
        for model, risk in found.items()
        for patient, value in zip(ids, risk, strict=True)
    ]


def row(rows: list[ModelComparison], first: str, second: str, metric: str) -> ModelComparison:
    (found,) = (r for r in rows if (r.first, r.second, r.metric) == (first, second, metric))
    return found


@pytest.fixture(scope="module")
def data() -> EndpointData:
    return study()


@pytest.fixture(scope="module")
def compared(data: EndpointData) -> list[ModelComparison]:
    return compare_models(data, rows_of(data, risks(data)), SETTINGS)


def test_pairs_are_those_with_the_reference_and_integrated_against_images() -> None:
    found = model_pairs([PPS, CLINICAL, INTEGRATED, OTHER, "mean_colour_logistic"], CLINICAL)
    assert found == [
        Pair(PPS, CLINICAL, declared=True),
        Pair(INTEGRATED, CLINICAL, declared=True),
        Pair(OTHER, CLINICAL, declared=False),
        Pair(INTEGRATED, PPS, declared=True),
    ]
    assert model_pairs([PPS, OTHER], CLINICAL) == []
    assert model_pairs([CLINICAL], CLINICAL) == []


def test_auroc_has_delongs_p_of_labelled_patients(data: EndpointData, compared: list[ModelComparison]) -> None:
    y = data.patients["y"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    known, found = ~np.isnan(y), risks(data)
    exact = paired_delong(y[known], found[CLINICAL][known], found[PPS][known])
    gap = row(compared, PPS, CLINICAL, AUROC)
    assert gap.difference == pytest.approx(exact.difference.value)
    assert gap.p == pytest.approx(exact.p)
    assert (gap.n, gap.events) == (int(known.sum()), int(np.nansum(y)))
    assert gap.lower < gap.difference < gap.upper


def test_harrell_and_brier_have_intervals_and_no_p(data: EndpointData, compared: list[ModelComparison]) -> None:
    for metric, better in ((C_INDEX, 1), (BRIER, -1)):
        gap = row(compared, INTEGRATED, CLINICAL, metric)
        assert gap.difference * better > 0
        assert gap.lower < gap.difference < gap.upper
        assert (gap.p, gap.p_adjusted) == (None, None)
        assert gap.n == data.patients.height


def test_added_value_is_the_likelihood_ratio_of_two_cox_models(
    data: EndpointData, compared: list[ModelComparison]
) -> None:
    gain = row(compared, PPS, CLINICAL, ADDED)
    found = {name: np.log(risk / (1 - risk)) for name, risk in risks(data).items()}
    time, event = data.patients["time"].to_numpy(), data.patients["event"].to_numpy()
    one = cox_model(time, event, found[CLINICAL])
    both = cox_model(time, event, np.column_stack([found[CLINICAL], found[PPS]]))
    test = nested_test(one, both)
    assert (gain.difference, gain.p) == pytest.approx((test.chisq, test.p))
    assert "1 df" in gain.method
    assert (gain.n, gain.events) == (data.patients.height, int(event.sum()))
    assert not [r for r in compared if r.metric == ADDED and r.second == PPS]


def test_families_are_small_declared_and_adjusted_by_holm(compared: list[ModelComparison]) -> None:
    for metric, size in ((AUROC, 3), (ADDED, 2)):
        family = [r for r in compared if r.metric == metric and r.p is not None]
        assert len(family) == size
        expected = multipletests([r.p for r in family], method="holm")[1]
        assert [r.p_adjusted for r in family] == pytest.approx(expected.tolist())
        assert all(f"Holm over {size}" in r.method for r in family)
    outside = [r for r in compared if r.first == OTHER]
    assert {r.metric for r in outside} == {AUROC, C_INDEX, BRIER}
    assert all(r.p is None and r.p_adjusted is None and r.difference is not None for r in outside)
    assert "outside the declared family" in row(compared, OTHER, CLINICAL, AUROC).method
    said = declaration(compared)
    assert "pps_mlp against clinical_logistic" in said
    assert "xgboost" not in said
    assert "(3 at most)" in said
    assert declaration([]) == ""
    assert declaration(outside).startswith("No test is declared")


def test_apparent_risks_are_never_compared(data: EndpointData) -> None:
    assert compare_models(data, rows_of(data, risks(data), "apparent"), SETTINGS) == []
    (judged,) = judged_risks(data, rows_of(data, risks(data)))
    with pytest.raises(AnalysisError, match="fitted on"):
        replace(judged, split="apparent")


def test_a_cross_validation_is_compared_inside_its_folds(data: EndpointData) -> None:
    """A fold whose risks lie on another scale changes nothing, and without folds nothing is compared."""
    found = risks(data)
    ids = data.patients["patient_id"].to_list()
    folds = {patient: k % 3 for k, patient in enumerate(ids)}
    inside = np.arange(len(ids)) % 3 == 1
    moved = {name: np.where(inside, 0.1 * risk if name == PPS else risk, risk) for name, risk in found.items()}
    plain, shifted = (
        compare_models(data, rows_of(data, values, "cross_validation"), SETTINGS, folds=folds)
        for values in (found, moved)
    )
    for metric in (AUROC, C_INDEX):
        one, other = row(plain, PPS, CLINICAL, metric), row(shifted, PPS, CLINICAL, metric)
        assert (one.difference, one.lower, one.p) == (other.difference, other.lower, other.p)
        assert "mean of 3 folds" in one.method
    added = row(plain, PPS, CLINICAL, ADDED)
    assert added.p < 0.05
    assert "standardised inside folds" in added.method
    assert compare_models(data, rows_of(data, found, "cross_validation"), SETTINGS) == []
    with pytest.raises(AnalysisError, match="lacks the fold of 1"):
        compare_models(
            data, rows_of(data, found, "cross_validation"), SETTINGS, folds={k: folds[k] for k in ids[1:]}
        )


def test_folds_combine_delongs_variances(data: EndpointData) -> None:
    found = risks(data)
    ids = data.patients["patient_id"].to_list()
    folds = {patient: k % 2 for k, patient in enumerate(ids)}
    (judged,) = judged_risks(data, rows_of(data, found, "cross_validation"), folds)
    gap, p = delong_difference(judged, PPS, CLINICAL)
    parts = []
    for number in range(2):
        keep = judged.labelled & (judged.fold == number)
        parts.append(
            paired_delong(judged.y[keep], judged.risks[CLINICAL][keep], judged.risks[PPS][keep]).difference
        )
    assert gap.value == pytest.approx(np.mean([part.value for part in parts]))
    assert gap.standard_error == pytest.approx(np.sqrt(sum(part.standard_error**2 for part in parts)) / 2)
    assert p is not None


def test_each_pair_is_judged_on_the_patients_whom_both_have_judged(data: EndpointData) -> None:
    predictions = [p for p in rows_of(data, risks(data)) if not (p.model == OTHER and p.patient_id.endswith("1"))]
    found = compare_models(data, predictions, SETTINGS)
    assert row(found, PPS, CLINICAL, C_INDEX).n == 150
    assert row(found, OTHER, CLINICAL, C_INDEX).n == 135
    with pytest.raises(AnalysisError, match="two held_out risks"):
        compare_models(data, [*predictions, predictions[0]], SETTINGS)


def test_a_finding_without_time_is_compared_by_label_and_logistic_regression(data: EndpointData) -> None:
    untimed = replace(data, timed=False, horizon_months=None)
    found = compare_models(untimed, rows_of(data, risks(data)), SETTINGS)
    assert {r.metric for r in found} == {AUROC, BRIER, ADDED}
    assert "logistic regression" in row(found, PPS, CLINICAL, ADDED).method
    assert row(found, PPS, CLINICAL, ADDED).p < 0.05


def test_a_result_gains_its_comparisons(data: EndpointData) -> None:
    result = EndpointResult("1y", "Recurrence", 12.0, "none", predictions=rows_of(data, risks(data)))
    add_comparisons(result, data, SETTINGS)
    assert result.comparisons == compare_models(data, result.predictions, SETTINGS)
    ids = data.patients["patient_id"].to_list()
    folds = {patient: k % 2 for k, patient in enumerate(ids)}
    crossed = rows_of(data, risks(data), "cross_validation")
    folded = replace(result, predictions=crossed, comparisons=[], artefacts={"folds": folds})
    add_comparisons(folded, data, SETTINGS)
    assert "mean of 2 folds" in row(folded.comparisons, PPS, CLINICAL, AUROC).method
    silent = replace(folded, comparisons=[], artefacts={})
    add_comparisons(silent, data, SETTINGS)
    assert silent.comparisons == []


def test_what_cannot_be_had_says_why(data: EndpointData) -> None:
    found = risks(data)
    constant = {CLINICAL: found[CLINICAL], PPS: np.full(150, 0.5), INTEGRATED: 30 * found[INTEGRATED]}
    rows = compare_models(data, rows_of(data, constant), SETTINGS)
    assert row(rows, PPS, CLINICAL, ADDED).p is None
    assert "constant" in row(rows, PPS, CLINICAL, ADDED).method
    assert "not between 0 and 1" in row(rows, INTEGRATED, CLINICAL, BRIER).method
    assert row(rows, INTEGRATED, CLINICAL, ADDED).p is not None
    calm = data.patients.with_columns(y=pl.lit(0, pl.Int8), event=pl.lit(value=False), recurred=pl.lit(value=False))
    rows = compare_models(replace(data, patients=calm), rows_of(data, found), SETTINGS)
    assert all(r.p is None for r in rows)
    assert "no patient has the event" in row(rows, PPS, CLINICAL, AUROC).method
    assert "only 0 events" in row(rows, PPS, CLINICAL, ADDED).method
    equal = compare_models(data, rows_of(data, {CLINICAL: found[PPS], PPS: found[PPS]}), SETTINGS)
    assert row(equal, PPS, CLINICAL, AUROC).p is None
    assert "variance is zero" in row(equal, PPS, CLINICAL, AUROC).method
    assert "linear combination" in row(equal, PPS, CLINICAL, ADDED).method


def test_the_predictions_of_an_analysis_are_compared(
    study: Callable[..., EndpointData], quick: type, settings: AnalysisConfig
) -> None:
    """And Cox models, whose risk is none, by their probability at the horizon."""
    made = study()
    result = analyse(made, settings, fit_images=quick, comparators=ComparatorOptions(("cox",)))
    found = compare_models(made, result.predictions, settings)
    assert {(r.cohort, r.split) for r in found} == {("internal", "held_out"), ("external", "external")}
    gap = row([r for r in found if r.split == "held_out"], PPS, CLINICAL, AUROC)
    assert gap.p is not None
    judged = judged_risks(made, result.predictions)[0]
    assert gap == row(
        compare_pairs(judged, model_pairs([PPS, CLINICAL, INTEGRATED], CLINICAL), settings, CLINICAL),
        PPS, CLINICAL, AUROC,
    )  # fmt: skip
    score = {(r.split, r.model): r.estimate for r in result.metrics if r.metric == "brier"}
    for split in ("held_out", "external"):
        cox = row([r for r in found if r.split == split], "cox_clinical", CLINICAL, BRIER)
        assert cox.difference == pytest.approx(score[split, "cox_clinical"] - score[split, CLINICAL], rel=1e-9)
        assert cox.lower < cox.difference < cox.upper


def test_a_model_without_a_probability_has_no_brier_difference(data: EndpointData) -> None:
    rows = [replace(r, probability=None) if r.model == PPS else r for r in rows_of(data, risks(data))]
    gap = row(compare_models(data, rows, SETTINGS), PPS, CLINICAL, BRIER)
    assert (gap.difference, gap.n) == (None, data.patients.height)
    assert gap.method == f"difference in Brier score not estimated: {PPS} without a probability"


def with_judges(found: EndpointResult, data: EndpointData, settings: AnalysisConfig) -> list[ModelComparison]:
    add_comparisons(found, data, settings)
    return [r for r in found.comparisons if r.metric == ADDED_IMPUTED]


def test_added_value_is_pooled_where_judges_lack_an_indicator(
    study: Callable[..., EndpointData], quick: type, settings: AnalysisConfig
) -> None:
    made = study(missing=0.2, held_out=80)
    result = analyse(made, settings, fit_images=quick)
    pooled = with_judges(result, made, settings)
    assert {(r.cohort, r.first) for r in pooled} == {
        (cohort, model) for cohort in ("internal", "external") for model in (PPS, INTEGRATED)
    }
    gain = next(r for r in pooled if (r.cohort, r.first) == ("internal", PPS))
    complete = row([r for r in result.comparisons if r.split == "held_out"], PPS, CLINICAL, ADDED)
    patients = population(made, "internal", "held_out", "held_out")
    lacking = int(np.isnan(patients.indicators).any(axis=1).sum())
    assert (gain.n, gain.events) == (complete.n, complete.events)
    assert gain.p is not None
    assert gain.p_adjusted >= gain.p
    assert f"2 imputations, {lacking} of {gain.n} patients with a missing item" in gain.method
    assert "Holm over 2 likelihood-ratio tests of added value on imputed patients" in gain.method
    # The image risk is what it was; the clinical risk of those who lack nothing too.
    (parts,) = (parts for place, parts in result.artefacts["judges"].items() if place[0] == "internal")
    found = completed_risks(parts, settings)
    known = {(r.model, r.patient_id): r.risk for r in result.predictions if r.split == "held_out"}
    whole = ~np.isnan(patients.indicators).any(axis=1)
    assert found.risks[PPS] == pytest.approx(np.array([[known[PPS, one] for one in found.ids]] * 2))
    clinical = np.array([known[CLINICAL, one] for one in found.ids])
    assert found.risks[CLINICAL][:, whole] == pytest.approx(np.array([clinical[whole]] * 2))
    assert (found.risks[CLINICAL][0, ~whole] != found.risks[CLINICAL][1, ~whole]).all()


def test_nothing_missing_gives_no_pooled_test(
    study: Callable[..., EndpointData], quick: type, settings: AnalysisConfig
) -> None:
    for made, asked in ((study(missing=0.0), "both"), (study(missing=0.2), "complete")):
        chosen = settings.model_copy(update={"missing": asked})
        assert with_judges(analyse(made, chosen, fit_images=quick), made, chosen) == []
    few = study(missing=0.2, held_out=4, external=0)
    result = analyse(few, settings, fit_images=quick)
    assert with_judges(result, few, settings) == []
    assert [n.kind for n in result.notices if "Added value not tested" in n.title] == ["missingness"]


@pytest.mark.parametrize("timed", [True, False])
def test_completed_risks_of_folds_are_pooled(
    study: Callable[..., EndpointData], quick: type, settings: AnalysisConfig, timed: bool
) -> None:
    folds = make_folds(study, missing=0.2, timed=timed)
    found = analyse_folds(folds, settings, fit_images=quick)
    pooled = with_judges(found, folds[0], settings)
    assert {(r.first, r.split) for r in pooled} == {(PPS, "cross_validation"), (INTEGRATED, "cross_validation")}
    assert all("risks standardised inside folds: D3 over 2 imputations" in r.method for r in pooled)
    assert all(("Cox" in r.method) == timed and 0 <= r.p <= 1 for r in pooled)
