import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from hccfeat.errors import AnalysisError
from hccfeat.stats.clustered import (
    Judged,
    Score,
    clustered,
    fold_draws,
    judged,
    mean_over_folds,
    paired_difference,
    weighted_score,
    wins,
)
from hccfeat.stats.discrimination import bootstrap_auroc

SCORES: tuple[Score, ...] = ("auroc", "accuracy", "average_precision")
DRAW = {"resamples": 300, "seed": 7}


def patches(
    seed: int,
    patients: int = 40,
    per_patient: int = 12,
    signal: float = 1.0,
    *,
    prefix: str = "p",
    spread: float = 1.0,
) -> Judged:
    """Patches with a patient effect of standard deviation ``spread``, which patch-level resampling would miss."""
    generator = np.random.default_rng(seed)
    sick = np.arange(patients) % 2 == 0
    effect = signal * sick + spread * generator.normal(size=patients)
    owner = np.repeat(np.arange(patients), per_patient)
    risk = 1 / (1 + np.exp(-(effect[owner] - signal / 2 + 0.3 * generator.normal(size=len(owner)))))
    return judged(sick[owner], risk, [f"{prefix}{k:03d}" for k in owner], "patches")


@st.composite
def small(draw: st.DrawFn) -> Judged:
    n = draw(st.integers(4, 30))
    owner = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    owner[:2] = (0, 1)
    risk = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))) / 4
    return judged([k % 2 for k in owner], risk, [f"p{k}" for k in owner], "patches")


def repeated(found: Judged, weights: np.ndarray) -> np.ndarray:
    """Rows of the predictions, each as often as its patient is drawn."""
    return np.repeat(np.arange(len(found.y)), weights[found.owner].astype(int))


@settings(max_examples=60, deadline=None)
@given(small(), st.integers(0, 1000))
def test_weights_equal_rows_copied(found: Judged, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, size=len(found.patients))
    rows = repeated(found, weights)
    y, risk = found.y[rows], found.risk[rows]
    for score in SCORES:
        value = weighted_score(found, score)(weights[None].astype(float))[0]
        if (
            not len(rows)
            or (score == "auroc" and len(set(y)) < 2)
            or (score == "average_precision" and not y.any())
        ):
            assert np.isnan(value)
        elif score == "auroc":
            assert value == pytest.approx(roc_auc_score(y, risk), abs=1e-12)
        elif score == "accuracy":
            assert value == pytest.approx(np.mean((risk >= 0.5) == y), abs=1e-12)
        else:
            assert value == pytest.approx(average_precision_score(y, risk), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(small())
def test_wins_count_every_pair_with_ties_as_half(found: Judged) -> None:
    expected = np.zeros((len(found.patients), len(found.patients)))
    for i, j in itertools.product(np.flatnonzero(found.y), np.flatnonzero(~found.y)):
        above = float(found.risk[i] > found.risk[j]) + 0.5 * float(found.risk[i] == found.risk[j])
        expected[found.owner[i], found.owner[j]] += above
    np.testing.assert_allclose(wins(found), expected)


def test_one_prediction_per_patient_is_the_patient_bootstrap() -> None:
    generator = np.random.default_rng(3)
    y = np.arange(60) % 3 == 0
    risk = generator.normal(size=60) + y
    found = clustered(judged(y, risk, [f"p{k:02d}" for k in range(60)], "patients"), "auroc", **DRAW)
    plain = bootstrap_auroc(y, risk, **DRAW)
    assert (found.value, found.lower, found.upper) == pytest.approx((plain.value, plain.lower, plain.upper))


def test_patients_are_resampled_not_patches() -> None:
    few, many = patches(1, per_patient=3), patches(1, per_patient=60)
    widths = [e.upper - e.lower for e in (clustered(few, "auroc", **DRAW), clustered(many, "auroc", **DRAW))]
    assert widths[1] > 0.7 * widths[0]  # twenty times the patches say little more about patients
    naive = judged(many.y, many.risk, [f"{k:05d}" for k in range(len(many.y))], "patches")
    free = clustered(naive, "auroc", **DRAW)
    assert free.upper - free.lower < 0.4 * widths[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = norm.cdf(1 / np.sqrt(2 * (1 + 0.3**2)))  # two normal distributions one apart, patient and patch noise
    inside, runs = 0, 200
    for seed in range(runs):
        found = clustered(patches(seed, 60, 2), "auroc", resamples=300, seed=seed)
        inside += found.lower <= truth <= found.upper
    assert 0.89 <= inside / runs <= 0.98


@pytest.mark.parametrize("score", SCORES)
def test_equal_seeds_give_equal_intervals_and_order_does_not_matter(score: Score) -> None:
    found = patches(2)
    order = np.random.default_rng(0).permutation(len(found.y))
    owners = [found.patients[k] for k in found.owner[order]]
    again = judged(found.y[order], found.risk[order], owners, "patches")
    one, other = clustered(found, score, **DRAW), clustered(again, score, **DRAW)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), abs=1e-9)
    assert one.n == 40
    assert one.events == 20
    assert "480 patches" in one.method
    assert "over patients" in one.method
    assert one.standard_error == pytest.approx((one.upper - one.lower) / 3.92, rel=0.25)


def test_fifty_thousand_patches_take_seconds() -> None:
    found = patches(4, patients=400, per_patient=125)
    started = time.perf_counter()
    for score in ("auroc", "accuracy"):
        clustered(found, score, resamples=1000, seed=1)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("labels", "owners", "words"),
    [([], [], "no patches"), ([1, 1], ["a", "b"], "has the event"), ([0, 0], ["a", "b"], "no judged patient")],
)
def test_nothing_is_made_up_for_one_class(labels: list[int], owners: list[str], words: str) -> None:
    found = clustered(judged(labels, [0.5] * len(labels), owners, "patches"), "auroc", **DRAW)
    assert found.value is None
    assert found.lower is None
    assert words in found.method


def test_no_interval_where_every_resample_agrees_or_most_have_one_class() -> None:
    perfect = judged([0] * 10 + [1] * 10, [0.1] * 10 + [0.9] * 10, [f"p{k:02d}" for k in range(20)], "patches")
    found = clustered(perfect, "auroc", **DRAW)
    assert (found.value, found.lower) == (1.0, None)
    assert "same value" in found.method
    pair = judged([0, 1], [0.1, 0.9], ["a", "b"], "patches")
    assert "undefined in" in clustered(pair, "auroc", **DRAW).method


def test_labels_of_a_patient_and_owners_are_checked() -> None:
    with pytest.raises(AnalysisError, match="different labels"):
        judged([0, 1], [0.1, 0.2], ["a", "a"], "patches")
    with pytest.raises(AnalysisError, match="not resampled"):
        judged([0, 1], [0.1, 0.2], ["a", "b"], "patches", patients=["a", "c"])


def test_mean_over_folds_is_the_mean_and_skips_a_fold_of_one_class() -> None:
    folds = [patches(k, prefix=f"f{k}") for k in range(3)]
    found = mean_over_folds(folds, "auroc", **DRAW)
    single = [clustered(fold, "auroc", resamples=300, seed=7 + k).value for k, fold in enumerate(folds)]
    assert found.folds == pytest.approx(single)
    assert found.estimate.value == pytest.approx(np.mean(single))
    assert found.sd == pytest.approx(np.std(single, ddof=1))
    assert (found.estimate.n, found.estimate.events) == (120, 60)
    widths = [e.upper - e.lower for e in (found.estimate, clustered(folds[0], "auroc", **DRAW))]
    assert widths[0] < 0.8 * widths[1]
    empty = judged([1], [0.3], ["x"], "patches")
    with_empty = mean_over_folds([*folds, empty], "auroc", **DRAW)
    assert with_empty.estimate.value == pytest.approx(found.estimate.value)
    assert with_empty.folds[-1] is None
    assert "1 of one class left out" in with_empty.estimate.method
    assert mean_over_folds([folds[0]], "auroc", **DRAW).sd is None
    assert mean_over_folds([empty], "auroc", **DRAW).estimate.value is None


def test_a_paired_difference_is_tighter_than_unpaired_and_zero_against_itself() -> None:
    first = patches(5, spread=1.5)
    generator = np.random.default_rng(9)
    noisy = np.clip(first.risk + 0.02 * generator.normal(size=len(first.risk)), 0, 1)
    second = Judged(first.y, noisy, first.owner, first.patients, first.unit)
    found = paired_difference([first], [second], "auroc", **DRAW)
    alone = clustered(first, "auroc", **DRAW)
    assert found.lower <= found.value <= found.upper
    assert found.upper - found.lower < 0.3 * (alone.upper - alone.lower)
    assert found.value == pytest.approx(alone.value - clustered(second, "auroc", **DRAW).value)
    same = paired_difference([first], [first], "auroc", **DRAW)
    assert (same.value, same.lower) == (0.0, None)
    with pytest.raises(AnalysisError, match="other patients"):
        paired_difference([first], [patches(5, prefix="q")], "auroc", **DRAW)


def test_sets_of_the_same_patients_share_their_draws() -> None:
    everybody = patches(6)
    half = everybody.owner % 4 < 2
    members = everybody.take(half)
    assert members.patients == everybody.patients
    assert (members.n, members.events) == (20, 10)
    whole, part = (fold_draws([found], "auroc", **DRAW)[1] for found in (everybody, members))
    assert np.corrcoef(whole, part)[0, 1] > 0.3
