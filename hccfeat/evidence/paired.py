"""Differences between arms on the same replicates: mean, spread, interval, and what could have been detected."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from hccfeat.stats.estimate import CONFIDENCE, finite

POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """A mean over replicates.

    Attributes
    ----------
    n : int
        Replicates.
    mean : float
    sd : float or None
        Between replicates; None with one.
    lower, upper : float or None
        95 % limits of the mean by Student's t over replicates.
    detectable : float or None
        Smallest true mean that a study of n replicates with this SD finds with 80 % power (two-sided 5 %).
    """

    n: int
    mean: float
    sd: float | None
    lower: float | None
    upper: float | None
    detectable: float | None

    @property
    def direction(self) -> int:
        """1 or -1 if the interval lies above or below 0, otherwise 0."""
        if self.lower is None or self.upper is None:
            return 0
        return int(self.lower > 0) - int(self.upper < 0)


def paired(values: ArrayLike) -> Paired:
    """Summarise differences, one per replicate (n,), n at least 1.

    Raises
    ------
    AnalysisError
        If one is missing.
    """
    numbers = finite(values, "paired differences")
    n, mean = len(numbers), float(numbers.mean())
    if n < 2:
        return Paired(n, mean, None, None, None, None)
    sd = float(numbers.std(ddof=1))
    error = sd / np.sqrt(n)
    quantile = float(t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    detectable = float((quantile + t.ppf(POWER, n - 1)) * error)
    return Paired(n, mean, sd, mean - quantile * error, mean + quantile * error, detectable)


def slopes(x: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Least-squares slope on ``x`` (k,) of each row of ``values`` (n, k)."""
    position = np.asarray(x, dtype=np.float64)
    centred = np.asarray(position - position.mean())
    return np.asarray(np.asarray(values, dtype=np.float64) @ centred / float(centred @ centred))
