"""Two groups of numbers, and two numbers per patient: the paper's tests, correlation and straight line."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hccfeat.stats.estimate import CONFIDENCE, Z, finite, same_length

NORMAL_P = 0.05
"""Shapiro-Wilk P above which a group passes for normal (P1 reading 31)."""
EXACT_UP_TO = 49
"""Largest group for which the rank-sum P is exact when no two values are equal, as in R."""

WELCH = "Welch t"
WILCOXON = "Wilcoxon rank-sum"


@dataclass(frozen=True)
class GroupTest:
    """Comparison of two groups; ``p`` and ``statistic`` are None where there is none, and ``reason`` says why.

    ``statistic`` is Welch's t of first minus second, or the Mann-Whitney U of the first group.
    """

    test: str
    p: float | None
    statistic: float | None
    n: tuple[int, int]
    means: tuple[float | None, float | None]
    medians: tuple[float | None, float | None]
    reason: str = ""


@dataclass(frozen=True)
class Correlation:
    """Pearson's r with its Fisher-z 95 % interval; None where it does not exist, and ``reason`` says why."""

    r: float | None
    lower: float | None
    upper: float | None
    p: float | None
    n: int
    reason: str = ""


@dataclass(frozen=True)
class LinearFit:
    """Least-squares line y = intercept + slope x; ``lower`` and ``upper`` are 95 % limits of the slope."""

    slope: float | None
    intercept: float | None
    lower: float | None
    upper: float | None
    p: float | None
    r2: float | None
    n: int
    reason: str = ""


def compare_groups(first: ArrayLike, second: ArrayLike) -> GroupTest:
    """Compare two groups of numbers by the paper's rule (P1 reading 31), two-sided.

    Welch's t test (unequal variances) if both groups pass Shapiro-Wilk (P > 0.05), else the Wilcoxon rank-sum
    test: exact where no two values are equal and both groups have fewer than 50, else the normal
    approximation with corrections for ties and continuity, as R's ``wilcox.test`` does. A group of fewer
    than 3, or of equal values, does not pass for normal.

    Parameters
    ----------
    first : array (n1,)
        Finite numbers of the first group.
    second : array (n2,)
        Of the second.

    Raises
    ------
    AnalysisError
        If a value is missing or infinite.
    """
    a, b = finite(first, "first group"), finite(second, "second group")
    n, means, medians = (len(a), len(b)), (_mean(a), _mean(b)), (_median(a), _median(b))
    test = WELCH if passes_for_normal(a) and passes_for_normal(b) else WILCOXON
    if min(n) < 2:
        return GroupTest(test, None, None, n, means, medians, "fewer than 2 patients in a group")
    together = np.concatenate([a, b])
    if np.ptp(together) == 0:
        return GroupTest(test, None, None, n, means, medians, "all values are equal")
    if test == WELCH:
        found = stats.ttest_ind(a, b, equal_var=False)
    else:
        exact = max(n) <= EXACT_UP_TO and len(np.unique(together)) == len(together)
        found = stats.mannwhitneyu(a, b, method="exact" if exact else "asymptotic")
    return GroupTest(test, float(found.pvalue), float(found.statistic), n, means, medians)


def passes_for_normal(values: NDArray[np.float64]) -> bool:
    """Whether Shapiro-Wilk gives P > 0.05 (values (n,)); never with fewer than 3 or only equal values."""
    if len(values) < 3 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return False
    with warnings.catch_warnings():
        # Above 5,000 values scipy calls the P approximate; it is far from 0.05 on either side then.
        warnings.simplefilter("ignore", UserWarning)
        return bool(stats.shapiro(values).pvalue > NORMAL_P)


def pearson(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson correlation, its t test, and the 95 % interval on Fisher's z scale.

    Parameters
    ----------
    x, y : array (n,)
        Finite numbers, one of each per patient.

    Raises
    ------
    AnalysisError
        If the arrays differ in length or hold missing values.
    """
    a, b = finite(x, "x"), finite(y, "y")
    same_length(x=a, y=b)
    n = len(a)
    if reason := _no_line(a) or _no_spread(a, "x") or _no_spread(b, "y"):
        return Correlation(None, None, None, None, n, reason)
    # Centred and scaled first: a risk is nearly constant beside its mean.
    r = float(np.clip(np.mean(_scaled(a) * _scaled(b)), -1.0, 1.0))
    if 1 - abs(r) < 1e-12:
        return Correlation(float(np.sign(r)), None, None, None, n, "all points are on one line")
    p = float(2 * stats.t.sf(abs(r) * np.sqrt((n - 2) / (1 - r * r)), n - 2))
    if n < 4:
        return Correlation(r, None, None, p, n, "no interval with fewer than 4 patients")
    half = Z / np.sqrt(n - 3)
    lower, upper = np.tanh([np.arctanh(r) - half, np.arctanh(r) + half])
    return Correlation(r, float(lower), float(upper), p, n)


def regress(x: ArrayLike, y: ArrayLike) -> LinearFit:
    """Least-squares line of y on x, with the t interval and P of the slope.

    Parameters
    ----------
    x, y : array (n,)
        Finite numbers, one of each per patient.

    Raises
    ------
    AnalysisError
        If the arrays differ in length or hold missing values.
    """
    a, b = finite(x, "x"), finite(y, "y")
    same_length(x=a, y=b)
    n = len(a)
    if reason := _no_line(a) or _no_spread(a, "x"):
        return LinearFit(None, None, None, None, None, None, n, reason)
    unit = _scaled(a)
    slope = float(np.mean(unit * (b - b.mean())))
    intercept = float(b.mean() - slope / a.std() * a.mean())
    residual = float(((b - b.mean() - slope * unit) ** 2).sum())
    total = float(((b - b.mean()) ** 2).sum())
    r2 = 1 - residual / total if total > 0 else None
    if residual <= 1e-24 * max(total, 1e-300):
        return LinearFit(slope / float(a.std()), intercept, None, None, None, r2, n, "all points are on one line")
    error = float(np.sqrt(residual / (n - 2) / n))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 2)) * error
    low, middle, high = (float(value / a.std()) for value in (slope - half, slope, slope + half))
    return LinearFit(middle, intercept, low, high, float(2 * stats.t.sf(abs(slope) / error, n - 2)), r2, n)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean()) / values.std()


def _no_line(values: NDArray[np.float64]) -> str:
    return f"only {len(values)} patients (fewer than 3)" if len(values) < 3 else ""


def _no_spread(values: NDArray[np.float64], name: str) -> str:
    return f"{name} is constant" if values.std() <= 1e-12 * np.abs(values).max() else ""


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if len(values) else None
