import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hccfeat.errors import AnalysisError
from hccfeat.stats.multiclass import plain_value, weighted_accuracy, weighted_ovo_auc
from hccfeat.stats.paired_folds import (
    by_fold,
    corrected_t,
    fold_differences,
    mean_estimate,
    paired_difference,
    paired_t,
    stratified_weights,
    summarise_folds,
)

OURS = (0.72, 0.70, 0.74, 0.69, 0.71)
OTHER = (0.70, 0.69, 0.70, 0.68, 0.72)


def study(seed: int = 0, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, folds and probabilities of 90 patients in five folds."""
    generator = np.random.default_rng(seed)
    labels, folds = np.tile([0, 1, 2], 30), np.repeat(np.arange(5), 18)
    scores = generator.normal(size=(90, 3)) + gain * np.eye(3)[labels]
    return labels, folds, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def test_spread_over_folds_by_hand() -> None:
    found = summarise_folds([0.6, 0.7, 0.8])
    assert (found.mean, found.sd, found.variance) == pytest.approx((0.7, 0.1, 0.01))
    assert summarise_folds([0.6]).reason == "one fold has no spread"
    missing = summarise_folds([0.6, None, 0.8])
    assert (missing.mean, missing.sd) == (None, None)
    assert missing.reason == "no value in 1 of 3 folds, where a class is missing"
    assert summarise_folds([]).mean is None


def test_the_paired_t_test_is_rs() -> None:
    # t.test(ours, other, paired = TRUE): differences .02 .01 .04 .01 -.01, mean .014, sd .0181659
    found = paired_t(fold_differences(OURS, OTHER))
    expected = stats.ttest_rel(OURS, OTHER)
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.t == pytest.approx(0.014 / (0.01816590 / np.sqrt(5)), rel=1e-6)
    assert found.df == 4


def test_the_corrected_test_by_hand() -> None:
    # five folds: n_test/n_train = 1/4, so the factor is 1/5 + 1/4 in place of 1/5
    plain, corrected = paired_t(fold_differences(OURS, OTHER)), corrected_t(fold_differences(OURS, OTHER), 0.25)
    assert corrected.t == pytest.approx(plain.t * np.sqrt(0.2 / 0.45))
    assert corrected.error == pytest.approx(np.sqrt(0.45) * 0.01816590, rel=1e-6)
    assert corrected.p == pytest.approx(2 * stats.t.sf(corrected.t, 4))
    with pytest.raises(AnalysisError):
        corrected_t([0.1, 0.2], -1)


@pytest.mark.parametrize(
    ("differences", "reason"),
    [
        ([0.1, 0.1, 0.1], "equally"),
        ([0.0, 0.0], "equally"),
        ([0.1, None], "no value in 1 of 2"),
        ([0.1], "spread"),
        ([], "no folds"),
    ],
)
def test_what_cannot_be_tested_says_why(differences: list[float | None], reason: str) -> None:
    found = paired_t(differences)
    assert found.p is None
    assert reason in found.reason


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_the_correction_never_makes_a_p_smaller(differences: list[float], ratio: float) -> None:
    plain, corrected = paired_t(differences), corrected_t(differences, ratio)
    if plain.p is None or corrected.p is None:
        assert plain.reason == corrected.reason != ""
    else:
        assert corrected.p >= plain.p - 1e-12
        turned = paired_t([-value for value in differences])
        assert turned.p == pytest.approx(plain.p)


def test_resamples_keep_the_size_of_every_stratum_and_their_seed() -> None:
    labels, folds, _ = study()
    strata = folds * 3 + labels
    weights = stratified_weights(strata, 50, 1)
    for stratum in np.unique(strata):
        members = strata == stratum
        assert (weights[:, members].sum(axis=1) == members.sum()).all()
    assert (weights == stratified_weights(strata, 50, 1)).all()
    assert (weights != stratified_weights(strata, 50, 2)).any()
    alone = stratified_weights(np.arange(4), 9, 1)
    assert (alone == 1).all()


def test_a_statistic_by_fold_is_the_mean_of_the_folds_values() -> None:
    labels, folds, p = study(gain=1.0)
    statistic = by_fold(folds, lambda rows: weighted_ovo_auc(labels[rows], p[rows]))
    each = [plain_value(weighted_ovo_auc(labels[folds == f], p[folds == f]), 18) for f in range(5)]
    assert list(statistic.values()) == each
    assert statistic.replicates(np.ones((1, 90)))[0] == pytest.approx(np.mean(each))
    absent = by_fold(np.where(labels == 2, 9, folds), lambda rows: weighted_ovo_auc(labels[rows], p[rows]))
    assert set(absent.values()) == {None}


def test_a_paired_difference_is_on_the_same_resamples() -> None:
    labels, folds, better = study(1, gain=1.5)
    _, _, worse = study(2, gain=0.2)
    weights = stratified_weights(folds * 3 + labels, 500, 3)
    made = [by_fold(folds, lambda rows, p=p: weighted_ovo_auc(labels[rows], p[rows])) for p in (better, worse)]
    replicates = tuple(one.replicates(weights) for one in made)
    found = paired_difference(made[0].values(), made[1].values(), replicates, 90, 60, "difference in AUC")
    apart = np.array(made[0].values()) - np.array(made[1].values())
    assert found.estimate.value == pytest.approx(apart.mean())
    assert 0 < found.estimate.lower < found.estimate.value < found.estimate.upper
    assert found.p == 2 / 501
    assert "within fold and class, 500 resamples" in found.estimate.method
    same = paired_difference(made[0].values(), made[0].values(), (replicates[0],) * 2, 90, 60, "x")
    assert (same.estimate.value, same.estimate.lower, same.p) == (0, None, None)
    assert "every patient resample gives the same value" in same.estimate.method


def test_a_fold_without_a_class_leaves_an_estimate_without_a_number() -> None:
    found = mean_estimate((0.5, None), np.full(100, np.nan), 10, 5, "AUC")
    assert (found.value, found.lower, found.n) == (None, None, 10)
    assert found.method == "AUC not estimated: no value in 1 of 2 folds, where a class is missing"
    assert paired_difference((0.5, None), (0.4, 0.3), (np.full(9, np.nan),) * 2, 10, 5, "AUC").p is None


def test_the_interval_of_accuracy_has_its_binomial_width() -> None:
    generator = np.random.default_rng(5)
    labels, folds = np.tile([0, 1], 200), np.repeat(np.arange(4), 100)
    called = np.where(generator.random(400) < 0.7, labels, 1 - labels)
    p = np.eye(2)[called]
    weights = stratified_weights(folds * 2 + labels, 2000, 1)
    statistic = by_fold(folds, lambda rows: weighted_accuracy(labels[rows], p[rows]))
    found = mean_estimate(statistic.values(), statistic.replicates(weights), 400, 200, "accuracy")
    share = (called == labels).mean()
    assert found.upper - found.lower == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.15)
