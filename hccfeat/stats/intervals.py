"""Normal intervals and tests from a value and its standard error, and Holm's adjustment of several P."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from hccfeat.stats.estimate import NO_ERROR, Estimate, Z


def normal_estimate(
    value: float,
    error: float,
    n: int,
    events: int,
    name: str,
    note: str,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """A value with the normal 95 % interval of its standard error, clipped to ``bounds``.

    Parameters
    ----------
    value, error : float
        The statistic and its standard error.
    n, events : int
        Patients, and those with the event.
    name : str
        What it is.
    note : str
        Where the interval comes from.
    bounds : (float, float)
        Smallest and largest possible value.

    Returns
    -------
    Estimate
        Without interval, and saying so, where the standard error is zero.
    """
    if not error > NO_ERROR:
        return Estimate(float(value), None, None, n, events, f"{name}; no interval: its variance is zero")
    lower, upper = max(bounds[0], value - Z * error), min(bounds[1], value + Z * error)
    return Estimate(float(value), float(lower), float(upper), n, events, f"{name}; {note}", float(error))


def wald_p(value: float, error: float) -> float | None:
    """Two-sided normal P of a value against zero; None where the standard error is zero."""
    return float(2 * ndtr(-abs(value) / error)) if error > NO_ERROR else None


def holm(p: Sequence[float]) -> list[float]:
    """P values adjusted by Holm's step-down method (1979), in the order given; R's ``p.adjust``.

    statsmodels has it too, but collects garbage at each call, which takes seconds in a large process.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]
