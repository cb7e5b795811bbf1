"""Kaplan-Meier curves as plain arrays: limits on three scales, quantiles, follow-up, restricted means."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Estimate, Z, checked_survival
from hccfeat.stats.intervals import normal_estimate

Floats = NDArray[np.float64]
Scale = Literal["log", "log-log", "plain"]
HALF = 1e-8
"""A survival this close to a quantile's level is that level; as R's ``quantile.survfit`` takes it."""


@dataclass(frozen=True)
class ProductLimit:
    """A Kaplan-Meier curve; all arrays (k,) have one entry per distinct time, ascending.

    Attributes
    ----------
    times : ndarray of float64
        Distinct times, of events and of censoring.
    at_risk, events : ndarray of int64
        Patients at risk just before, and events at, each time.
    survival : ndarray of float64
        From that time on, until the next.
    """

    times: Floats
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    survival: Floats

    @cached_property
    def greenwood(self) -> Floats:
        """Greenwood's variance of log survival (k,); infinite once survival is zero."""
        return np.cumsum(self.greenwood_steps)

    @property
    def greenwood_steps(self) -> Floats:
        """What each time adds to :attr:`greenwood` (k,)."""
        left = self.at_risk - self.events
        steps = np.full(len(left), np.inf)
        np.divide(self.events, self.at_risk * left.astype(np.float64), out=steps, where=left > 0)
        steps[self.events == 0] = 0.0
        return steps

    @property
    def standard_errors(self) -> Floats:
        """Standard errors of survival (k,); zero where survival is zero."""
        out = np.zeros(len(self.times))
        return np.asarray(np.multiply(self.survival, np.sqrt(self.greenwood), out=out, where=self.survival > 0))

    def at(self, when: ArrayLike) -> Floats:
        """Survival beyond each time; the curve's last value after its end."""
        return np.append(1.0, self.survival)[np.searchsorted(self.times, when, side="right")]

    def before(self, when: ArrayLike) -> Floats:
        """Survival just before each time: events at that very time are not counted yet."""
        return np.append(1.0, self.survival)[np.searchsorted(self.times, when, side="left")]

    def risk_at(self, when: ArrayLike) -> NDArray[np.int64]:
        """Patients still followed and without event just before each time."""
        return np.append(self.at_risk, 0)[np.searchsorted(self.times, when, side="left")]

    def limits(self, scale: Scale = "log") -> tuple[Floats, Floats]:
        """Lower and upper 95 % limits (k,), normal on the given scale; R's ``survfit(conf.type = ...)``.

        ``log`` is R's default, ``log-log`` that of SAS and lifelines. Limits are 1 before the first event. Once
        survival is 0, where R gives none, the lower limit is 0 and the upper keeps its last value.
        """
        s = self.survival
        inside = (s > 0) & (self.greenwood > 0)
        half = Z * np.sqrt(np.where(inside, self.greenwood, 0.0))
        value = np.where(inside, s, 0.5)
        if scale == "log":
            lower, upper = value * np.exp(-half), np.minimum(value * np.exp(half), 1.0)
        elif scale == "log-log":
            spread = np.exp(half / np.log(value))
            lower, upper = value ** (1 / spread), value**spread
        else:
            lower, upper = np.maximum(value * (1 - half), 0.0), np.minimum(value * (1 + half), 1.0)
        lower, upper = np.where(inside, lower, s), np.where(inside, upper, s)
        if len(s) and s[-1] <= 0:
            first = int(np.argmax(s <= 0))
            upper[first:] = upper[first - 1] if first else 1.0
        return lower, upper

    def quantile(self, share: float = 0.5, scale: Scale = "log") -> tuple[float | None, float | None, float | None]:
        """Time by which ``share`` have the event, with limits; None where a curve does not come down so far.

        The limits are where the limits of survival cross the level (Brookmeyer and Crowley 1982), as in R's
        ``quantile.survfit``; a curve that runs along the level gives the middle of that step.
        """
        known = self.survival > 0
        curves = (self.survival, *(np.where(known, limit, 1.0) for limit in self.limits(scale)))
        value, lower, upper = (_crossing(self.times, curve, 1 - share) for curve in curves)
        return value, lower, upper


def product_limit(time: ArrayLike, event: ArrayLike) -> ProductLimit:
    """Kaplan-Meier estimate (1958); R's ``survfit(Surv(time, event) ~ 1)``.

    Parameters
    ----------
    time : array (n,)
        Times from the index date.
    event : array of 0/1 (n,)
        Whether the event happened at ``time``.

    Raises
    ------
    AnalysisError
        If there are no patients, or the arrays are malformed.
    """
    t, e = checked_survival(time, event)
    if not len(t):
        raise AnalysisError("Kaplan-Meier curve", "has no patients", "Leave this group out.")
    times, place, count = np.unique(t, return_inverse=True, return_counts=True)
    events = np.bincount(place, weights=e, minlength=len(times)).astype(np.int64)
    at_risk = len(t) - np.append(0, np.cumsum(count)[:-1])
    return ProductLimit(times, at_risk, events, np.cumprod(1 - events / at_risk))


def censoring_curve(time: ArrayLike, event: ArrayLike) -> ProductLimit:
    """Kaplan-Meier estimate of the time to censoring, for inverse-probability weights.

    Patients with the event at a time are no longer at risk of censoring at it, as in R's ``prodlim``,
    ``riskRegression`` and ``concordance``. ``survfit(Surv(time, 1 - event) ~ 1)`` keeps them at risk.

    Raises
    ------
    AnalysisError
        If there are no patients, or the arrays are malformed.
    """
    t, e = checked_survival(time, event)
    curve = product_limit(t, ~e)
    at_risk = curve.at_risk - product_limit(t, e).events
    share = np.divide(curve.events, at_risk, out=np.zeros(len(at_risk)), where=at_risk > 0)
    return ProductLimit(curve.times, at_risk, curve.events, np.cumprod(1 - share))


def follow_up(time: ArrayLike, event: ArrayLike) -> Estimate:
    """Median follow-up by the reverse Kaplan-Meier method (Schemper and Smith 1996), with limits on the log scale.

    Equals the median of R's ``survfit(Surv(time, 1 - event) ~ 1)``.
    """
    t, e = checked_survival(time, event)
    value, lower, upper = product_limit(t, ~e).quantile()
    note = "median follow-up, reverse Kaplan-Meier"
    note += "" if value is not None else "; not reached: fewer than half are censored by any time"
    return Estimate(value, lower, upper, len(t), int(e.sum()), note)


def restricted_mean(time: ArrayLike, event: ArrayLike, horizon: float) -> Estimate:
    """Mean event-free time up to a horizon: the area under the curve, with Greenwood's interval.

    Equals R's ``survRM2::rmst1`` (Uno et al. 2014) and ``survfit``'s restricted mean.

    Raises
    ------
    AnalysisError
        If the horizon is not positive or lies beyond the last follow-up.
    """
    value, error, n, events = _restricted(time, event, horizon)
    name, note = f"mean event-free time up to {horizon:g}", "95 % interval of Greenwood"
    return normal_estimate(value, error, n, events, name, note, (0.0, horizon))


def _restricted(time: ArrayLike, event: ArrayLike, horizon: float) -> tuple[float, float, int, int]:
    """Area under the curve up to the horizon, its standard error, patients and events."""
    curve = product_limit(time, event)
    if horizon <= 0 or horizon > curve.times[-1]:
        problem = f"{horizon:g} is not between 0 and the last follow-up ({curve.times[-1]:g})"
        raise AnalysisError("restricted mean", problem, "Choose an earlier horizon.")
    inside = curve.times < horizon
    edges = np.concatenate([[0.0], curve.times[inside], [horizon]])
    areas = np.append(1.0, curve.survival[inside]) * np.diff(edges)
    after = np.cumsum(areas[::-1])[::-1][1:]
    # The area after a time at which all are gone is zero, whatever its variance.
    steps = curve.greenwood_steps[inside]
    error = float(np.sqrt((after**2 * np.where(np.isfinite(steps), steps, 0.0)).sum()))
    return float(areas.sum()), error, int(curve.at_risk[0]), int(curve.events.sum())


def _crossing(times: Floats, curve: Floats, level: float) -> float | None:
    reached = np.flatnonzero(curve < level + HALF)
    if not len(reached):
        return None
    first = int(reached[0])
    if abs(curve[first] - level) >= HALF:
        return float(times[first])
    lower = np.flatnonzero(curve < level - HALF)
    return float((times[first] + times[lower[0]]) / 2) if len(lower) else float(times[first])
