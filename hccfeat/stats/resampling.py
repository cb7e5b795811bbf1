"""The bootstrap by patient, with integer weights instead of copied rows."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hccfeat.stats.estimate import CONFIDENCE, NO_ERROR

BLOCK = 2_000_000
"""Largest number of weights held at once."""

WeightedStatistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps weights (b, n) to one value per resample (b,), NaN where a resample has none."""


def bootstrap_weights(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield blocks (b, n) of how often each of n patients is drawn; equal seeds give equal draws.

    The block size does not change the draws, and the same seed and n draw the same patients for every
    statistic, so that models judged on the same patients are resampled together.
    """
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // max(n, 1))
    share = np.full(n, 1.0 / n)
    for start in range(0, resamples, block):
        yield generator.multinomial(n, share, size=min(block, resamples - start)).astype(np.float64)


def bootstrap(statistic: WeightedStatistic, n: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Values of a statistic over patient resamples.

    Parameters
    ----------
    statistic : callable
        From weights (b, n) to values (b,).
    n : int
        Patients.
    resamples : int
        Number of resamples.
    seed : int
        Seed of the draws.

    Returns
    -------
    ndarray of float64 (resamples,)
        NaN where the statistic is undefined in a resample.
    """
    return np.concatenate([statistic(weights) for weights in bootstrap_weights(n, resamples, seed)])


def percentile_interval(replicates: NDArray[np.float64]) -> tuple[float | None, float | None, str]:
    """Return the 95 % percentile interval of the defined replicates and a note on the undefined ones.

    No interval is given when fewer than nine in ten resamples have a value: the interval would describe
    only the lucky resamples. Nor where they do not differ: an F1 of 0 or a difference of equal risks is as
    uncertain as any other, and resamples cannot show it.
    """
    defined = replicates[np.isfinite(replicates)]
    lost = len(replicates) - len(defined)
    if not len(defined) or lost > 0.1 * len(replicates):
        return None, None, f"no interval: undefined in {lost} of {len(replicates)} patient resamples"
    tail = 100 * (1 - CONFIDENCE) / 2
    lower, upper = np.percentile(defined, [tail, 100 - tail])
    if not upper - lower > NO_ERROR:
        return None, None, "no interval: every patient resample gives the same value"
    note = f"95 % percentile bootstrap over patients, {len(replicates)} resamples"
    return float(lower), float(upper), note + (f" ({lost} undefined left out)" if lost else "")
