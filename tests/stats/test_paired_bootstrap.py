import numpy as np
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.stats.concordance import concordance, concordance_difference
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.paired_bootstrap import paired_auroc, paired_brier, paired_brier_at, paired_harrell
from hccfeat.stats.timedependent import Horizon, brier_at, judgement_difference

DRAW = {"resamples": 2000, "seed": 7}


class Patients:
    """A good and a poor risk of 300 patients, with ties in time, censored before and after 12 months."""

    def __init__(self, n: int = 300, seed: int = 1) -> None:
        generator = np.random.default_rng(seed)
        latent = generator.normal(size=n)
        time = np.ceil(generator.exponential(14 / np.exp(0.9 * latent)))
        censored = np.ceil(generator.uniform(4, 40, n))
        self.time, self.event = np.minimum(time, censored), time <= censored
        self.y = (time <= 12).astype(float)
        self.good = 1 / (1 + np.exp(-1.3 * latent - 0.3 * generator.normal(size=n)))
        self.poor = 1 / (1 + np.exp(-0.4 * latent - generator.normal(size=n)))


@pytest.fixture(scope="module")
def people() -> Patients:
    return Patients()


def standard_error(found: Estimate) -> float:
    assert found.lower is not None
    assert found.upper is not None
    return (found.upper - found.lower) / (2 * 1.959964)


def test_auroc_agrees_with_delong(people: Patients) -> None:
    found = paired_auroc(people.y, people.good, people.poor, **DRAW)
    exact = paired_delong(people.y, people.poor, people.good).difference
    assert found.value == pytest.approx(exact.value, abs=1e-12)
    assert standard_error(found) == pytest.approx(exact.standard_error, rel=0.1)
    assert (found.n, found.events) == (300, int(people.y.sum()))


def test_harrell_agrees_with_influence_functions(people: Patients) -> None:
    found = paired_harrell(people.time, people.event, people.good, people.poor, **DRAW)
    poor, good = (concordance(people.time, people.event, risk) for risk in (people.poor, people.good))
    exact, _ = concordance_difference(poor, good)
    assert found.value == pytest.approx(exact.value, abs=1e-12)
    assert standard_error(found) == pytest.approx(exact.standard_error, rel=0.1)


def test_many_patients_get_the_interval_of_the_influence_functions() -> None:
    many = Patients(4000)
    found = paired_harrell(many.time, many.event, many.good, many.poor, **DRAW)
    assert "influence functions" in found.method
    assert found.value > 0.05
    assert found.lower > 0


def test_ties_in_risk_and_time_count_half() -> None:
    # Pairs: (0, 1), (0, 2), (1, 2): the first risk has 2 right and a tie, the second 1 right and 2 wrong.
    found = paired_harrell([1, 2, 3], [1, 1, 0], [3, 2, 2], [1, 3, 2], resamples=100, seed=1)
    assert found.value == pytest.approx(2.5 / 3 - 1 / 3)


def test_brier_at_a_horizon_agrees_with_the_one_of_r(people: Patients) -> None:
    found = paired_brier_at(people.time, people.event, people.good, people.poor, 12.0, **DRAW)
    at = Horizon(people.time, people.event, 12.0)
    exact, _ = judgement_difference(brier_at(at, people.poor), brier_at(at, people.good))
    assert found.value == pytest.approx(exact.value, abs=1e-12)
    assert standard_error(found) == pytest.approx(exact.standard_error, rel=0.1)
    assert found.events == int((people.event & (people.time <= 12)).sum())


def test_brier_of_a_label_is_the_mean_of_the_squares(people: Patients) -> None:
    found = paired_brier(people.y, people.good, people.poor, **DRAW)
    apart = (people.y - people.good) ** 2 - (people.y - people.poor) ** 2
    assert found.value == pytest.approx(apart.mean(), abs=1e-12)
    assert standard_error(found) == pytest.approx(apart.std(ddof=1) / np.sqrt(300), rel=0.1)


def test_without_censoring_both_brier_scores_are_the_same(people: Patients) -> None:
    months = np.where(people.y == 1, 6.0, 20.0)
    label = paired_brier(people.y, people.good, people.poor, **DRAW)
    timed = paired_brier_at(months, people.y, people.good, people.poor, 12.0, **DRAW)
    assert (timed.value, timed.lower, timed.upper) == pytest.approx(
        (label.value, label.lower, label.upper), abs=1e-12
    )


def test_equal_risks_do_not_differ_and_have_no_interval(people: Patients) -> None:
    for found in (
        paired_auroc(people.y, people.good, people.good, **DRAW),
        paired_harrell(people.time, people.event, people.good, people.good, **DRAW),
        paired_brier_at(people.time, people.event, people.good, people.good, 12.0, **DRAW),
    ):
        assert (found.value, found.lower, found.upper) == (0.0, None, None)


def test_pairing_narrows_the_interval_of_alike_risks(people: Patients) -> None:
    alike = people.good + 0.02 * np.random.default_rng(2).normal(size=300)
    near = paired_auroc(people.y, people.good, alike, **DRAW)
    far = paired_auroc(people.y, people.good, people.poor, **DRAW)
    assert standard_error(near) < 0.2 * standard_error(far)


def test_folds_are_never_put_on_one_scale(people: Patients) -> None:
    """A shift of a whole fold changes nothing, though it would ruin a pooled figure."""
    fold = np.arange(300) % 3
    shift = np.where(fold == 1, 5.0, 0.0)
    arguments = people.y, people.good, people.poor
    plain = paired_auroc(*arguments, **DRAW, fold=fold)
    moved = paired_auroc(people.y, people.good + shift, people.poor, **DRAW, fold=fold)
    assert moved == plain
    assert "mean of 3 folds" in plain.method
    inside = [paired_auroc(*(values[fold == k] for values in arguments), **DRAW).value for k in range(3)]
    assert plain.value == pytest.approx(np.mean(inside))
    assert paired_auroc(people.y, people.good + shift, people.poor, **DRAW).value != pytest.approx(plain.value)
    timed = people.time, people.event
    moved_c = paired_harrell(*timed, people.good + shift, people.poor, **DRAW, fold=fold)
    assert moved_c == paired_harrell(*timed, people.good, people.poor, **DRAW, fold=fold)


def test_what_cannot_be_had_says_why(people: Patients) -> None:
    few = np.zeros(300)
    assert "no patient has the event" in paired_auroc(few, people.good, people.poor, **DRAW).method
    assert "no comparable pair" in paired_harrell(people.time, few, people.good, people.poor, **DRAW).method
    assert "not between 0 and 1" in paired_brier(people.y, people.good + 1, people.poor, **DRAW).method
    beyond = paired_brier_at(people.time, people.event, people.good, people.poor, 500.0, **DRAW)
    assert (beyond.value, beyond.lower) == (None, None)
    assert "nobody is followed" in beyond.method
    none: list[float] = []
    for found in (
        paired_auroc(none, none, none, **DRAW),
        paired_harrell(none, none, none, none, **DRAW),
        paired_brier(none, none, none, **DRAW),
        paired_brier_at(none, none, none, none, 12.0, **DRAW),
    ):
        assert found.value is None
        assert found.n == 0
    with pytest.raises(AnalysisError, match="one per patient"):
        paired_auroc(people.y, people.good, people.poor, **DRAW, fold=[1, 2])


def test_a_class_that_resamples_often_lose_leaves_no_interval() -> None:
    y = np.array([1.0] + [0.0] * 20)
    found = paired_auroc(y, np.arange(21.0), -np.arange(21.0), **DRAW)
    assert found.value is not None
    assert found.lower is None
    assert "undefined in" in found.method
