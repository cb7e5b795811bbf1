"""Kaplan-Meier curves, the log-rank test and Harrell's C."""

from dataclasses import dataclass

import numpy as np
from lifelines.statistics import multivariate_logrank_test
from numpy.typing import ArrayLike, NDArray

from hccfeat.stats.concordance import concordance
from hccfeat.stats.estimate import Estimate, checked_survival, count, finite, same_length
from hccfeat.stats.km import product_limit
from hccfeat.stats.resampling import WeightedStatistic, bootstrap, percentile_interval

FEW_EVENTS = 5
"""Below this many events in all, curves are shown without P and without a hazard ratio."""
PAIR_BLOCK = 512
MOST_RESAMPLED = 3000
"""With more patients the interval of C comes from its influence function: resampling compares all pairs."""


@dataclass(frozen=True)
class KaplanMeier:
    """Kaplan-Meier estimate: one entry per distinct time from 0 on; months; log-log 95 % limits."""

    times: NDArray[np.float64]
    survival: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    risk_times: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    n: int
    events: int
    median: float | None


@dataclass(frozen=True)
class LogRank:
    """Log-rank test; ``chisq`` and ``p`` are None where it is not given, and ``reason`` says why."""

    chisq: float | None
    p: float | None
    reason: str = ""


def kaplan_meier(time: ArrayLike, event: ArrayLike, risk_times: ArrayLike) -> KaplanMeier:
    """Kaplan-Meier curve with numbers at risk.

    Limits are Greenwood's on the log-log scale: 1 before the first event; once survival is 0 the lower limit
    is 0 and the upper keeps its last value.

    Parameters
    ----------
    time : array (n,)
        Months.
    event : array of 0/1 (n,)
        Whether the event happened at ``time``.
    risk_times : array (k,)
        When to count who is still at risk.

    Raises
    ------
    AnalysisError
        If there are no patients, or times or events are malformed.
    """
    curve = product_limit(time, event)
    times, survival, (lower, upper) = curve.times, curve.survival, curve.limits("log-log")
    if times[0] > 0:
        times = np.append(0.0, times)
        survival, lower, upper = (np.append(1.0, values) for values in (survival, lower, upper))
    marks = np.asarray(risk_times, dtype=np.float64)
    n, events = int(curve.at_risk[0]), int(curve.events.sum())
    median = curve.quantile()[0]
    return KaplanMeier(times, survival, lower, upper, marks, curve.risk_at(marks), n, events, median)


def logrank(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> LogRank:
    """Log-rank test between groups (lifelines), withheld where its P is not to be trusted.

    Withheld with fewer than two groups, fewer than 5 events in all, or a group without events.

    Parameters
    ----------
    time, event : array (n,)
        Months, and 0/1.
    group : array (n,)
        Label of the patient's group.
    """
    t, e = checked_survival(time, event)
    labels = np.asarray(group)
    same_length(time=t, group=labels)
    names = np.unique(labels)
    if len(names) < 2:
        return LogRank(None, None, "fewer than two groups")
    if e.sum() < FEW_EVENTS:
        return LogRank(None, None, f"only {count(int(e.sum()), 'event')} in all (fewer than {FEW_EVENTS})")
    if empty := [str(name) for name in names if not e[labels == name].any()]:
        return LogRank(None, None, f"no events in group {', '.join(empty)}")
    result = multivariate_logrank_test(t, labels, e)
    return LogRank(float(result.test_statistic), float(result.p_value))


def weighted_harrell(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> WeightedStatistic:
    """Harrell's C as a function of patient weights (b, n); NaN where a resample has no comparable pair.

    A pair is comparable when the shorter time ends in an event (an event counts as before a censoring at the
    same time); equal risks count as half.
    """
    t, e = checked_survival(time, event)
    r = finite(risk, "risk")
    blocks = [np.arange(start, min(start + PAIR_BLOCK, len(t))) for start in range(0, len(t), PAIR_BLOCK)]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for rows in blocks:
            rows = rows[e[rows]]
            later = (t[rows, None] < t) | ((t[rows, None] == t) & ~e)
            scored = later * (0.5 * (r[rows, None] == r) + (r[rows, None] > r))
            pairs += ((weights @ later.T.astype(np.float64)) * weights[:, rows]).sum(axis=1)
            right += ((weights @ scored.T) * weights[:, rows]).sum(axis=1)
        return np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    return statistic


def harrell_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike, *, resamples: int, seed: int) -> Estimate:
    """Harrell's concordance of a risk (higher means earlier) with a patient-bootstrap interval.

    With more than ``MOST_RESAMPLED`` patients, where the two agree, the interval is the normal one of
    :func:`hccfeat.stats.concordance.concordance`; the method says so.

    Parameters
    ----------
    time, event, risk : array (n,)
        Months, 0/1, and the predicted risk of each patient.
    resamples, seed : int
        Bootstrap.

    Raises
    ------
    AnalysisError
        If the arrays are malformed.
    """
    found = concordance(time, event, risk)
    if found.value is None:
        reason = "no events" if not found.events else "no comparable pair of patients"
        return Estimate(None, None, None, found.n, found.events, f"Harrell's C not estimated: {reason}")
    if found.n > MOST_RESAMPLED:
        return found.estimate()
    replicates = bootstrap(weighted_harrell(time, event, risk), found.n, resamples, seed)
    lower, upper, note = percentile_interval(replicates)
    return Estimate(found.value, lower, upper, found.n, found.events, f"Harrell's C; {note}")
