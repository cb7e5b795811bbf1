import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from hccfeat.errors import AnalysisError
from hccfeat.stats.km import (
    censoring_curve,
    follow_up,
    product_limit,
    restricted_mean,
)

TIME = [1, 2, 2, 3, 4, 5]
EVENT = [1, 1, 0, 0, 1, 0]


def test_by_hand() -> None:
    curve = product_limit(TIME, EVENT)
    assert curve.times.tolist() == [1, 2, 3, 4, 5]
    assert curve.at_risk.tolist() == [6, 5, 3, 2, 1]
    assert curve.survival == pytest.approx([5 / 6, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    greenwood = np.cumsum([1 / 30, 1 / 20, 0, 1 / 2, 0])
    assert curve.standard_errors == pytest.approx(curve.survival * np.sqrt(greenwood))
    lower, upper = curve.limits("log")
    half = 1.959963985 * np.sqrt(greenwood)
    assert lower == pytest.approx(curve.survival * np.exp(-half))
    assert upper == pytest.approx(np.minimum(curve.survival * np.exp(half), 1))
    assert curve.quantile() == (4.0, 2.0, None)
    assert curve.at([0.5, 1, 1.5, 9]) == pytest.approx([1, 5 / 6, 5 / 6, 1 / 3])
    assert curve.before([1, 2, 4]) == pytest.approx([1, 5 / 6, 2 / 3])
    assert curve.risk_at([0, 2, 2.5, 6]).tolist() == [6, 5, 3, 0]


def test_a_curve_that_runs_along_one_half_has_its_median_in_the_middle() -> None:
    assert product_limit([1, 2, 3, 4], np.ones(4)).quantile()[0] == 2.5
    assert product_limit([1, 2, 3, 4], [1, 1, 0, 0]).quantile()[0] == 2
    assert product_limit([1, 2, 3], [0, 0, 0]).quantile() == (None, None, None)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40))
def test_the_log_log_limits_are_those_of_lifelines(rows: list[tuple[int, bool]]) -> None:
    time, event = (np.array(column) for column in zip(*rows, strict=True))
    ours, theirs = product_limit(time, event), KaplanMeierFitter().fit(time, event)
    shown = theirs.survival_function_.index.get_indexer(ours.times)
    assert ours.survival == pytest.approx(theirs.survival_function_.to_numpy()[shown, 0], abs=1e-12)
    inside = (ours.survival > 0) & (ours.survival < 1)
    for limit, their in zip(ours.limits("log-log"), theirs.confidence_interval_.to_numpy()[shown].T, strict=True):
        assert limit[inside] == pytest.approx(their[inside], abs=1e-9)
        assert np.isfinite(limit).all()
    # Where the curve runs along one half, R and we take the middle of that step, lifelines its beginning, or
    # nothing where its rounding ends just above.
    if not np.isclose(ours.survival, 0.5).any():
        median = ours.quantile()[0]
        assert (np.inf if median is None else median) == pytest.approx(theirs.median_survival_time_)
    for scale in ("log", "plain", "log-log"):
        lower, upper = ours.limits(scale)
        assert (lower <= ours.survival + 1e-12).all()
        assert (ours.survival <= upper + 1e-12).all()
        assert (lower >= 0).all()
        assert (upper <= 1).all()


def test_events_come_before_censorings_at_the_same_time() -> None:
    # At time 2 five are at risk of the event, but only four of censoring.
    assert censoring_curve(TIME, EVENT).survival == pytest.approx([1, 3 / 4, 1 / 2, 1 / 2, 0])
    assert product_limit(TIME, 1 - np.array(EVENT)).survival[1] == pytest.approx(4 / 5)


def test_follow_up_is_the_median_time_to_censoring() -> None:
    assert follow_up(TIME, EVENT).value == 5
    found = follow_up([1, 2, 3], [1, 1, 1])
    assert found.value is None
    assert "not reached" in found.method


def test_restricted_mean_by_hand() -> None:
    found = restricted_mean(TIME, EVENT, 4.5)
    assert found.value == pytest.approx(1 + 5 / 6 + 2 * 2 / 3 + 0.5 / 3)
    areas = [5 / 6 + 4 / 3 + 1 / 6, 4 / 3 + 1 / 6, 1 / 6]
    variance = areas[0] ** 2 / 30 + areas[1] ** 2 / 20 + areas[2] ** 2 / 2
    assert found.standard_error == pytest.approx(np.sqrt(variance))
    with pytest.raises(AnalysisError, match="last follow-up"):
        restricted_mean(TIME, EVENT, 6)


@pytest.mark.parametrize(("time", "event"), [([], []), ([1, -1], [1, 1]), ([1, np.nan], [1, 1]), ([1, 2], [1, 2])])
def test_malformed_input_is_refused(time: list[float], event: list[int]) -> None:
    with pytest.raises(AnalysisError):
        product_limit(time, event)
