import time as clock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError
from hccfeat.stats.delong import delong_covariance, paired_delong
from hccfeat.stats.discrimination import auroc


def by_definition(y: np.ndarray, risks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's covariance from all pairs of a patient with and one without the event."""
    kernel = [(risk[y][:, None] > risk[~y]) + 0.5 * (risk[y][:, None] == risk[~y]) for risk in risks.astype(float)]
    cases, controls = ([part.mean(axis=axis) for part in kernel] for axis in (1, 0))
    covariance = np.cov(cases) / y.sum() + np.cov(controls) / (~y).sum()
    return np.array([part.mean() for part in kernel]), covariance


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 12), st.integers(1, 6))
def test_it_is_delongs_definition(seed: int, cases: int, controls: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    y = np.repeat([True, False], [cases, controls])
    risks = generator.integers(0, levels + 1, size=(3, cases + controls))
    values, covariance = delong_covariance(y, risks)
    expected, expected_covariance = by_definition(y, risks)
    assert values == pytest.approx(expected, abs=1e-12)
    assert covariance == pytest.approx(expected_covariance, abs=1e-12)
    one, two = paired_delong(y, risks[0], risks[1]), paired_delong(y, risks[1], risks[0])
    assert one.difference.value == pytest.approx(-two.difference.value)
    assert one.p == pytest.approx(two.p) if one.p is not None else two.p is None
    if one.difference.lower is not None:
        assert -1 <= one.difference.lower <= one.difference.value <= one.difference.upper <= 1


def test_by_hand() -> None:
    # The first risk ranks all right; the second has one of four pairs wrong.
    found = paired_delong([1, 1, 0, 0], [4, 3, 2, 1], [4, 2, 3, 1])
    assert (found.first, found.second) == (1.0, 0.75)
    # Placements of the second: cases 1 and 1/2, controls 1/2 and 1; variance 1/8 in each class of two.
    assert found.difference.standard_error == pytest.approx(np.sqrt(1 / 8))
    assert found.z == pytest.approx(0.25 / np.sqrt(1 / 8))
    assert found.difference.value == -0.25


def test_the_variance_is_that_of_the_single_auroc() -> None:
    generator = np.random.default_rng(1)
    y = np.repeat([0, 1], [30, 20])
    risk = generator.normal(size=50) + y
    assert np.sqrt(delong_covariance(y, risk)[1][0, 0]) == pytest.approx(auroc(y, risk).standard_error)


def test_no_test_where_there_is_no_variance() -> None:
    same = paired_delong([0, 1, 0, 1], [1, 2, 3, 4], [10, 20, 30, 40])
    assert (same.difference.value, same.difference.lower, same.z, same.p) == (0, None, None, None)
    single = paired_delong([0, 0, 1], [1, 2, 3], [3, 2, 1])
    assert (single.first, single.p) == (None, None)
    assert "single patient" in single.difference.method
    with pytest.raises(AnalysisError, match="not defined"):
        delong_covariance([1, 1, 1], [[1, 2, 3]])
    with pytest.raises(AnalysisError):
        paired_delong([0, 1], [1, 2], [1, 2, 3])


def test_a_hundred_thousand_patients_take_less_than_two_seconds() -> None:
    generator = np.random.default_rng(2)
    y = generator.random(100_000) < 0.3
    risk = generator.normal(size=100_000) + y
    started = clock.process_time()
    found = paired_delong(y, risk, risk + generator.normal(size=100_000))
    assert clock.process_time() - started < 2
    assert found.p < 1e-10
