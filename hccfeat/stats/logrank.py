"""The log-rank test with its observed and expected events, and its permutation form for small groups."""

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import Test
from hccfeat.stats.estimate import checked_survival, same_length
from hccfeat.stats.km import product_limit
from hccfeat.stats.resampling import BLOCK

Floats = NDArray[np.float64]
MOST_LABELLINGS = 50_000
"""Of two groups, up to which none is left out."""


@dataclass(frozen=True)
class LogRankTable:
    """Log-rank test; one entry per group, groups sorted.

    Attributes
    ----------
    groups : tuple
        Labels.
    n : ndarray of int64 (g,)
        Patients.
    observed, expected : ndarray of float64 (g,)
        Events, and events expected if all groups shared one hazard.
    test : Test
        Chi-square with g - 1 degrees of freedom.
    """

    groups: tuple[object, ...]
    n: NDArray[np.int64]
    observed: Floats
    expected: Floats
    test: Test


def logrank_table(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> LogRankTable:
    """Log-rank test (Mantel 1966) with hypergeometric variance; R's ``survdiff``.

    Parameters
    ----------
    time, event : array (n,)
        Times, and 0/1.
    group : array (n,)
        Label of the patient's group.

    Raises
    ------
    AnalysisError
        If there are fewer than two groups, or no event with patients of two groups at risk.
    """
    t, e, names, of = _grouped(time, event, group)
    curve = product_limit(t, e)
    place = np.searchsorted(curve.times, t)
    left = np.zeros((len(names), len(curve.times)))
    np.add.at(left, (of, place), 1.0)
    at_risk = np.cumsum(left[:, ::-1], axis=1)[:, ::-1]
    share = at_risk / curve.at_risk
    expected = share @ curve.events
    factor = curve.events * (curve.at_risk - curve.events) / np.maximum(curve.at_risk - 1, 1)
    variance = np.diag(share @ factor) - (share * factor) @ share.T
    observed = np.bincount(of, weights=e, minlength=len(names)).astype(np.float64)
    gap = (observed - expected)[:-1]
    if variance[:-1, :-1].trace() <= 0 or np.linalg.matrix_rank(variance[:-1, :-1]) < len(gap):
        problem = "has a group that is at risk at no event beside others"
        raise AnalysisError("log-rank test", problem, "Join or leave out this group.")
    chisq = float(gap @ np.linalg.solve(variance[:-1, :-1], gap))
    n = np.bincount(of, minlength=len(names))
    return LogRankTable(tuple(names.tolist()), n, observed, expected, Test.of(chisq, len(gap)))


def permutation_logrank(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, permutations: int = 9999, seed: int = 0
) -> tuple[float, str]:
    """P of the log-rank test by permuting the groups: for groups that expect fewer than five events.

    The statistic adds, over groups, the squared observed minus expected events divided by the group's size. Two
    groups with at most ``MOST_LABELLINGS`` labellings are tested over all of them, others over random ones; P
    counts the observed labelling, so it is never zero. Valid where censoring does not depend on the group.

    Parameters
    ----------
    permutations, seed : int
        Number and seed of the random labellings.

    Returns
    -------
    (float, str)
        P, and over how many labellings.

    Raises
    ------
    AnalysisError
        If there are fewer than two groups.
    """
    t, e, names, of = _grouped(time, event, group)
    curve = product_limit(t, e)
    hazard = np.cumsum(curve.events / curve.at_risk)
    # Observed minus expected events of a group are the sum of its patients' martingale residuals.
    scores = e - hazard[np.searchsorted(curve.times, t)]
    member = (of == np.arange(len(names))[:, None]).astype(np.float64)
    size = member.sum(axis=1)
    found = ((member @ scores) ** 2 / size).sum()
    small = int(size.min())
    if len(names) == 2 and (labellings := comb(len(t), small)) <= MOST_LABELLINGS:
        chosen = np.fromiter(chain.from_iterable(combinations(scores, small)), np.float64).reshape(-1, small)
        one = chosen.sum(axis=1)
        statistic = one**2 / small + (scores.sum() - one) ** 2 / (len(t) - small)
        return float((statistic >= found * (1 - 1e-9)).mean()), f"all {labellings} labellings"
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // len(t))
    extreme = 0
    for start in range(0, permutations, block):
        shuffled = np.tile(scores, (min(block, permutations - start), 1))
        generator.permuted(shuffled, axis=1, out=shuffled)
        statistic = ((shuffled @ member.T) ** 2 / size).sum(axis=1)
        extreme += int((statistic >= found * (1 - 1e-9)).sum())
    return (extreme + 1) / (permutations + 1), f"{permutations} permutations"


def _grouped(
    time: ArrayLike, event: ArrayLike, group: ArrayLike
) -> tuple[Floats, NDArray[np.bool_], NDArray, NDArray[np.int64]]:
    t, e = checked_survival(time, event)
    labels = np.asarray(group)
    same_length(time=t, group=labels)
    names, of = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise AnalysisError("log-rank test", "has fewer than two groups", "Compare at least two.")
    return t, e, names, of
