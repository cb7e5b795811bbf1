"""Cumulative incidence where another event ends the wait for the first: death before recurrence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Z, finite, same_length

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CumulativeIncidence:
    """Aalen-Johansen estimate of one cause; arrays (k,) have one entry per distinct time, ascending.

    Attributes
    ----------
    times : ndarray of float64
        Distinct times.
    incidence : ndarray of float64
        Probability of the event of this cause by each time.
    standard_errors : ndarray of float64
        By Aalen's (1978) variance.
    lower, upper : ndarray of float64
        95 % limits on the log(-log) scale.
    n, events, competing : int
        Patients, events of this cause, and of others.
    """

    times: Floats
    incidence: Floats
    standard_errors: Floats
    lower: Floats
    upper: Floats
    n: int
    events: int
    competing: int


def cumulative_incidence(time: ArrayLike, cause: ArrayLike, of: int = 1) -> CumulativeIncidence:
    """Cumulative incidence of one cause (Aalen and Johansen 1978) with Aalen's variance.

    One minus Kaplan-Meier, which takes the other causes for censoring, overstates it.

    Parameters
    ----------
    time : array (n,)
        Times from the index date.
    cause : array of int (n,)
        0 where the patient is censored, else which event came first.
    of : int
        The cause asked for.

    Raises
    ------
    AnalysisError
        If there are no patients, a time is missing or negative, or a cause is not a whole number from 0 on.
    """
    t, c = finite(time, "time"), finite(cause, "cause")
    same_length(time=t, cause=c)
    if not len(t) or (t < 0).any() or (c < 0).any() or (c != np.round(c)).any():
        problem = "needs patients, times from 0 on and whole causes from 0 on"
        raise AnalysisError("cumulative incidence", problem, "Correct the outcome table.")
    times, place, count = np.unique(t, return_inverse=True, return_counts=True)
    y = (len(t) - np.append(0, np.cumsum(count)[:-1])).astype(np.float64)
    any_cause, this = ((c > 0).astype(np.float64), (c == of).astype(np.float64))
    d, d1 = (np.bincount(place, weights=which).astype(np.float64) for which in (any_cause, this))
    before = np.append(1.0, np.cumprod(1 - d / y)[:-1])
    incidence = np.cumsum(before * d1 / y)
    variance = _aalen(y, d, d1, before, incidence)
    error = np.sqrt(np.maximum(variance, 0.0))
    lower, upper = _limits(incidence, error)
    events = int(d1.sum())
    return CumulativeIncidence(times, incidence, error, lower, upper, len(t), events, int(d.sum()) - events)


def _aalen(y: Floats, d: Floats, d1: Floats, before: Floats, incidence: Floats) -> Floats:
    """Aalen's variance of the incidence at each time (k,).

    sum over u <= t of (I(t) - I(u))^2 d/((y - 1)(y - d)) + S(u-)^2 d1 (y - d1)/(y^2 (y - 1))
    - 2 (I(t) - I(u)) S(u-) d1 (y - d1)/(y (y - d)(y - 1)), opened into running sums over u. Steps at which
    none stays at risk add nothing.
    """

    def ratio(above: Floats, below: Floats) -> Floats:
        return np.divide(above, below, out=np.zeros(len(y)), where=below > 0)

    a = ratio(d, (y - 1) * (y - d))
    b = before**2 * ratio(d1 * (y - d1), y**2 * (y - 1))
    c = before * ratio(d1 * (y - d1), y * (y - d) * (y - 1))
    i = incidence
    squares = i**2 * np.cumsum(a) - 2 * i * np.cumsum(i * a) + np.cumsum(i**2 * a)
    return np.asarray(squares + np.cumsum(b) - 2 * (i * np.cumsum(c) - np.cumsum(i * c)))


def _limits(incidence: Floats, error: Floats) -> tuple[Floats, Floats]:
    inside = (incidence > 0) & (incidence < 1)
    value = np.where(inside, incidence, 0.5)
    spread = np.exp(Z * error / (value * np.log(value)))
    lower, upper = value ** (1 / spread), value**spread
    return np.where(inside, lower, incidence), np.where(inside, upper, incidence)
