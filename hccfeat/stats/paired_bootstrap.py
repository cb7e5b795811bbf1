"""Differences of two risks judged on the same patients: a bootstrap that draws each patient for both at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.concordance import concordance, concordance_difference
from hccfeat.stats.discrimination import checked, one_class, weighted_auroc
from hccfeat.stats.estimate import Estimate, checked_survival, finite, same_length
from hccfeat.stats.resampling import WeightedStatistic, bootstrap, percentile_interval
from hccfeat.stats.survival import MOST_RESAMPLED

Floats = NDArray[np.float64]
PAIR_BLOCK = 512
"""Patients with the event whose pairs are held at once."""


def paired_auroc(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int,
    seed: int,
    fold: ArrayLike | None = None,
) -> Estimate:
    """AUROC of the first risk minus that of the second, with a paired bootstrap interval.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event.
    first, second : array (n,)
        Risks of the same patients; higher means more likely.
    resamples, seed : int
        Patients are drawn inside each fold.
    fold : array (n,), optional
        Fold of each patient: the difference is taken inside each and averaged, because risks of different folds
        are on different scales.

    Raises
    ------
    AnalysisError
        If the arrays are malformed.
    """
    y, a = checked(labels, first)
    _, b = checked(labels, second)
    parts = []
    for rows in _folds(fold, len(y)):
        if reason := one_class(y[rows]):
            return _missing("AUROC", y, reason)
        parts.append((len(rows), _apart(weighted_auroc(y[rows], a[rows]), weighted_auroc(y[rows], b[rows]))))
    return _estimate("AUROC", parts, len(y), int(y.sum()), resamples, seed)


def paired_harrell(
    time: ArrayLike,
    event: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int,
    seed: int,
    fold: ArrayLike | None = None,
) -> Estimate:
    """Harrell's C of the first risk minus that of the second; other arguments as of :func:`paired_auroc`.

    With more than ``MOST_RESAMPLED`` patients, where both agree, the interval is that of the influence functions.

    Parameters
    ----------
    time, event : array (n,)
        Months, and 0/1.
    """
    t, e = checked_survival(time, event)
    a, b = finite(first, "first risk"), finite(second, "second risk")
    same_length(time=t, first=a, second=b)
    every, parts = _folds(fold, len(t)), []
    if len(t) > MOST_RESAMPLED and len(every) == 1:
        scores = [concordance(t, e, risk) for risk in (b, a)]
        if any(score.value is None for score in scores):
            return _missing("Harrell's C", e, "no comparable pair of patients")
        return concordance_difference(*scores)[0]
    for rows in every:
        statistic = _harrell_difference(t[rows], e[rows], a[rows], b[rows])
        if not np.isfinite(statistic(np.ones((1, len(rows))))[0]):
            return _missing("Harrell's C", e, "no comparable pair of patients")
        parts.append((len(rows), statistic))
    return _estimate("Harrell's C", parts, len(t), int(e.sum()), resamples, seed)


def paired_brier(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int,
    seed: int,
    fold: ArrayLike | None = None,
) -> Estimate:
    """Brier score of the first probability minus that of the second; arguments as of :func:`paired_auroc`.

    There is none where a risk is no probability.
    """
    y, a = checked(labels, first)
    _, b = checked(labels, second)
    both = np.concatenate([a, b])
    if not len(y) or both.min() < 0 or both.max() > 1:
        return _missing("Brier score", y, "no patients" if not len(y) else "a risk is not between 0 and 1")
    apart = (y - a) ** 2 - (y - b) ** 2
    parts = [(len(rows), _weighted_mean(apart[rows])) for rows in _folds(fold, len(y))]
    return _estimate("Brier score", parts, len(y), int(y.sum()), resamples, seed)


def paired_brier_at(
    time: ArrayLike,
    event: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    horizon: float,
    *,
    resamples: int,
    seed: int,
    fold: ArrayLike | None = None,
) -> Estimate:
    """Brier score at a horizon under censoring, of the first probability minus the second.

    As :func:`hccfeat.stats.timedependent.brier_at` scores each; the censoring curve is estimated anew in every
    resample, inside each fold. There is none where a risk is no probability or nobody is followed beyond the
    horizon. Other arguments as of :func:`paired_auroc`.

    Parameters
    ----------
    time, event : array (n,)
        Months that are not cut at the horizon, and 0/1.
    horizon : float
        Months.
    """
    t, e = checked_survival(time, event)
    a, b = finite(first, "first risk"), finite(second, "second risk")
    same_length(time=t, first=a, second=b)
    name, by_then = f"Brier score at {horizon:g}", e & (t <= horizon)
    both = np.concatenate([a, b])
    if not len(t) or both.min() < 0 or both.max() > 1:
        return _missing(name, by_then, "no patients" if not len(t) else "a risk is not between 0 and 1")
    parts = []
    for rows in _folds(fold, len(t)):
        if not (t[rows] > horizon).any():
            return _missing(name, by_then, "nobody is followed beyond the horizon")
        apart = (by_then[rows] - a[rows]) ** 2 - (by_then[rows] - b[rows]) ** 2
        parts.append((len(rows), _uncensored_mean(t[rows], e[rows], apart, horizon)))
    return _estimate(name, parts, len(t), int(by_then.sum()), resamples, seed)


def _uncensored_mean(time: Floats, event: NDArray[np.bool_], values: Floats, horizon: float) -> WeightedStatistic:
    """Mean of values under inverse probability of censoring weights, from patient weights (b, n).

    Events count as before censorings at the same time; NaN where a resample has nobody beyond the horizon.
    """
    order = np.argsort(time, kind="stable")
    t, e, x = time[order], event[order], values[order]
    starts = np.flatnonzero(np.append(True, np.diff(t) > 0))
    run = np.cumsum(np.append(False, np.diff(t) > 0))
    case, control = e & (t <= horizon), t > horizon
    inside = int((t[starts] <= horizon).sum())

    def statistic(weights: Floats) -> Floats:
        w = weights[:, order]
        at_risk = w[:, ::-1].cumsum(axis=1)[:, ::-1][:, starts] - np.add.reduceat(w * e, starts, axis=1)
        lost = np.add.reduceat(w * ~e, starts, axis=1)
        hazard = np.divide(lost, at_risk, out=np.zeros_like(lost), where=at_risk > 0)
        free = np.cumprod(np.column_stack([np.ones(len(w)), 1 - hazard]), axis=1)
        of_case = np.divide(w, free[:, run], out=np.zeros_like(w), where=case & (free[:, run] > 0))
        beyond = (w * control) @ x
        last = free[:, inside]
        followed = (w * control).sum(axis=1) > 0
        out = np.full(len(w), np.nan)
        out[followed] = ((of_case @ x)[followed] + beyond[followed] / last[followed]) / w[followed].sum(axis=1)
        return out

    return statistic


def _folds(fold: ArrayLike | None, n: int) -> list[NDArray[np.int64]]:
    """Rows of each fold, in order of the fold's number."""
    if fold is None:
        return [np.arange(n)]
    numbers = np.asarray(fold)
    if numbers.shape != (n,):
        raise AnalysisError("folds", f"are {numbers.shape}, not one per patient ({n})", "Give each patient a fold.")
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)] or [np.arange(n)]


def _apart(first: WeightedStatistic, second: WeightedStatistic) -> WeightedStatistic:
    return lambda weights: first(weights) - second(weights)


def _weighted_mean(values: Floats) -> WeightedStatistic:
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def _harrell_difference(time: Floats, event: NDArray[np.bool_], first: Floats, second: Floats) -> WeightedStatistic:
    """Difference of the two concordances as a function of patient weights (b, n); NaN without comparable pairs.

    Both have the same pairs, so that one product gives the denominator and one the difference.
    """
    cases = np.flatnonzero(event)
    blocks = [cases[start : start + PAIR_BLOCK] for start in range(0, len(cases), PAIR_BLOCK)]

    def statistic(weights: Floats) -> Floats:
        gain, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for rows in blocks:
            later = (time[rows, None] < time) | ((time[rows, None] == time) & ~event)
            scored = 0.5 * (np.sign(first[rows, None] - first) - np.sign(second[rows, None] - second))
            pairs += ((weights @ later.T.astype(np.float64)) * weights[:, rows]).sum(axis=1)
            gain += ((weights @ (later * scored).T) * weights[:, rows]).sum(axis=1)
        return np.divide(gain, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    return statistic


def _estimate(
    name: str, parts: Sequence[tuple[int, WeightedStatistic]], n: int, events: int, resamples: int, seed: int
) -> Estimate:
    value = float(np.mean([statistic(np.ones((1, size)))[0] for size, statistic in parts]))
    draws = [bootstrap(part, size, resamples, seed + number) for number, (size, part) in enumerate(parts)]
    lower, upper, note = percentile_interval(np.mean(draws, axis=0))
    where = f", mean of {len(parts)} folds" if len(parts) > 1 else ""
    given = ", drawn inside folds, given the fitted models" if len(parts) > 1 else ""
    return Estimate(value, lower, upper, n, events, f"difference in {name}{where}; paired: {note}{given}")


def _missing(name: str, event: NDArray[np.bool_], reason: str) -> Estimate:
    return Estimate(None, None, None, len(event), int(event.sum()), f"difference in {name} not estimated: {reason}")
