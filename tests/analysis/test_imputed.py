from dataclasses import replace

import numpy as np
import pytest
from statsmodels.api import Logit, PHReg

from hccfeat.analysis.imputed import impute, pooled_cox, pooled_logistic
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import cox_model, nested_test
from hccfeat.stats.imputation import rubin
from hccfeat.stats.km import product_limit
from hccfeat.stats.logistic import logistic
from tests.analysis.described_study import described, everybody

COLUMNS = [0, 1, 2]


def test_the_imputation_knows_event_and_cumulative_hazard_of_training_patients() -> None:
    patients = everybody(described())
    found = impute(patients, COLUMNS, imputations=2, seed=1)
    outcome = found.imputer.completed[0][:, 3:]
    curve = product_limit(patients.time, patients.event)
    hazard = [
        sum(d / r for t, d, r in zip(curve.times, curve.events, curve.at_risk, strict=True) if t <= time)
        for time in patients.time
    ]
    assert outcome[:, 0].tolist() == patients.event.tolist()
    assert outcome[:, 1] == pytest.approx(hazard)


def test_the_label_stands_in_where_there_is_no_time() -> None:
    patients = everybody(described(timed=False))
    found = impute(patients, COLUMNS, imputations=2, seed=1)
    assert found.imputer.completed.shape[2] == 4
    assert found.imputer.completed[0][:, 3][patients.labelled].tolist() == patients.y[patients.labelled].tolist()


def test_others_are_imputed_without_their_outcome() -> None:
    data = described(missing=0.2)
    patients = everybody(data)
    inside = np.arange(len(patients)) < 100
    found = impute(patients.take(inside), COLUMNS, imputations=5, seed=1)
    others = patients.take(~inside)
    shuffled = np.random.default_rng(1).permutation(len(others))
    lied = replace(
        others, time=others.time[shuffled], event=1 - others.event, y=others.y[shuffled], months=others.months * 2
    )
    assert (found.of(others) == found.of(lied)).all()
    known = ~np.isnan(others.indicators)
    assert all((copy[known] == others.indicators[known]).all() for copy in found.of(others))


def test_the_outcome_of_training_patients_informs_their_imputation() -> None:
    """Where the event goes with a high value, those with the event are given higher values than the others."""
    patients = everybody(described(n=400, missing=0.3, signal=2.0, horizon=None))
    gone = np.isnan(patients.indicators[:, 0])
    drawn = impute(patients, COLUMNS, imputations=20, seed=1).completed[:, gone, 0].mean(axis=0)
    early = patients.time[gone] < np.median(patients.time)
    assert drawn[early].mean() > drawn[~early].mean() + 0.4


@pytest.mark.parametrize("kind", ["cox", "logistic"])
def test_pooled_coefficients_are_rubins_by_hand(kind: str) -> None:
    patients = everybody(described(missing=0.2, horizon=None))
    copies = impute(patients, COLUMNS, imputations=4, seed=1).completed
    if kind == "cox":
        fits = [cox_model(patients.time, patients.event, x) for x in copies]
        estimates = np.array([fit.coefficients for fit in fits])
        variances = np.array([np.diag(fit.covariance) for fit in fits])
        found = pooled_cox(patients.time, patients.event, copies, patients.indicator_names)
    else:
        fits = [logistic(x, patients.y, patients.indicator_names) for x in copies]
        estimates = np.array([fit.coefficients for fit in fits])
        variances = np.array([fit.standard_errors**2 for fit in fits])
        found = pooled_logistic(patients.y, copies, patients.indicator_names)
    mean = estimates.sum(axis=0) / 4
    between = ((estimates - mean) ** 2).sum(axis=0) / 3
    total = variances.sum(axis=0) / 4 + (1 + 1 / 4) * between
    assert found.pooled.estimates == pytest.approx(mean, rel=1e-9)
    assert found.pooled.standard_errors == pytest.approx(np.sqrt(total), rel=1e-7)
    assert found.pooled.degrees == pytest.approx(3 * (total / ((1 + 1 / 4) * between)) ** 2, rel=1e-6)
    assert (found.n, found.times) == (150, 4)
    assert (found.terms[0] == "(Intercept)") == (kind == "logistic")


@pytest.mark.parametrize("kind", ["cox", "logistic"])
def test_nothing_missing_gives_the_fit_itself_and_its_likelihood_ratio(kind: str) -> None:
    patients = everybody(described(missing=0.0, horizon=None))
    copies = impute(patients, COLUMNS, imputations=3, seed=1).completed
    if kind == "cox":
        fit = cox_model(patients.time, patients.event, patients.indicators)
        found = pooled_cox(patients.time, patients.event, copies, patients.indicator_names)
        covariance, test = fit.covariance, fit.likelihood_ratio_test
        assert found.test.f * 3 == pytest.approx(test.chisq)
        assert found.test.p == pytest.approx(test.p, rel=1e-3)
    else:
        fit = logistic(patients.indicators, patients.y, patients.indicator_names)
        found = pooled_logistic(patients.y, copies, patients.indicator_names)
        null = logistic_null(patients.y)
        assert found.test.f * 3 == pytest.approx(2 * (fit.log_likelihood - null))
        covariance = None
    assert found.pooled.estimates == pytest.approx(fit.coefficients, rel=1e-6)
    assert found.pooled.standard_errors == pytest.approx(fit.standard_errors, rel=1e-6)
    assert found.pooled.missing_information == pytest.approx(0.0, abs=1e-9)
    if covariance is not None:
        assert found.pooled.covariance == pytest.approx(covariance, rel=1e-6)
        again = rubin(np.array([fit.coefficients] * 3), np.array([covariance] * 3))
        assert found.pooled.p == pytest.approx(again.p)


@pytest.mark.parametrize("kind", ["cox", "logistic"])
def test_d3_of_nested_models_by_hand(kind: str) -> None:
    """Meng and Rubin (1992), k = 1: likelihoods by statsmodels, of the last covariate beside the others."""
    patients = everybody(described(missing=0.25, horizon=None))
    copies = impute(patients, COLUMNS, imputations=5, seed=1).completed

    def model(x: np.ndarray) -> PHReg | Logit:
        if kind == "cox":
            return PHReg(patients.time, x, status=patients.event, ties="efron")
        return Logit(patients.y, np.column_stack([np.ones(len(x)), x]))

    def likelihoods(columns: slice) -> tuple[np.ndarray, np.ndarray]:
        models = [model(x[:, columns]) for x in copies]
        fits = [one.fit(**({} if kind == "cox" else {"disp": 0})) for one in models]
        middle = np.mean([fit.params for fit in fits], axis=0)
        own = [one.loglike(fit.params) for one, fit in zip(models, fits, strict=True)]
        return np.array(own), np.array([one.loglike(middle) for one in models])

    (own, shared), (own_few, shared_few) = likelihoods(slice(3)), likelihoods(slice(2))
    at_own, at_pooled = np.mean(2 * (own - own_few)), np.mean(2 * (shared - shared_few))
    increase = (5 + 1) / (1 * (5 - 1)) * (at_own - at_pooled)
    names = patients.indicator_names
    if kind == "cox":
        found = pooled_cox(patients.time, patients.event, copies, names, tested=1)
    else:
        found = pooled_logistic(patients.y, copies, names, tested=1)
    assert increase > 0
    assert found.test.f == pytest.approx(at_pooled / (1 * (1 + increase)), rel=1e-5)
    assert found.test.residual_df == pytest.approx(4 * 2 * (1 + 1 / increase) ** 2 / 2, rel=1e-4)
    assert found.test.df == 1
    assert found.incomplete == int(np.isnan(patients.indicators).any(axis=1).sum())


def test_nested_d3_of_complete_data_is_the_likelihood_ratio_test() -> None:
    patients = everybody(described(missing=0.0, horizon=None))
    copies = np.repeat(patients.indicators[None], 3, axis=0)
    found = pooled_cox(patients.time, patients.event, copies, patients.indicator_names, tested=2)
    fits = [cox_model(patients.time, patients.event, patients.indicators[:, :k]) for k in (1, 3)]
    test = nested_test(*fits)
    assert (found.test.f * 2, found.test.df, found.incomplete) == (pytest.approx(test.chisq), 2, 0)
    assert found.test.p == pytest.approx(test.p, rel=1e-6)


def logistic_null(y: np.ndarray) -> float:
    share = y.mean()
    return float((y * np.log(share) + (1 - y) * np.log(1 - share)).sum())


def test_units_do_not_matter() -> None:
    patients = everybody(described(missing=0.1, horizon=None))
    copies = impute(patients, COLUMNS, imputations=3, seed=1).completed
    plain = pooled_logistic(patients.y, copies, patients.indicator_names)
    large = pooled_logistic(patients.y, copies * np.array([1e5, 1.0, 1.0]), patients.indicator_names)
    assert large.pooled.estimates[1] == pytest.approx(plain.pooled.estimates[1] / 1e5)
    assert large.pooled.standard_errors == pytest.approx(
        plain.pooled.standard_errors / np.array([1, 1e5, 1, 1]), rel=1e-6
    )
    assert large.test.p == pytest.approx(plain.test.p)


def test_imputation_repairs_what_complete_cases_lose() -> None:
    """The pooled coefficient is nearer to that of the whole data, and more certain than that of complete cases."""
    whole = everybody(described(seed=4, n=400, missing=0.0, horizon=None))
    holes = everybody(described(seed=4, n=400, missing=0.35, horizon=None))
    truth = cox_model(whole.time, whole.event, whole.indicators)
    cases = ~np.isnan(holes.indicators).any(axis=1)
    alone = cox_model(holes.time[cases], holes.event[cases], holes.indicators[cases])
    copies = impute(holes, COLUMNS, imputations=20, seed=1).completed
    pooled = pooled_cox(holes.time, holes.event, copies, holes.indicator_names).pooled
    assert (pooled.standard_errors[1:] < alone.standard_errors[1:]).all()
    assert (pooled.standard_errors > truth.standard_errors * 0.98).all()
    assert pooled.estimates == pytest.approx(truth.coefficients, abs=0.2)


def test_more_columns_than_patients_cannot_be_imputed() -> None:
    patients = everybody(described(n=150))
    few = np.arange(150) < 5
    with pytest.raises(AnalysisError, match="multiple imputation"):
        impute(patients.take(few), COLUMNS, imputations=2, seed=1)
