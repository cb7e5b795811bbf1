from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.util import Surv

from hccfeat.analysis.comparators import COMPARATORS, ComparatorOptions, fit_comparators
from hccfeat.analysis.comparators.hazard import through_baseline
from hccfeat.analysis.comparators.inputs import Training
from hccfeat.analysis.comparators.survival import fit_cox, signed_places
from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.models import FittedModel
from hccfeat.errors import AnalysisError
from hccfeat.stats.concordance import concordance
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.coxresiduals import baseline_hazard, predicted_risk
from hccfeat.stats.firth import firth_cox
from hccfeat.stats.km import product_limit

Study = Callable[..., EndpointData]
SURVIVAL = ("cox", "coxnet", "forest", "xgboost-cox")


def training(data: EndpointData) -> Training:
    everyone = population(data, "internal", "train", "apparent")
    return Training(everyone.take(everyone.followed), data.horizon_months, 7)


def judges(data: EndpointData) -> Population:
    found = population(data, "internal", "held_out", "held_out")
    return found.take(found.followed)


def fixed(name: str, train: Training) -> FittedModel:
    return COMPARATORS[name].fit(train, COMPARATORS[name].grid[0])


def c_of(model: FittedModel, judged: Population) -> float:
    return float(concordance(judged.time, judged.event, model.predict(judged)).value or 0.0)


@pytest.mark.parametrize("name", SURVIVAL)
def test_a_planted_signal_is_learned_and_noise_is_not(study: Study, name: str) -> None:
    data = study(2, train=130, held_out=90)
    model = fixed(name, training(data))
    assert c_of(model, judges(data)) > 0.68
    nothing = [study(seed, train=90, held_out=90, signal=0.0) for seed in (1, 2, 3)]
    assert abs(np.mean([c_of(fixed(name, training(one)), judges(one)) for one in nothing]) - 0.5) < 0.08


@pytest.mark.parametrize("name", SURVIVAL)
def test_probabilities_follow_the_curve_of_all_patients(study: Study, name: str) -> None:
    data = study(3, train=160, held_out=120)
    train, judged = training(data), judges(data)
    model = fixed(name, train)
    assert model.probability is not None
    assert model.risk_by is not None
    months = np.array([0.0, 3.0, 6.0, 12.0])
    risks = model.risk_by(judged, months)
    assert risks.shape == (len(judged), 4)
    assert (risks[:, 0] == 0).all()
    assert (np.diff(risks, axis=1) >= 0).all()
    assert (risks <= 1).all()
    assert np.array_equal(model.probability(judged), risks[:, -1])
    curve = product_limit(judged.time, judged.event > 0)
    assert risks.mean(axis=0) == pytest.approx(1 - curve.at(months), abs=0.12)
    with pytest.raises(AnalysisError, match="follow-up to 12 months"):
        model.risk_by(judged, np.array([12.5]))
    assert model.risk_by(judged.take(np.zeros(len(judged), dtype=bool)), months).shape == (0, 4)


@pytest.mark.parametrize("name", SURVIVAL)
def test_equal_inputs_give_equal_models(study: Study, name: str) -> None:
    data = study(4)
    one, two = (fixed(name, training(data)) for _ in range(2))
    judged = judges(data)
    assert np.array_equal(one.predict(judged), two.predict(judged))
    assert one.probability is not None
    assert two.probability is not None
    assert np.array_equal(one.probability(judged), two.probability(judged))
    assert one.description == two.description


@pytest.mark.parametrize("name", SURVIVAL)
def test_no_probability_where_nobody_was_followed_to_the_horizon(study: Study, name: str) -> None:
    data = study(5)
    early = data.patients.with_columns(time=pl.col("time").clip(0, 11.0), event=pl.col("time") < 11.0)
    model = fixed(name, training(study(5, patients=early)))
    assert (model.probability, model.risk_by) == (None, None)
    assert np.isfinite(model.predict(judges(data))).all()


def test_without_a_horizon_there_are_risks_by_month_only(study: Study) -> None:
    model = fixed("coxnet", training(study(6, horizon=None)))
    assert model.probability is None
    assert model.risk_by is not None


def tied(study: Study) -> Training:
    """Times in whole months, so that most events are tied."""
    data = study(7, train=120, treated=0.0, missing=0.0)
    return training(study(7, patients=data.patients.with_columns(time=pl.col("time").ceil()), missing=0.0))


def test_cox_takes_efrons_ties_and_says_so(study: Study) -> None:
    train = tied(study)
    model = fit_cox(train, {})
    x = train.patients.indicators
    filled = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    ours = model.predict(train.patients)
    efron, breslow = (cox_model(train.patients.time, train.events, filled, ties) for ties in ("efron", "breslow"))
    assert ours - ours.mean() == pytest.approx(efron.linear_predictor, abs=1e-8)
    assert np.abs(ours - ours.mean() - breslow.linear_predictor).max() > 0.02
    assert "Efron ties" in model.description
    assert model.risk_by is not None
    months = np.array([2.0, 5.0, 12.0])
    assert model.risk_by(train.patients, months) == pytest.approx(predicted_risk(efron, filled, months), rel=1e-8)


def test_coxnet_takes_breslows_ties(study: Study) -> None:
    train = tied(study)
    x = np.random.default_rng(1).normal(size=(len(train.patients), 2)) + train.patients.time[:, None] / 6
    free = CoxnetSurvivalAnalysis(alphas=[1e-9]).fit(x, Surv.from_arrays(train.events, train.ranks))
    breslow = cox_model(train.patients.time, train.events, x, "breslow")
    assert free.coef_[:, -1] == pytest.approx(breslow.coefficients, abs=2e-3)
    efron = cox_model(train.patients.time, train.events, x, "efron")
    assert np.abs(free.coef_[:, -1] - efron.coefficients).min() > 0.01
    assert "Breslow ties" in fixed("coxnet", train).description


def test_the_penalty_of_coxnet_follows_the_signal(study: Study) -> None:
    """Of three indicators of 300 patients little is taken off, of sixty that say nothing much."""
    clinical = study(8, train=300, images=False, missing=0.0, treated=0.0)
    data, noise = training(clinical), training(study(8, train=100, signal=0.0, dimensions=60, treated=0.0))
    assert share(data) < 0.15
    assert share(noise) > 0.4
    model = fixed("coxnet", data)
    full = cox_model(data.patients.time, data.events, data.patients.indicators, "breslow").linear_predictor
    slope = cox_model(data.patients.time, data.events, model.predict(data.patients)).coefficients[0]
    assert 0.9 < slope < 1.3
    assert np.corrcoef(full, model.predict(data.patients))[0, 1] > 0.98


def share(train: Training) -> float:
    """Of the smallest penalty that leaves no covariate."""
    said = fixed("coxnet", train).description
    assert ("inner folds" in said) == (0 < train.events.sum() < len(train.events))
    return float(said.split("penalty ")[1].split(" of the smallest")[0])


def test_coxnet_without_folds_has_a_fixed_penalty(study: Study) -> None:
    train = training(study(8, train=60, horizon=None))
    everyone = replace(train, patients=replace(train.patients, event=np.ones(len(train.patients))))
    assert share(everyone) == pytest.approx(0.3, abs=0.05)


def test_xgboost_sees_no_ties(study: Study) -> None:
    train = tied(study)
    labels = signed_places(train)
    assert len(set(np.abs(labels))) == len(labels)
    assert ((labels > 0) == train.events).all()
    order = np.argsort(np.abs(labels))
    time, event = train.patients.time[order], train.events[order]
    assert (np.diff(time) >= 0).all()
    same = np.diff(time) == 0
    assert (event[:-1] | ~event[1:])[same].all()
    tied_events = np.flatnonzero(train.events & (train.patients.time == 1.0))
    assert len(tied_events) > 5
    assert not (np.diff(np.abs(labels)[tied_events]) > 0).all()
    assert "random order" in fixed("xgboost-cox", train).description


def test_the_baseline_is_breslows(study: Study) -> None:
    train = tied(study)
    fit = cox_model(
        train.patients.time, train.events, train.patients.time / 3 + np.arange(len(train.patients)) % 3, "breslow"
    )
    known = dict(zip(train.patients.ids, fit.linear_predictor, strict=True))
    risk_by = through_baseline(train, lambda some: np.array([known[one] for one in some.ids]), "breslow")
    times, hazard = baseline_hazard(fit)
    expected = -np.expm1(-np.exp(fit.linear_predictor)[:, None] * hazard)
    assert risk_by(train.patients, times) == pytest.approx(expected, rel=1e-9)


def test_log_hazards_that_were_too_good_are_shrunk(study: Study) -> None:
    data = study(8, train=160, held_out=10)
    train = training(data)
    noise = np.random.default_rng(1).normal(size=len(train.patients)) * 2
    truth = dict(zip(train.patients.ids, np.random.default_rng(2).normal(size=len(noise)) * 2, strict=True))
    risk_by = through_baseline(
        train, lambda some: np.array([truth[one] for one in some.ids]), "breslow", own=lambda: noise
    )
    risks = risk_by(train.patients, np.array([12.0]))[:, 0]
    share = 1 - product_limit(train.patients.time, train.events).at(12.0)
    assert risks == pytest.approx(np.full(len(risks), float(share)), abs=0.12)


def test_separated_events_get_firths_estimate(study: Study) -> None:
    data = study(9, train=60, treated=0.0, missing=0.0)
    known = training(data)
    perfect = np.where(known.events & (known.patients.time < np.median(known.patients.time)), 1.0, 0.0)
    known.patients.indicators[:, 0] = perfect
    known.patients.indicators[:, 1:] = np.nan
    known.patients.time[:] += 20 * (1 - perfect)
    model = fit_cox(known, {})
    assert "Firth" in model.description
    assert "Breslow ties" in model.description
    term = firth_cox(known.patients.time, known.events, perfect).terms[0]
    risk = model.predict(known.patients)
    assert np.ptp(risk) == pytest.approx(abs(term.coefficient), rel=1e-6)


def test_collinear_indicators_are_left_out_and_counted(study: Study) -> None:
    data = study(10)
    twice = data.indicators.with_columns(alt=pl.col("hbsag") * 2 + 1)
    model = fit_cox(training(study(10, indicators=twice)), {})
    assert "on 3 indicators" in model.description
    assert "1 collinear left out" in model.description


@pytest.mark.parametrize("name", ["cox", "coxnet", "forest"])
def test_a_missing_indicator_is_the_median_of_the_training_patients(study: Study, name: str) -> None:
    train = training(study(11))
    model = fixed(name, train)
    median = np.nanmedian(train.patients.indicators, axis=0)
    some, others = (judges(study(11)) for _ in range(2))
    some.indicators[:] = np.nan
    others.indicators[:] = median
    assert np.array_equal(model.predict(some), model.predict(others))
    some.indicators[:] = 1.0 - median
    assert not np.array_equal(model.predict(some), model.predict(others))


def test_all_followed_patients_are_learned_from_and_counted(study: Study) -> None:
    data = study(12)
    everyone = population(data, "internal", "train", "apparent")
    assert everyone.labelled.sum() < everyone.followed.sum()
    models, notices = fit_comparators(everyone, data, ComparatorOptions(("cox", "forest")), 1)
    assert [model.name for model in models] == ["cox_clinical", "survival_forest"]
    assert notices == []
    n, events = int(everyone.followed.sum()), int(np.nansum(everyone.event))
    for model in models:
        assert model.description.endswith(f"; fitted on {n} patients with {events} events")
        assert "follow-up cut at 12 months" in model.description
    assert "trees 100, leaf 15" in models[1].description


def test_what_cannot_be_fitted_is_named(study: Study) -> None:
    data = study(13, indicator_names=[])
    everyone = population(data, "internal", "train", "apparent")
    models, notices = fit_comparators(everyone, data, ComparatorOptions(tuple(COMPARATORS)), 1)
    assert [model.name for model in models] == ["coxnet", "survival_forest", "xgboost_cox"]
    assert "Cox regression on indicators: " in notices[0].text
    assert "attention MIL: there are no patch vectors" in notices[0].text
    rare = data.patients.with_columns(event=pl.int_range(pl.len()) < 3)
    few = study(13, patients=rare, treated=0.0)
    models, notices = fit_comparators(population(few, "internal", "train", "apparent"), few, ComparatorOptions(), 1)
    assert models == []
    assert notices[0].kind == "few_events"
    assert "(fewer than 5)" in notices[0].text
    untimed = data.patients.with_columns(time=pl.lit(None, pl.Float64), event=pl.lit(None, pl.Boolean))
    finding = study(13, patients=untimed, timed=False)
    models, notices = fit_comparators(
        population(finding, "internal", "train", "apparent"), finding, ComparatorOptions(), 1
    )
    assert models == []
    assert "no training patient has a follow-up time" in notices[0].text
