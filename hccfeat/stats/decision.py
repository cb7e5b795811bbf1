"""Net benefit of deciding by a predicted probability (Vickers and Elkin 2006), with and without censoring."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import checked
from hccfeat.stats.estimate import Estimate, checked_survival, finite, same_length
from hccfeat.stats.intervals import normal_estimate
from hccfeat.stats.km import product_limit

Floats = NDArray[np.float64]
THRESHOLDS: Floats = np.arange(1, 100) / 100
"""Threshold probabilities of a decision curve."""


def net_benefit(labels: ArrayLike, risk: ArrayLike, threshold: float) -> Estimate:
    """True positives less the weighted false positives, per patient, if those at or above a threshold are treated.

    A false positive weighs threshold / (1 - threshold). Equals ``dcurves::dca`` of R.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event.
    risk : array (n,)
        Predicted probability; all ones stands for treating everybody.
    threshold : float
        Between 0 and 1, neither included.

    Raises
    ------
    AnalysisError
        If the arrays are malformed, there are no patients, or the threshold is not inside 0..1.
    """
    y, r = checked(labels, risk)
    weight, name = _weight(len(y), threshold)
    gain = np.where(r >= threshold, np.where(y, 1.0, -weight), 0.0)
    error = float(gain.std(ddof=1) / np.sqrt(len(y))) if len(y) > 1 else 0.0
    return normal_estimate(float(gain.mean()), error, len(y), int(y.sum()), name, "normal 95 % interval")


def survival_net_benefit(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, threshold: float, horizon: float
) -> Estimate:
    """Net benefit of treating those with a predicted risk by a horizon at or above a threshold, under censoring.

    The share of events among those treated is Kaplan-Meier's at the horizon (Vickers et al. 2008;
    ``dcurves::dca`` of R). The interval adds the binomial variance of the share treated and Greenwood's.

    Parameters
    ----------
    time, event : array (n,)
        Times, and 0/1.
    risk : array (n,)
        Predicted probability of the event by the horizon.
    threshold : float
        Between 0 and 1, neither included.
    horizon : float
        Time of the risk.

    Returns
    -------
    Estimate
        Without a value where none of those treated was followed to the horizon; ``events`` by the horizon.

    Raises
    ------
    AnalysisError
        As :func:`net_benefit`.
    """
    t, e = checked_survival(time, event)
    r = finite(risk, "risk")
    same_length(time=t, risk=r)
    n, events = len(t), int((e & (t <= horizon)).sum())
    weight, name = _weight(n, threshold)
    name = f"{name}, Kaplan-Meier at {horizon:g}"
    treated = r >= threshold
    share = float(treated.mean())
    if not treated.any():
        return Estimate(0.0, None, None, n, events, f"{name}; no interval: nobody is treated")
    curve = product_limit(t[treated], e[treated])
    left = float(curve.at(horizon))
    if curve.times[-1] < horizon and left > 0:
        return Estimate(None, None, None, n, events, f"{name}: nobody treated was followed so far")
    gain = 1 - left - left * weight
    passed = curve.standard_errors[curve.times <= horizon]
    greenwood = float(passed[-1]) if len(passed) else 0.0
    error = np.hypot(np.sqrt(share * (1 - share) / n) * gain, share * (1 + weight) * greenwood)
    return normal_estimate(share * gain, float(error), n, events, name, "95 % interval of Greenwood")


def benefit_curve(labels: ArrayLike, risk: ArrayLike, thresholds: Floats) -> Floats:
    """Values (k,) of :func:`net_benefit` at many thresholds, without their intervals."""
    y, r = checked(labels, risk)
    treated = (r >= thresholds[:, None]).astype(np.float64)
    cases = treated @ y
    return np.asarray((cases - thresholds / (1 - thresholds) * (treated.sum(axis=1) - cases)) / len(y))


def survival_benefit_curve(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, thresholds: Floats, horizon: float
) -> Floats:
    """Values (k,) of :func:`survival_net_benefit` at many thresholds; NaN where there is none.

    The Kaplan-Meier curves of those treated at each threshold are made together.
    """
    t, e = checked_survival(time, event)
    r = finite(risk, "risk")
    same_length(time=t, risk=r)
    order = np.argsort(t, kind="stable")
    treated = (r[order] >= thresholds[:, None]).astype(np.float64)
    times, starts = np.unique(t[order], return_index=True)
    leaving, events = (np.add.reduceat(part, starts, axis=1) for part in (treated, treated * e[order]))
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    inside = times <= horizon
    died = np.divide(events, at_risk, out=np.zeros_like(events), where=at_risk > 0)[:, inside]
    left = np.prod(1 - died, axis=1)
    gain = treated.mean(axis=1) * (1 - left - left * thresholds / (1 - thresholds))
    followed = (treated * (t[order] >= horizon)).any(axis=1) | (left <= 0) | ~treated.any(axis=1)
    return np.where(followed, gain, np.nan)


def _weight(n: int, threshold: float) -> tuple[float, str]:
    if not n or not 0 < threshold < 1:
        problem = f"has {n} patients and the threshold {threshold:g}"
        raise AnalysisError("net benefit", problem, "Give patients and a threshold between 0 and 1.")
    return threshold / (1 - threshold), f"net benefit at a threshold of {threshold:g}"
