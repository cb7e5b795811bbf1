from dataclasses import replace

import numpy as np
import pytest

from hccfeat.analysis.clinical_folds import cross_validate, deal, over_repeats
from hccfeat.analysis.clinical_models import fit_regressions
from hccfeat.analysis.data import Population
from hccfeat.analysis.judge_metrics import estimates
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.rating import rate
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Estimate, Z
from tests.analysis.described_study import described, everybody

QUICK = AnalysisConfig(bootstraps=100, imputations=3, repeats=1)
BOTH = ("complete", "multiple")


def fit(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
    del repeat
    return fit_regressions(train, BOTH, horizon=12.0, timed=True, imputations=3, seed=5)


def test_every_patient_judges_once_and_folds_share_the_events() -> None:
    patients = everybody(described())
    fold_of = deal(patients, 1)
    sizes = np.bincount(fold_of)
    assert (len(sizes), sizes.max() - sizes.min() <= 2) == (5, True)
    events = [patients.event[fold_of == k].sum() for k in range(5)]
    assert max(events) - min(events) <= 1
    assert (deal(patients, 1) == fold_of).all()
    assert (deal(patients, 2) != fold_of).any()


def test_a_site_is_in_one_fold() -> None:
    patients = everybody(described())
    sites = np.array([f"S{k % 11}" for k in range(len(patients))])
    fold_of = deal(patients, 1, sites)
    assert all(len(set(fold_of[sites == site])) == 1 for site in set(sites))
    assert len(set(fold_of)) == 5


def test_few_events_make_fewer_folds_and_one_site_none() -> None:
    patients = everybody(described())
    few = replace(patients, event=(np.arange(len(patients)) < 3).astype(float))
    assert len(set(deal(few, 1))) == 3
    with pytest.raises(AnalysisError, match="cannot be dealt"):
        deal(patients, 1, np.full(len(patients), "one"))
    with pytest.raises(AnalysisError, match="0 events"):
        deal(replace(patients, event=np.zeros(len(patients))), 1)


def test_folds_of_one_class_are_a_condition() -> None:
    """Of six sites all events are in two: most folds judge patients of one class."""
    patients = everybody(described(n=90, horizon=None, missing=0.0))
    sites = np.array([f"S{k % 6}" for k in range(90)])
    event = np.isin(sites, ["S0", "S1"]).astype(float)
    made = replace(patients, event=event, recurred=event, y=event)

    def fit(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
        return [FittedModel("spy", "as it is; fitted on nobody", lambda asked: asked.indicators[:, 0])], {}

    settings = AnalysisConfig(bootstraps=100, repeats=1)
    found = cross_validate(made, fit, settings, horizon=None, sites=sites.tolist())
    (condition,) = found.conditions
    assert (condition.kind, condition.about) == ("one_class", "cross-validation")
    assert condition.reason.startswith("in 4 of 5 folds those who judge")
    assert "mean of 1 of 5 folds; no interval" in found.numbers["spy"]["auroc"].method
    assert cross_validate(made, fit, settings, horizon=None).conditions == []


def test_outcomes_of_the_judges_change_no_prediction() -> None:
    """Permuting the outcomes of one fold changes the models of the others, but no risk of that fold itself."""
    patients = everybody(described(missing=0.2))
    first = cross_validate(patients, fit, QUICK, horizon=12.0)
    judged = first.fold_of == 2
    order = np.arange(len(patients))
    # Within classes, so that the fold is dealt as before; times, labels and statuses move together.
    for status in (0.0, 1.0):
        rows = np.flatnonzero(judged & (patients.event == status))
        order[rows] = rows[::-1]
    names = ("time", "y", "months", "recurred")
    moved = {name: getattr(patients, name)[order] for name in names}
    again = cross_validate(replace(patients, **moved), fit, QUICK, horizon=12.0)
    assert (again.fold_of == first.fold_of).all()
    for name, risk in first.risks.items():
        np.testing.assert_array_equal(again.risks[name][judged], risk[judged])
        np.testing.assert_array_equal(again.high[name][judged], first.high[name][judged])
        np.testing.assert_array_equal(again.chances[name][judged], first.chances[name][judged])
        assert (again.risks[name][~judged] != risk[~judged]).any()


def test_probabilities_are_out_of_fold_and_averaged_over_the_repeats() -> None:
    patients = everybody(described(n=80, missing=0.2))

    def fewer(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
        models, problems = fit_regressions(train, ("complete",), horizon=12.0, timed=True, imputations=2, seed=5)
        return models[: 2 - repeat], problems

    changes = ({}, {"seed": QUICK.seed + 1}, {"repeats": 2})
    once, again, both = (
        cross_validate(patients, fewer, QUICK.model_copy(update=change), horizon=12.0) for change in changes
    )
    means = [{(model, when): said for model, when, said in one.out_of_fold.means()} for one in (once, again, both)]
    assert set(means[0]) == {(m, when) for m in ("clinical_logistic", "cox_clinical") for when in (None, 12.0)}
    logistic, cox = ("clinical_logistic", None), ("cox_clinical", 12.0)
    np.testing.assert_allclose(means[2][logistic], (means[0][logistic] + means[1][logistic]) / 2, rtol=1e-12)
    np.testing.assert_array_equal(means[2][cox], means[0][cox])
    complete = ~np.isnan(patients.indicators).any(axis=1)
    assert (np.isfinite(means[2][logistic]) == complete).all()
    inside, rows = once.fold_of != 3, (once.fold_of == 3) & complete
    model = fewer(patients.take(inside), 0)[0][1]
    assert means[0][cox][rows] == pytest.approx(model.probability(patients.take(rows)), rel=1e-12)
    assert once.out_of_fold.method.endswith("fitted without that patient")
    assert both.out_of_fold.method.endswith("over 2 repeats (where a model was fitted less often, as few as 1)")


def test_what_a_fold_learns_it_learns_from_the_other_folds_alone() -> None:
    patients = everybody(described(missing=0.2))
    seen: list[set[str]] = []

    def spy(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
        seen.append(set(train.ids))
        return fit(train, repeat)

    found = cross_validate(patients, spy, QUICK, horizon=12.0)
    for fold, ids in enumerate(seen):
        judges = {p for p, k in zip(found.patients.ids, found.fold_of, strict=True) if k == fold}
        assert not ids & judges
        assert len(ids | judges) == len(patients)


def test_numbers_are_those_of_each_fold_averaged() -> None:
    patients = everybody(described(missing=0.2))
    found = cross_validate(patients, fit, QUICK, horizon=12.0)
    p = found.patients
    complete = ~np.isnan(p.indicators).any(axis=1)
    values: dict[str, list[float]] = {}
    for fold in range(5):
        models, _ = fit(p.take(found.fold_of != fold), 0)
        for model in models:
            rows = found.fold_of == fold
            judges = p.take(rows & complete if model.name in ("clinical_logistic", "cox_clinical") else rows)
            numbers = estimates(judges, rate(model, judges), QUICK, horizon=12.0)
            values.setdefault(model.name, []).append(numbers["c_index"].value)
    assert set(values) == set(found.numbers)
    for name, mine in values.items():
        assert found.numbers[name]["c_index"].value == pytest.approx(np.mean(mine))
    assert found.numbers["cox_clinical"]["c_index"].n == complete.sum()
    assert found.numbers["cox_clinical_imputed"]["c_index"].n == len(p)


def test_repeats_are_averaged_and_do_not_narrow_the_interval() -> None:
    def one(value: float) -> Estimate:
        return Estimate(value, None, None, 20, 8, "", 0.1)

    single = over_repeats("auroc", [[one(0.6), one(0.8)]], 7)
    thrice = over_repeats("auroc", [[one(0.6), one(0.8)], [one(0.7), one(0.5)], [one(0.9), one(0.7)]], 7)
    assert (single.value, single.n, single.events) == (pytest.approx(0.7), 40, 16)
    assert single.standard_error == pytest.approx(np.sqrt(0.02) / 2)
    assert single.upper - single.value == pytest.approx(Z * np.sqrt(0.02) / 2)
    assert thrice.value == pytest.approx(0.7)
    assert (thrice.n, thrice.events) == (40, 16)
    assert thrice.standard_error == pytest.approx(single.standard_error)
    assert "6 of 6 folds in 3 repeats (seeds 7 to 9; 0.700, 0.600, 0.800)" in thrice.method


def test_a_fold_without_a_number_forbids_the_interval() -> None:
    missing = Estimate(None, None, None, 5, 0, "AUROC not estimated: one class")
    found = over_repeats("auroc", [[Estimate(0.7, 0.6, 0.8, 30, 10, "", 0.05), missing]], 1)
    assert (found.value, found.lower, found.n) == (0.7, None, 35)
    assert "1 of 2 folds" in found.method
    none = over_repeats("auroc", [[missing, None]], 1)
    assert none.value is None
    assert "one class" in none.method


def test_a_model_of_one_repeat_counts_its_own_folds() -> None:
    patients = everybody(described(missing=0.1))

    def sometimes(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
        models, problems = fit(train, repeat)
        return [m for m in models if repeat == 0 or m.name == "clinical_logistic"], problems

    found = cross_validate(patients, sometimes, QUICK.model_copy(update={"repeats": 2}), horizon=12.0)
    assert "10 of 10 folds in 2 repeats" in found.numbers["clinical_logistic"]["auroc"].method
    assert "5 of 5 folds" in found.numbers["cox_clinical"]["auroc"].method


def test_nothing_is_found_where_there_is_nothing() -> None:
    """Apparent figures of three noise indicators lie above a half; those of the folds do not."""
    apparent, honest = [], []
    for seed in range(6):
        patients = everybody(described(seed, n=120, signal=0.0, missing=0.1))
        found = cross_validate(patients, fit, QUICK, horizon=12.0)
        honest.append(found.numbers["cox_clinical_imputed"]["c_index"].value)
        models, _ = fit(patients, 0)
        mine = next(model for model in models if model.name == "cox_clinical_imputed")
        apparent.append(estimates(patients, rate(mine, patients), QUICK, horizon=12.0)["c_index"].value)
    assert np.mean(apparent) > 0.53
    assert abs(np.mean(honest) - 0.5) < 0.05


def test_models_that_cannot_be_fitted_are_named() -> None:
    patients = everybody(described(missing=0.1))

    def failing(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
        models, _ = fit(train, repeat)
        return [model for model in models if model.name != "cox_clinical"], {"cox_clinical": "no reason"}

    found = cross_validate(patients, failing, QUICK, horizon=12.0)
    assert found.problems == {"cox_clinical": "in 5 folds: no reason"}
    assert "cox_clinical" not in found.numbers
