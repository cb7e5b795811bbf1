"""Two groups compared on a yes/no variable: the paper's test, and the standardised mean difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Z, finite

SMALLEST_CELL = 5
"""Every observed cell at least this large: chi-square; else Fisher (P1 reading 32)."""

CHI_SQUARE = "Yates chi-square"
FISHER = "Fisher exact"


@dataclass(frozen=True)
class CountTest:
    """Test of a 2 x 2 table; ``p`` is None where there is none, and ``reason`` says why.

    ``statistic`` is the corrected chi-square, None for Fisher's test.
    """

    test: str
    p: float | None
    statistic: float | None
    n: int
    reason: str = ""


@dataclass(frozen=True)
class StandardisedDifference:
    """First minus second group in units of the pooled SD, with a 95 % interval; None where there is none."""

    value: float | None
    lower: float | None
    upper: float | None
    n: tuple[int, int]
    reason: str = ""


def compare_counts(table: ArrayLike) -> CountTest:
    """Test a 2 x 2 table of counts by the paper's rule (P1 reading 32), two-sided.

    Chi-square with Yates' correction if every observed cell is at least 5, else Fisher's exact test. This
    reproduces all seven P values of P1's Table 4.

    Parameters
    ----------
    table : array of int (2, 2)
        Patients by level (rows) and group (columns).

    Raises
    ------
    AnalysisError
        If it is not a 2 x 2 table of counts.
    """
    counts = np.asarray(table)
    if counts.shape != (2, 2) or not (np.equal(np.mod(counts, 1), 0).all() and (counts >= 0).all()):
        raise AnalysisError("contingency table", "is no 2 x 2 table of counts", "Count two levels in two groups.")
    n = int(counts.sum())
    test = CHI_SQUARE if counts.min() >= SMALLEST_CELL else FISHER
    if not counts.sum(axis=0).all():
        return CountTest(test, None, None, n, "a group has no patients")
    if not counts.sum(axis=1).all():
        return CountTest(test, None, None, n, "all patients have the same level")
    if test == FISHER:
        return CountTest(test, float(stats.fisher_exact(counts).pvalue), None, n)
    found = stats.chi2_contingency(counts, correction=True)
    return CountTest(test, float(found.pvalue), float(found.statistic), n)


def smd_of_shares(first: tuple[int, int], second: tuple[int, int]) -> StandardisedDifference:
    """Standardised mean difference of two proportions (Austin 2009).

    (p1 - p2) / sqrt((p1 (1 - p1) + p2 (1 - p2)) / 2), normal interval with the variance of Hedges and Olkin.

    Parameters
    ----------
    first, second : (int, int)
        Patients with the level, and patients in all, of each group.
    """
    n = (first[1], second[1])
    if min(n) < 1:
        return StandardisedDifference(None, None, None, n, "a group has no patients")
    shares = first[0] / first[1], second[0] / second[1]
    return _standardised(shares[0] - shares[1], [p * (1 - p) for p in shares], n)


def smd_of_means(first: ArrayLike, second: ArrayLike) -> StandardisedDifference:
    """Standardised mean difference of two groups of numbers, by the mean of their sample variances.

    Parameters
    ----------
    first, second : array (n1,), (n2,)
        Finite numbers.

    Raises
    ------
    AnalysisError
        If a value is missing or infinite.
    """
    a, b = finite(first, "first group"), finite(second, "second group")
    n = (len(a), len(b))
    if min(n) < 2:
        return StandardisedDifference(None, None, None, n, "fewer than 2 patients in a group")
    return _standardised(float(a.mean() - b.mean()), [_variance(a), _variance(b)], n)


def _standardised(difference: float, variances: list[float], n: tuple[int, int]) -> StandardisedDifference:
    spread = float(np.sqrt(sum(variances) / 2))
    if spread == 0:
        return StandardisedDifference(None, None, None, n, "neither group varies")
    value = difference / spread
    half = Z * np.sqrt(1 / n[0] + 1 / n[1] + value**2 / (2 * (n[0] + n[1])))
    return StandardisedDifference(value, float(value - half), float(value + half), n)


def _variance(values: NDArray[np.float64]) -> float:
    # Equal values must give exactly zero, not the rounding error of their mean.
    return float(values.var(ddof=1)) if np.ptp(values) > 0 else 0.0
