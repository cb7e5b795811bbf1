"""What follows from a fitted Cox model: baseline hazard, predicted risk, and Schoenfeld residuals."""

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


def schoenfeld_residuals(fit: CoxFit) -> Floats:
    """Covariates of each event minus their mean over those at risk (d, p), events by ascending time.

    With Efron's ties the mean is averaged over the time's denominators. Equals R's
    ``residuals(coxph, "schoenfeld")``.
    """
    point, sets = fit.at_maximum, fit.sets
    return np.asarray(point.x[sets.events] - _tied_means(fit)[sets.tie])


def _tied_means(fit: CoxFit) -> Floats:
    """Mean of the covariates over those at risk at each distinct event time (k, p)."""
    return np.asarray(np.add.reduceat(fit.at_maximum.means, fit.sets.starts, axis=0) / fit.sets.tied[:, None])
