"""Values of a cross-validation, fold by fold: spread, paired tests, and a bootstrap of the judged patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as t_distribution

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Estimate, finite
from hccfeat.stats.resampling import WeightedStatistic, percentile_interval

Floats = NDArray[np.float64]
EQUAL = 1e-12
"""Replicates or differences that spread no wider are equal but for rounding."""


@dataclass(frozen=True)
class FoldSummary:
    """A metric over the folds; ``mean``, ``sd`` and ``variance`` (n - 1) are None where ``reason`` says why."""

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None
    variance: float | None
    reason: str = ""


@dataclass(frozen=True)
class FoldTest:
    """A t test of a mean difference over folds against zero; None where ``reason`` says why."""

    mean: float | None
    error: float | None
    t: float | None
    df: int
    p: float | None
    reason: str = ""


@dataclass(frozen=True)
class PairedDifference:
    """A difference of two methods on the same resamples of patients, with its two-sided bootstrap P."""

    estimate: Estimate
    p: float | None


def summarise_folds(values: Sequence[float | None]) -> FoldSummary:
    """Mean, standard deviation and variance over folds, divisor n - 1.

    A fold without a value leaves no mean: averaging the others would describe other folds than a competitor's.
    """
    known = [value for value in values if value is not None]
    if not values or len(known) < len(values):
        lost = f"no value in {len(values) - len(known)} of {len(values)} folds, where a class is missing"
        reason = lost if values else "no folds"
        return FoldSummary(tuple(values), None, None, None, reason)
    array = finite(known, "values of the folds")
    mean = float(array.mean())
    if len(array) < 2:
        return FoldSummary(tuple(values), mean, None, None, "one fold has no spread")
    return FoldSummary(tuple(values), mean, float(array.std(ddof=1)), float(array.var(ddof=1)))


def paired_t(differences: Sequence[float | None]) -> FoldTest:
    """Paired t test on the differences of folds, df = folds - 1; R's ``t.test(x, y, paired = TRUE)``.

    Folds share training patients, so their differences are not independent and the P is too small on average;
    :func:`corrected_t` allows for that.
    """
    return corrected_t(differences, 0.0)


def corrected_t(differences: Sequence[float | None], test_over_train: float) -> FoldTest:
    """Corrected resampled t test (Nadeau and Bengio 2003).

    The variance of the mean is (1/k + n_test/n_train) times that of the k differences; without the second term
    it is the paired t test.

    Parameters
    ----------
    differences : sequence of float or None
        One per fold.
    test_over_train : float
        Judged patients over training patients of a fold, 0.25 with five folds.

    Raises
    ------
    AnalysisError
        If ``test_over_train`` is negative.
    """
    if not test_over_train >= 0:
        raise AnalysisError("n_test / n_train", f"is {test_over_train}", "Give a ratio of patients.")
    found = summarise_folds(differences)
    df = max(len(differences) - 1, 0)
    if found.mean is None or found.variance is None:
        return FoldTest(found.mean, None, None, df, None, found.reason)
    spread = max(abs(value) for value in differences if value is not None)
    # Equal differences leave the rounding of their mean.
    if found.variance <= (EQUAL * spread) ** 2:
        return FoldTest(found.mean, None, None, df, None, "all folds differ equally")
    error = float(np.sqrt((1 / len(differences) + test_over_train) * found.variance))
    t = found.mean / error
    return FoldTest(found.mean, error, t, df, float(2 * t_distribution.sf(abs(t), df)))


def stratified_weights(strata: ArrayLike, resamples: int, seed: int) -> Floats:
    """How often each patient is drawn when every stratum is resampled to its own size.

    Parameters
    ----------
    strata : array (n,)
        Stratum of each patient, for instance fold and class.
    resamples : int
        Number of resamples.
    seed : int
        Equal seeds and strata draw the same patients for every method, which pairs the methods.

    Returns
    -------
    ndarray of float64 (resamples, n)
    """
    groups = np.unique(np.asarray(strata), return_inverse=True)[1]
    weights = np.zeros((resamples, len(groups)))
    generator = np.random.default_rng(seed)
    for group in range(groups.max(initial=-1) + 1):
        members = np.flatnonzero(groups == group)
        share = np.full(len(members), 1 / len(members))
        weights[:, members] = generator.multinomial(len(members), share, size=resamples)
    return weights


@dataclass(frozen=True, eq=False)
class FoldStatistic:
    """A statistic computed inside every fold; make one with :func:`by_fold`.

    Attributes
    ----------
    rows : tuple of ndarray of int64
        Patients of each fold.
    statistics : tuple of callable
        One per fold, from weights (b, patients of the fold) to values (b,).
    """

    rows: tuple[NDArray[np.int64], ...]
    statistics: tuple[WeightedStatistic, ...]

    def values(self) -> tuple[float | None, ...]:
        """The value of each fold, every patient counted once; None where it does not exist."""
        found = [float(s(np.ones((1, len(r))))[0]) for s, r in zip(self.statistics, self.rows, strict=True)]
        return tuple(value if np.isfinite(value) else None for value in found)

    def replicates(self, weights: Floats) -> Floats:
        """Mean over the folds for weights (b, n) of all patients: (b,), NaN where a fold has no value."""
        parts = [s(weights[:, r]) for s, r in zip(self.statistics, self.rows, strict=True)]
        return np.mean(parts, axis=0)


def by_fold(folds: ArrayLike, statistic: Callable[[NDArray[np.int64]], WeightedStatistic]) -> FoldStatistic:
    """Make a statistic of every fold.

    Parameters
    ----------
    folds : array (n,)
        Fold that judges each patient.
    statistic : callable
        From the rows of a fold's patients to a function of their weights.
    """
    numbers = np.asarray(folds)
    rows = tuple(np.flatnonzero(numbers == fold) for fold in np.unique(numbers))
    return FoldStatistic(rows, tuple(statistic(row) for row in rows))


def mean_estimate(values: Sequence[float | None], replicates: Floats, n: int, events: int, what: str) -> Estimate:
    """Mean over folds with its stratified bootstrap interval.

    Parameters
    ----------
    values : sequence of float or None
        One per fold.
    replicates : ndarray (b,)
        Of :meth:`FoldStatistic.replicates`. If all are equal (a network that calls everybody alike has one F1),
        there is no interval.
    n, events : int
        Judged patients, and those that the metric is about.
    what : str
        Name of the metric.
    """
    found = summarise_folds(values)
    if found.mean is None:
        return Estimate(None, None, None, n, events, f"{what} not estimated: {found.reason}")
    name = f"{what}, mean of {len(values)} folds"
    lower, upper, note = percentile_interval(replicates)
    note = note.replace("over patients", "over patients within fold and class")
    return Estimate(found.mean, lower, upper, n, events, f"{name}; {note}")


def paired_difference(
    first: Sequence[float | None],
    second: Sequence[float | None],
    replicates: tuple[Floats, Floats],
    n: int,
    events: int,
    what: str,
) -> PairedDifference:
    """First minus second, averaged over folds, on the same resamples of patients.

    Parameters
    ----------
    first, second : sequence of float or None
        Values of each fold.
    replicates : pair of ndarray (b,)
        Of both, from the same weights.
    n, events : int
        Judged patients, and those that the metric is about.
    what : str
        Name of the metric.

    Returns
    -------
    PairedDifference
        P is twice the smaller share of resamples on either side of zero (ties on both), never below
        2 / (resamples + 1).
    """
    estimate = mean_estimate(fold_differences(first, second), replicates[0] - replicates[1], n, events, what)
    if estimate.lower is None:
        return PairedDifference(estimate, None)
    apart = (replicates[0] - replicates[1])[np.isfinite(replicates[0] - replicates[1])]
    tail = min(int((apart <= 0).sum()), int((apart >= 0).sum()))
    return PairedDifference(estimate, min(1.0, 2 * (1 + tail) / (len(apart) + 1)))


def fold_differences(first: Sequence[float | None], second: Sequence[float | None]) -> tuple[float | None, ...]:
    """First minus second in every fold; None where either is missing."""
    return tuple(None if a is None or b is None else a - b for a, b in zip(first, second, strict=True))
