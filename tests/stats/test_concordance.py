import time as clock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sksurv.metrics import concordance_index_censored

from hccfeat.errors import AnalysisError
from hccfeat.stats.concordance import concordance, concordance_difference
from hccfeat.stats.km import censoring_curve

ROWS = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40)


def by_pairs(
    time: np.ndarray, event: np.ndarray, risk: np.ndarray, weight: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Value, standard error and influence from all pairs, written out from R's definition."""
    later = event[:, None] & ((time[:, None] < time) | ((time[:, None] == time) & ~event))
    weighted = later * weight[:, None]
    sign = np.sign(risk[:, None] - risk)
    pairs, gain = weighted.sum(), (weighted * sign).sum()
    of_patient = (weighted * sign).sum(axis=0) + (weighted * sign).sum(axis=1)
    in_pairs = weighted.sum(axis=0) + weighted.sum(axis=1)
    influence = (of_patient - gain / pairs * in_pairs) / (2 * pairs)
    return (1 + gain / pairs) / 2, np.sqrt((influence**2).sum()), influence


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sampled_from(["harrell", "uno"]), st.sampled_from([None, 3.0]))
@example([(0, False, 0)] * 4 + [(1, True, 0)] * 4, "uno", None)  # the sum over no pairs is not 0 to the last bit
def test_it_counts_all_pairs(rows: list[tuple[int, bool, int]], weights: str, horizon: float | None) -> None:
    time, event, risk = (np.array(column) for column in zip(*rows, strict=True))
    weight = np.where(time <= (np.inf if horizon is None else horizon), 1.0, 0.0)
    if weights == "uno":
        alive = censoring_curve(time, event).before(time)
        weight = np.divide(weight, alive**2, out=np.zeros(len(time)), where=alive > 0)
    found = concordance(time, event, risk, weights=weights, horizon=horizon)
    later = event[:, None] & ((time[:, None] < time) | ((time[:, None] == time) & ~event))
    if not (later * weight[:, None]).any():
        assert (found.value, found.estimate().value) == (None, None)
        return
    value, error, influence = by_pairs(time, event, risk, weight)
    assert found.value == pytest.approx(value, abs=1e-9)
    assert found.standard_error == pytest.approx(error, abs=1e-9)
    assert found.influence == pytest.approx(influence, abs=1e-9)
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)


def test_by_hand() -> None:
    found = concordance([1, 2, 3], [1, 1, 0], [3, 1, 2])
    assert (found.concordant, found.discordant, found.tied) == (2, 1, 0)
    assert found.value == pytest.approx(2 / 3)
    # The first patient is in two right pairs; the others in one right and one wrong.
    assert found.influence == pytest.approx([(2 - 2 / 3) / 6, -2 / 18, -2 / 18])


def test_it_is_harrells_c_of_scikit_survival() -> None:
    generator = np.random.default_rng(1)
    time, event, risk = generator.exponential(size=300), generator.random(300) < 0.5, generator.normal(size=300)
    expected = concordance_index_censored(event, time, risk)[0]
    assert concordance(time, event, risk).value == pytest.approx(expected, abs=1e-12)
    assert concordance(time, np.ones(300), risk, weights="uno").value == pytest.approx(
        concordance(time, np.ones(300), risk).value, abs=1e-12
    )


def test_the_standard_error_is_about_that_of_the_bootstrap() -> None:
    generator = np.random.default_rng(2)
    risk = generator.normal(size=250)
    time, event = generator.exponential(size=250) * np.exp(-0.7 * risk), generator.random(250) < 0.7
    draws = generator.integers(0, 250, size=(300, 250))
    values = [concordance(time[rows], event[rows], risk[rows]).value for rows in draws]
    assert concordance(time, event, risk).standard_error == pytest.approx(np.std(values), rel=0.15)


def test_two_risks_of_the_same_patients() -> None:
    generator = np.random.default_rng(3)
    risk = generator.normal(size=200)
    time, event = generator.exponential(size=200) * np.exp(-risk), generator.random(200) < 0.8
    good, bad = concordance(time, event, risk), concordance(time, event, generator.normal(size=200))
    found, p = concordance_difference(good, bad)
    assert found.value == pytest.approx(bad.value - good.value)
    assert found.upper < 0
    assert p < 1e-4
    same, no_p = concordance_difference(good, good)
    assert (same.value, same.lower, no_p) == (0, None, None)
    with pytest.raises(AnalysisError, match="same patients"):
        concordance_difference(good, concordance(time[1:], event[1:], risk[1:]))


def test_the_interval_stays_within_zero_and_one() -> None:
    perfect = concordance(np.arange(10), np.ones(10), -np.arange(10)).estimate()
    assert (perfect.value, perfect.lower, perfect.upper) == (1, None, None)
    assert "variance is zero" in perfect.method
    near = concordance([1, 2, 3, 4], [1, 1, 1, 1], [4, 3, 1, 2]).estimate()
    assert near.upper == 1


def test_a_hundred_thousand_patients_take_less_than_two_seconds() -> None:
    generator = np.random.default_rng(4)
    risk = generator.normal(size=100_000)
    time, event = generator.exponential(size=100_000) * np.exp(-risk), generator.random(100_000) < 0.5
    started = clock.process_time()
    found = concordance(time, event, risk, weights="uno")
    assert clock.process_time() - started < 2
    assert 0.7 < found.value < 0.75
