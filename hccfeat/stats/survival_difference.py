"""Difference of two groups in the event-free share at a time, with Greenwood's interval."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Z, binary_labels, checked_survival, same_length
from hccfeat.stats.km import product_limit


@dataclass(frozen=True)
class SurvivalDifference:
    """Event-free share of the second group minus that of the first at ``horizon`` months.

    ``survival``, ``n``, ``events`` (by the horizon) and ``at_risk`` (at the horizon) are of the first and the
    second group. ``value``, ``lower`` and ``upper`` are None where there is none, and ``reason`` says why.
    """

    horizon: float
    value: float | None
    lower: float | None
    upper: float | None
    survival: tuple[float | None, float | None]
    n: tuple[int, int]
    events: tuple[int, int]
    at_risk: tuple[int, int]
    reason: str = ""


@dataclass(frozen=True)
class _Point:
    survival: float | None
    variance: float
    n: int
    events: int
    at_risk: int


def survival_difference(time: ArrayLike, event: ArrayLike, second: ArrayLike, horizon: float) -> SurvivalDifference:
    """Kaplan-Meier difference at a horizon; the interval adds Greenwood's variances of both groups.

    There is no difference where a group is empty or was not followed to the horizon, and no interval where a
    group has no event by the horizon or nobody left without one: Greenwood's variance is then zero, which
    is no certainty.

    Parameters
    ----------
    time, event : array (n,)
        Months, and 0/1.
    second : array of 0/1 (n,)
        Whether the patient is in the second group.
    horizon : float
        Months, above zero.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or the horizon is not positive.
    """
    t, e = checked_survival(time, event)
    group = binary_labels(second)
    same_length(time=t, group=group)
    if not horizon > 0:
        raise AnalysisError("horizon", f"is {horizon:g} months", "Give a time after the start.")
    a, b = (_point(t[mask], e[mask], horizon) for mask in (~group, group))
    found = SurvivalDifference(
        horizon,
        None,
        None,
        None,
        survival=(a.survival, b.survival),
        n=(a.n, b.n),
        events=(a.events, b.events),
        at_risk=(a.at_risk, b.at_risk),
    )
    if not (a.n and b.n):
        return replace(found, reason="a group has no patients")
    if a.survival is None or b.survival is None:
        return replace(found, reason=f"a group was not followed to {horizon:g} months")
    value = b.survival - a.survival
    if not (a.variance and b.variance):
        reason = "no interval: a group has no events by then, or nobody without one"
        return replace(found, value=value, reason=reason)
    half = Z * float(np.sqrt(a.variance + b.variance))
    return replace(found, value=value, lower=value - half, upper=value + half)


def _point(time: NDArray[np.float64], event: NDArray[np.bool_], horizon: float) -> _Point:
    """Kaplan-Meier share and Greenwood's variance at the horizon; no share where follow-up ends before it."""
    if not len(time):
        return _Point(None, 0.0, 0, 0, 0)
    curve = product_limit(time, event)
    passed = curve.times <= horizon
    survival, left = float(curve.at(horizon)), int(curve.risk_at(horizon))
    error = float(curve.standard_errors[passed][-1]) if passed.any() else 0.0
    known = bool(left) or survival == 0
    return _Point(survival if known else None, error**2, len(time), int(curve.events[passed].sum()), left)
