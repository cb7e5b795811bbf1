"""Several AUROCs on the same patients: DeLong's covariance and the paired test, in O(n log n)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import delong_components, one_class
from hccfeat.stats.estimate import Estimate, binary_labels, finite, same_length
from hccfeat.stats.intervals import normal_estimate, wald_p

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDeLong:
    """Comparison of two AUROCs on the same patients.

    Attributes
    ----------
    first, second : float or None
        The two AUROCs.
    difference : Estimate
        Second minus first with its 95 % interval.
    z, p : float or None
        First minus second over its standard error, as R's ``roc.test(first, second)`` gives it; None where there
        is no variance, and ``difference.method`` says why.
    """

    first: float | None
    second: float | None
    difference: Estimate
    z: float | None
    p: float | None


def delong_covariance(labels: ArrayLike, risks: ArrayLike) -> tuple[Floats, Floats]:
    """AUROCs of several risks and their covariance (DeLong et al. 1988; midranks of Sun and Xu 2014).

    Equals ``pROC::auc`` and ``pROC::cov`` of paired curves.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event; at least two patients with and two without.
    risks : array (m, n)
        One row per model.

    Returns
    -------
    (ndarray (m,), ndarray (m, m))

    Raises
    ------
    AnalysisError
        If the arrays are malformed or a class has fewer than two patients.
    """
    y, matrix = binary_labels(labels), np.atleast_2d(finite(risks, "risk"))
    same_length(labels=y, risk=matrix.T)
    events = int(y.sum())
    if min(events, len(y) - events) < 2:
        problem = one_class(y) or "a class has a single patient"
        raise AnalysisError("DeLong's covariance", f"is not defined: {problem}", "Use more patients.")
    parts = [delong_components(y, risk) for risk in matrix]
    cases, controls = np.array([part[0] for part in parts]), np.array([part[1] for part in parts])
    covariance = np.atleast_2d(np.cov(cases)) / events + np.atleast_2d(np.cov(controls)) / (len(y) - events)
    return cases.mean(axis=1), covariance


def paired_delong(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> PairedDeLong:
    """Test of two AUROCs on the same patients; R's ``pROC::roc.test(method = "delong", paired = TRUE)``.

    For patient-level predictions of models that were not fitted to these patients; the test is not valid for
    nested models on their own training data.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event.
    first, second : array (n,)
        Risks of the two models; higher means more likely.

    Raises
    ------
    AnalysisError
        If the arrays are malformed.
    """
    y = binary_labels(labels)
    risks = [finite(first, "first risk"), finite(second, "second risk")]
    same_length(labels=y, first=risks[0], second=risks[1])
    n, events = len(y), int(y.sum())
    if min(events, n - events) < 2:
        problem = one_class(y) or "a class has a single patient"
        missing = Estimate(None, None, None, n, events, f"difference in AUROC not estimated: {problem}")
        return PairedDeLong(None, None, missing, None, None)
    values, covariance = delong_covariance(y, risks)
    one, two = (float(value) for value in values)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # Equal risks leave the rounding of two equal variances.
    error = float(np.sqrt(variance)) if variance > 1e-15 else 0.0
    note = "95 % interval of DeLong, paired, patient level"
    difference = normal_estimate(two - one, error, n, events, "difference in AUROC", note, (-1.0, 1.0))
    return PairedDeLong(one, two, difference, (one - two) / error if error else None, wald_p(two - one, error))
