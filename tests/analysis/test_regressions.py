import numpy as np
import pytest

from hccfeat.analysis.regressions import BY_LABEL, BY_TIME, independent
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.coxresiduals import predicted_risk
from hccfeat.stats.firth import firth_cox, firth_logistic
from hccfeat.stats.logistic import logistic
from tests.analysis.described_study import described, everybody
from tests.analysis.people import people


def test_by_label_is_unpenalised_logistic_regression() -> None:
    patients = everybody(described(missing=0.0, horizon=None))
    found = BY_LABEL.fit(patients.indicators, patients, None)
    theirs = logistic(patients.indicators, patients.y, patients.indicator_names)
    assert found.rank(patients.indicators) == pytest.approx(theirs.predict(patients.indicators), rel=1e-8)
    assert (found.firth, found.risk_by) == (False, None)
    large = patients.indicators * np.array([1e5, 1.0, 1.0])
    assert BY_LABEL.fit(large, patients, None).rank(large) == pytest.approx(found.rank(patients.indicators))


def test_by_time_is_cox_regression_with_efrons_ties() -> None:
    patients = everybody(described(missing=0.0))
    found = BY_TIME.fit(patients.indicators, patients, 12.0)
    theirs = cox_model(patients.time, patients.event, patients.indicators)
    assert found.rank(patients.indicators) == pytest.approx(theirs.linear_predictor)
    months = np.array([3.0, 6.0, 12.0])
    assert found.risk_by(patients.indicators, months) == pytest.approx(
        predicted_risk(theirs, patients.indicators, months)
    )
    assert found.probability(patients.indicators) == pytest.approx(
        predicted_risk(theirs, patients.indicators, [12.0])[:, 0]
    )


def test_no_probability_beyond_the_follow_up() -> None:
    patients = everybody(described(missing=0.0))
    short = patients.take(patients.time < 10)
    found = BY_TIME.fit(short.indicators, short, 12.0)
    assert found.probability is None
    with pytest.raises(AnalysisError, match="follow-up"):
        found.risk_by(short.indicators, np.array([11.0]))


def test_firth_takes_over_where_the_indicator_separates() -> None:
    patients = everybody(described(missing=0.0, horizon=None))
    x = np.column_stack([patients.y, patients.indicators[:, 1]])
    found = BY_LABEL.fit(x, patients, None)
    theirs = firth_logistic(x, patients.y)
    assert found.firth
    odds = np.log(found.rank(x) / (1 - found.rank(x)))
    assert odds == pytest.approx(theirs.intercept + x @ [term.coefficient for term in theirs.terms], abs=1e-6)
    by_time = BY_TIME.fit(x, patients, None)
    expected = x @ [term.coefficient for term in firth_cox(patients.time, patients.event, x).terms]
    assert by_time.firth
    assert by_time.rank(x) == pytest.approx(expected - expected.mean(), abs=1e-6)
    assert np.isfinite(by_time.risk_by(x, np.array([6.0]))).all()


def test_constant_and_collinear_columns_are_left_out() -> None:
    patients = everybody(described(missing=0.0, horizon=None))
    x = patients.indicators
    more = np.column_stack([np.ones(len(x)), x, x[:, 0] * 2 + x[:, 1]])
    assert independent(more) == [1, 2, 3]
    for one in (BY_LABEL, BY_TIME):
        assert one.fit(more, patients, None).rank(more) == pytest.approx(one.fit(x, patients, None).rank(x))
    with pytest.raises(AnalysisError, match="no indicator that varies"):
        independent(np.ones((9, 2)))


def test_one_class_is_an_error() -> None:
    patients = everybody(described(missing=0.0, horizon=None))
    free = patients.take(patients.y == 0)
    for one in (BY_LABEL, BY_TIME):
        with pytest.raises(AnalysisError):
            one.fit(free.indicators, free, None)


@pytest.mark.parametrize(
    ("events", "words"), [(4, "too few events"), (5, "no more events than coefficients"), (6, "")]
)
def test_no_model_predicts_from_few_events(events: int, words: str) -> None:
    """Six patients, one event and six indicators would otherwise have an apparent AUROC of 1."""
    generator = np.random.default_rng(0)
    event = np.repeat([1.0, 0.0], [events, 40 - events])
    patients = people(generator.exponential(20, 40) + 1, event, generator.normal(size=(40, 5)))
    for one in (BY_LABEL, BY_TIME):
        if not words:
            assert one.fit(patients.indicators, patients, None).rank(patients.indicators).shape == (40,)
            continue
        with pytest.raises(AnalysisError, match=words):
            one.fit(patients.indicators, patients, None)
