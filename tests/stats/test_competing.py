import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError
from hccfeat.stats.competing import cumulative_incidence
from hccfeat.stats.km import product_limit

ROWS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=40)


def test_by_hand() -> None:
    found = cumulative_incidence([1, 2, 3, 4], [1, 2, 0, 1])
    assert found.incidence == pytest.approx([1 / 4, 1 / 4, 1 / 4, 3 / 4])
    assert (found.n, found.events, found.competing) == (4, 2, 1)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_causes_and_survival_add_up_to_one(rows: list[tuple[int, int]]) -> None:
    time, cause = (np.array(column) for column in zip(*rows, strict=True))
    one, two = (cumulative_incidence(time, cause, of=k) for k in (1, 2))
    assert one.incidence + two.incidence + product_limit(time, cause > 0).survival == pytest.approx(1)
    for found in (one, two):
        assert (np.diff(found.incidence) >= 0).all()
        assert (found.lower <= found.incidence + 1e-12).all()
        assert (found.incidence <= found.upper + 1e-12).all()


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_the_variance_is_aalens_sum(rows: list[tuple[int, int]]) -> None:
    time, cause = (np.array(column) for column in zip(*rows, strict=True))
    found = cumulative_incidence(time, cause)
    before = np.append(1, product_limit(time, cause > 0).survival[:-1])
    for k, when in enumerate(found.times):
        total = 0.0
        for j, u in enumerate(found.times[found.times <= when]):
            y, d, d1 = (time >= u).sum(), ((time == u) & (cause > 0)).sum(), ((time == u) & (cause == 1)).sum()
            gap = found.incidence[k] - found.incidence[j]
            if y > 1:
                total += before[j] ** 2 * d1 * (y - d1) / (y**2 * (y - 1))
                if y > d:
                    total += gap**2 * d / ((y - 1) * (y - d))
                    total -= 2 * gap * before[j] * d1 * (y - d1) / (y * (y - d) * (y - 1))
        assert found.standard_errors[k] == pytest.approx(np.sqrt(max(total, 0)), abs=1e-7)


def test_without_other_causes_it_is_one_minus_kaplan_meier() -> None:
    generator = np.random.default_rng(1)
    time, event = generator.exponential(size=200), generator.random(200) < 0.6
    found, curve = cumulative_incidence(time, event), product_limit(time, event)
    assert found.incidence == pytest.approx(1 - curve.survival)
    middle = (curve.survival > 0.3) & (curve.survival < 0.9)
    assert found.standard_errors[middle] == pytest.approx(curve.standard_errors[middle], rel=0.02)


def test_the_standard_error_is_about_that_of_the_bootstrap() -> None:
    generator = np.random.default_rng(2)
    time, cause = generator.exponential(size=200), generator.choice(3, size=200, p=[0.3, 0.4, 0.3])
    draws = generator.integers(0, 200, size=(500, 200))
    drawn = [cumulative_incidence(time[rows], cause[rows]) for rows in draws]
    values = [one.incidence[np.searchsorted(one.times, 0.7, side="right") - 1] for one in drawn]
    found = cumulative_incidence(time, cause)
    assert found.standard_errors[np.searchsorted(found.times, 0.7, side="right") - 1] == pytest.approx(
        np.std(values), rel=0.15
    )


@pytest.mark.parametrize(("time", "cause"), [([], []), ([-1], [1]), ([1], [-1]), ([1], [0.5]), ([1, 2], [1])])
def test_malformed_input_is_refused(time: list[float], cause: list[float]) -> None:
    with pytest.raises(AnalysisError):
        cumulative_incidence(time, cause)
