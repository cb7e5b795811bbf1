import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.timedependent import (
    Horizon,
    auc_at,
    brier_at,
    integrated_brier,
    judgement_difference,
    null_risk,
)


def test_by_hand() -> None:
    # Two cases (times 1 and 3), one lost (2), two controls. G falls to 3/4 at 2.
    at = Horizon([1, 2, 3, 5, 6], [1, 0, 1, 1, 0], 4)
    assert at.weight == pytest.approx([1, 0, 4 / 3, 4 / 3, 4 / 3])
    found = auc_at(at, [2, 9, 1, 3, 0])
    # The first case is above one of two controls, the second above one of two.
    assert found.estimate.value == pytest.approx(0.5)
    assert auc_at(at, [4, 9, 1, 3, 0]).estimate.value == pytest.approx((1 + 4 / 3 * 0.5) / (1 + 4 / 3))
    brier = brier_at(at, [0.5, 0.5, 0.25, 0.25, 0])
    assert brier.estimate.value == pytest.approx((0.25 + 4 / 3 * 0.5625 + 4 / 3 * 0.0625) / 5)
    assert brier.estimate.events == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_without_censoring_they_are_the_plain_scores(seed: int) -> None:
    generator = np.random.default_rng(seed)
    time, risk = np.ceil(5 * generator.exponential(size=60)), generator.integers(0, 8, size=60) / 8
    when = float(np.median(time))
    if not (time > when).any():
        return
    at, early = Horizon(time, np.ones(60), when), time <= when
    found, expected = auc_at(at, risk).estimate, auroc(early, risk)
    assert found.value == pytest.approx(expected.value, abs=1e-12)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.1)
    assert brier_at(at, risk).estimate.value == pytest.approx(((early - risk) ** 2).mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_influences_add_up_to_zero_and_the_order_of_patients_is_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)
    time, event = np.ceil(8 * generator.exponential(size=80)), generator.random(80) < 0.6
    risk = generator.random(80)
    when = float(np.quantile(time, 0.6))
    if not (time > when).any() or not (event & (time <= when)).any():
        return
    order = generator.permutation(80)
    for score in (auc_at, brier_at):
        one = score(Horizon(time, event, when), risk)
        two = score(Horizon(time[order], event[order], when), risk[order])
        assert one.influence.sum() == pytest.approx(0, abs=1e-8)
        assert two.influence == pytest.approx(one.influence[order], abs=1e-9)
        assert two.estimate.value == pytest.approx(one.estimate.value, abs=1e-12)


@pytest.mark.parametrize("score", [auc_at, brier_at])
def test_the_standard_error_is_about_that_of_the_bootstrap(score: object) -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=300)
    time, lost = generator.exponential(size=300) * np.exp(-x), 1.5 * generator.exponential(size=300)
    seen, event, risk = np.minimum(time, lost), time <= lost, 1 - np.exp(-0.5 * np.exp(x))
    draws = generator.integers(0, 300, size=(300, 300))
    values = [score(Horizon(seen[rows], event[rows], 0.5), risk[rows]).estimate.value for rows in draws]
    found = score(Horizon(seen, event, 0.5), risk).estimate
    assert found.standard_error == pytest.approx(np.std(values), rel=0.15)
    assert found.lower < found.value < found.upper


def test_differences_and_the_null_model() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=200)
    time, event = generator.exponential(size=200) * np.exp(-x), generator.random(200) < 0.8
    at = Horizon(time, event, 0.5)
    model, null = brier_at(at, 1 - np.exp(-0.5 * np.exp(x))), brier_at(at, null_risk(at))
    found, p = judgement_difference(model, null)
    assert found.value == pytest.approx(null.estimate.value - model.estimate.value)
    assert found.lower > 0
    assert p < 0.01
    assert null.estimate.value == pytest.approx(null_risk(at)[0] * (1 - null_risk(at)[0]), rel=0.02)
    assert judgement_difference(null, null)[1] is None
    other = brier_at(Horizon(time[1:], event[1:], 0.5), np.full(199, 0.5))
    with pytest.raises(AnalysisError, match="same patients"):
        judgement_difference(null, other)


def test_the_integrated_score_lies_between_its_parts() -> None:
    generator = np.random.default_rng(4)
    time, event = generator.exponential(size=150), generator.random(150) < 0.7
    horizons = [0.2, 0.4, 0.8]
    risk = 1 - np.exp(-np.outer(generator.random(150) + 0.5, horizons))
    parts = [brier_at(Horizon(time, event, when), risk[:, k]) for k, when in enumerate(horizons)]
    values = [part.estimate.value for part in parts]
    found = integrated_brier(time, event, risk, horizons)
    expected = (0.2 * (values[0] + values[1]) / 2 + 0.4 * (values[1] + values[2]) / 2) / 0.6
    assert found.estimate.value == pytest.approx(expected)
    assert min(values) < found.estimate.value < max(values)
    assert found.influence.sum() == pytest.approx(0, abs=1e-8)


def test_what_cannot_be_judged_is_refused_or_missing() -> None:
    with pytest.raises(AnalysisError, match="beyond it"):
        Horizon([1, 2], [1, 1], 2)
    at = Horizon([1, 2, 3], [0, 0, 1], 2.5)
    assert auc_at(at, [1, 2, 3]).estimate.value is None
    assert "no events" in auc_at(at, [1, 2, 3]).estimate.method
    with pytest.raises(AnalysisError, match="between 0 and 1"):
        brier_at(at, [0.5, 1.5, 0])
    with pytest.raises(AnalysisError, match="ascending"):
        integrated_brier([1, 2, 3], [1, 1, 1], np.full((3, 2), 0.5), [2, 1])
