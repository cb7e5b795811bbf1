"""What follows from a fitted Cox model: baseline hazard, predicted risk, residuals and robust errors."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import CoxFit
from hccfeat.stats.estimate import finite

Floats = NDArray[np.float64]


def baseline_hazard(fit: CoxFit) -> tuple[Floats, Floats]:
    """Cumulative baseline hazard at the covariates' means, by the ties of the fit.

    Equals R's ``survfit(coxph)`` (``-log`` of its survival) and the hazard of ``riskRegression::predictCox``.

    Returns
    -------
    (ndarray (k,), ndarray (k,))
        Distinct event times, ascending, and the cumulative hazard from each on.
    """
    steps = np.add.reduceat(1 / fit.at_maximum.denominator, fit.sets.starts)
    return fit.sets.event_times, np.cumsum(steps) * np.exp(-fit.at_maximum.shift)


def predicted_risk(fit: CoxFit, x: ArrayLike, horizons: ArrayLike) -> Floats:
    """Probability of the event by each horizon, 1 - exp(-H(t) exp(lp)); R's ``predictRisk`` of a ``coxph``.

    Parameters
    ----------
    x : array (m, p)
        Covariates of new patients, on the scale of the fit.
    horizons : array (h,)
        Times, none beyond the last follow-up of the fit.

    Returns
    -------
    ndarray of float64 (m, h)

    Raises
    ------
    AnalysisError
        If covariates are missing or a horizon lies beyond the follow-up.
    """
    matrix, marks = np.atleast_2d(finite(x, "covariates")), finite(horizons, "horizon")
    if matrix.shape[1] != len(fit.coefficients):
        problem = f"have {matrix.shape[1]} columns; the model has {len(fit.coefficients)}"
        raise AnalysisError("covariates", problem, "Give the columns of the fit in the same order.")
    if marks.size and marks.max() > fit.sets.time[-1]:
        last = f"{fit.sets.time[-1]:g}"
        raise AnalysisError("horizon", f"lies beyond the last follow-up ({last})", "Choose an earlier one.")
    times, hazard = baseline_hazard(fit)
    at = np.append(0.0, hazard)[np.searchsorted(times, marks, side="right")]
    return np.asarray(-np.expm1(-np.exp((matrix - fit.centre) @ fit.coefficients)[:, None] * at))


def martingale_residuals(fit: CoxFit) -> Floats:
    """Events minus expected events of each patient (n,), in the order given; they add up to zero.

    Equals R's ``residuals(coxph, "martingale")``.
    """
    point = fit.at_maximum
    expected = point.risk * fit.sets.collected(1 / point.denominator)
    return _as_given(fit, fit.sets.event - expected)


def schoenfeld_residuals(fit: CoxFit) -> Floats:
    """Covariates of each event minus their mean over those at risk (d, p), events by ascending time.

    With Efron's ties the mean is averaged over the time's denominators. Equals R's
    ``residuals(coxph, "schoenfeld")``.
    """
    point, sets = fit.at_maximum, fit.sets
    return np.asarray(point.x[sets.events] - _tied_means(fit)[sets.tie])


def score_residuals(fit: CoxFit) -> Floats:
    """Each patient's share of the score (n, p), in the order given; R's ``residuals(coxph, "score")``."""
    point, sets = fit.at_maximum, fit.sets
    hazard = 1 / point.denominator
    passed = point.x * sets.collected(hazard)[:, None] - sets.collected(hazard[:, None] * point.means)
    residuals = -point.risk[:, None] * passed
    residuals[sets.events] += point.x[sets.events] - _tied_means(fit)[sets.tie]
    return _as_given(fit, residuals)


def dfbeta(fit: CoxFit) -> Floats:
    """Approximate change of the coefficients by leaving each patient in (n, p); R's ``"dfbeta"`` residuals."""
    return np.asarray(score_residuals(fit) @ fit.covariance)


def robust_covariance(fit: CoxFit, cluster: ArrayLike | None = None) -> Floats:
    """Sandwich covariance (p, p) of Lin and Wei 1989; R's ``coxph(robust = TRUE)``.

    Parameters
    ----------
    cluster : array (n,), optional
        Label of each row's patient or site, whose rows are summed first.

    Raises
    ------
    AnalysisError
        If there is not one label per row.
    """
    change = dfbeta(fit)
    if cluster is not None:
        labels = np.unique(np.asarray(cluster), return_inverse=True)[1]
        if labels.shape != (fit.n,):
            raise AnalysisError("cluster", "does not match the fit", "Give one label per row.")
        summed = np.zeros((labels.max() + 1, change.shape[1]))
        np.add.at(summed, labels, change)
        change = summed
    return np.asarray(change.T @ change)


def _tied_means(fit: CoxFit) -> Floats:
    """Mean of the covariates over those at risk at each distinct event time (k, p)."""
    return np.asarray(np.add.reduceat(fit.at_maximum.means, fit.sets.starts, axis=0) / fit.sets.tied[:, None])


def _as_given(fit: CoxFit, values: Floats) -> Floats:
    back = np.empty_like(values)
    back[fit.sets.order] = values
    return back
