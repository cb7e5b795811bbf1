"""Spearman correlation of weighted observations, for bootstraps that resample patients."""

import numpy as np
from numpy.typing import NDArray

from hccfeat.stats.resampling import BLOCK


def weighted_spearman(x: NDArray, y: NDArray, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman correlation with observation i repeated ``weights[b, i]`` times.

    Parameters
    ----------
    x, y : float (n,)
        Two variables; ties get mean ranks.
    weights : float (b, n)
        Whole numbers, at least 0.

    Returns
    -------
    float64 (b,)
        NaN where a variable does not vary.
    """
    step = max(1, BLOCK // max(1, len(x)))
    parts = [_spearman(x, y, weights[start : start + step]) for start in range(0, len(weights), step)]
    return np.concatenate(parts)


def _spearman(x: NDArray, y: NDArray, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    centred = []
    for values in (x, y):
        _, group = np.unique(values, return_inverse=True)
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        per_group = np.add.reduceat(weights[:, order], starts, axis=1)
        ranks = (per_group.cumsum(axis=1) - per_group / 2 + 0.5)[:, group]
        centred.append(ranks - (ranks * weights).sum(axis=1, keepdims=True) / total)
    first, second = centred
    covariance = (weights * first * second).sum(axis=1)
    spread = (weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-9, covariance / np.sqrt(spread), np.nan)
