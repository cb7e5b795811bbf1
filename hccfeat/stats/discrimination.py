"""How well a risk separates patients with the event from those without: AUROC (DeLong), average precision."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_curve

from hccfeat.stats.estimate import Estimate, binary_labels, finite, same_length
from hccfeat.stats.intervals import normal_estimate
from hccfeat.stats.resampling import WeightedStatistic, bootstrap, percentile_interval


def checked(labels: ArrayLike, risk: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels as booleans and risks as finite float64, of equal length."""
    y, r = binary_labels(labels), finite(risk, "risk")
    same_length(labels=y, risk=r)
    return y, r


def one_class(y: NDArray[np.bool_]) -> str:
    """Say why nothing can be told apart, or return an empty text."""
    if not len(y):
        return "no patients"
    if y.all():
        return "every patient has the event"
    return "" if y.any() else "no patient has the event"


def delong_components(y: NDArray[np.bool_], risk: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Placement values of DeLong 1988 by midranks (Sun and Xu 2014), in O(n log n), ties counted as half.

    Parameters
    ----------
    y : ndarray of bool (n,)
        Event.
    risk : ndarray of float64 (n,)
        Higher means more likely.

    Returns
    -------
    (ndarray (m,), ndarray (k,))
        For each patient with the event the share of the others ranked below, and for each patient without
        it the share of those with the event ranked above; both average to the AUROC.
    """
    cases, controls = risk[y], risk[~y]
    ranks = rankdata(risk)
    of_cases = (ranks[y] - rankdata(cases)) / len(controls)
    of_controls = 1.0 - (ranks[~y] - rankdata(controls)) / len(cases)
    return of_cases, of_controls


def auroc(labels: ArrayLike, risk: ArrayLike) -> Estimate:
    """Area under the ROC curve with the 95 % interval of DeLong 1988, one row per patient.

    The interval is on the plain scale and clipped to 0..1, as R's pROC gives it. It is left out where the
    variance cannot be estimated or is zero (perfect separation, a constant risk, a single patient in a class).

    Raises
    ------
    AnalysisError
        If labels are not 0/1 or risks are not finite.
    """
    y, r = checked(labels, risk)
    n, events = len(y), int(y.sum())
    if reason := one_class(y):
        return Estimate(None, None, None, n, events, f"AUROC not estimated: {reason}")
    of_cases, of_controls = delong_components(y, r)
    value = float(of_cases.mean())
    if min(events, n - events) < 2:
        return Estimate(value, None, None, n, events, "AUROC; no interval: a class has a single patient")
    error = float(np.sqrt(of_cases.var(ddof=1) / events + of_controls.var(ddof=1) / (n - events)))
    return normal_estimate(value, error, n, events, "AUROC", "95 % interval of DeLong, patient level", (0.0, 1.0))


def weighted_auroc(labels: ArrayLike, risk: ArrayLike) -> WeightedStatistic:
    """AUROC as a function of patient weights (b, n); NaN where a resample has one class."""
    y, r = checked(labels, risk)
    order = np.argsort(r, kind="stable")
    event = y[order].astype(np.float64)
    ends = np.flatnonzero(np.append(np.diff(r[order]) != 0, True))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        sorted_weights = weights[:, order]
        cases = np.diff(np.cumsum(sorted_weights * event, axis=1)[:, ends], axis=1, prepend=0.0)
        below = np.cumsum(sorted_weights * (1 - event), axis=1)[:, ends]
        tied = np.diff(below, axis=1, prepend=0.0)
        pairs = cases.sum(axis=1) * below[:, -1]
        right = (cases * (below - 0.5 * tied)).sum(axis=1)
        return np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    return statistic


def bootstrap_auroc(labels: ArrayLike, risk: ArrayLike, *, resamples: int, seed: int) -> Estimate:
    """Area under the ROC curve with a patient-bootstrap interval; :func:`auroc` gives DeLong's.

    Raises
    ------
    AnalysisError
        If labels are not 0/1 or risks are not finite.
    """
    y, r = checked(labels, risk)
    n, events = len(y), int(y.sum())
    if reason := one_class(y):
        return Estimate(None, None, None, n, events, f"AUROC not estimated: {reason}")
    statistic = weighted_auroc(y, r)
    lower, upper, note = percentile_interval(bootstrap(statistic, n, resamples, seed))
    return Estimate(float(statistic(np.ones((1, n)))[0]), lower, upper, n, events, f"AUROC; {note}")


def roc_points(labels: ArrayLike, risk: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False- and true-positive rates of the ROC curve, from (0, 0) to (1, 1); both classes must be present."""
    y, r = checked(labels, risk)
    false_positive, true_positive, _ = roc_curve(y, r)
    return np.asarray(false_positive, dtype=np.float64), np.asarray(true_positive, dtype=np.float64)


def weighted_average_precision(labels: ArrayLike, risk: ArrayLike) -> WeightedStatistic:
    """Average precision as a function of patient weights (b, n); NaN where a resample has no event."""
    y, r = checked(labels, risk)
    order = np.argsort(-r, kind="stable")
    event = y[order].astype(np.float64)
    ends = np.flatnonzero(np.append(np.diff(r[order]) != 0, True))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        sorted_weights = weights[:, order]
        called = np.cumsum(sorted_weights, axis=1)[:, ends]
        found = np.cumsum(sorted_weights * event, axis=1)[:, ends]
        total = found[:, -1]
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        gain = np.diff(found, axis=1, prepend=0.0)
        return np.divide((gain * precision).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)

    return statistic


def average_precision(labels: ArrayLike, risk: ArrayLike, *, resamples: int, seed: int) -> Estimate:
    """Area under the precision-recall curve as average precision, with a patient-bootstrap interval.

    The method names the prevalence, which is what a useless model scores.

    Raises
    ------
    AnalysisError
        If labels are not 0/1 or risks are not finite.
    """
    y, r = checked(labels, risk)
    n, events = len(y), int(y.sum())
    if reason := one_class(y):
        return Estimate(None, None, None, n, events, f"average precision not estimated: {reason}")
    statistic = weighted_average_precision(y, r)
    value = float(statistic(np.ones((1, n)))[0])
    replicates = bootstrap(statistic, n, resamples, seed)
    lower, upper, note = percentile_interval(replicates)
    return Estimate(value, lower, upper, n, events, f"average precision (prevalence {events / n:.3f}); {note}")
