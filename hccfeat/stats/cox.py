"""Cox regression with one covariate, Efron ties, and the conditions under which no hazard ratio is given."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning
from numpy.typing import ArrayLike

from hccfeat.stats.estimate import CONFIDENCE, Z, finite, same_length
from hccfeat.stats.survival import FEW_EVENTS, checked_survival

TIES = "efron"
LARGEST_STANDARD_ERROR = 10.0
"""Of a log hazard ratio per SD; beyond it the likelihood is flat and the estimate runs to infinity."""

PRECISION = {"precision": 1e-16, "r_precision": 1e-15}
"""lifelines stops at half the Newton decrement, quadratic in the error: this is 1e-8 of a standard error."""


@dataclass(frozen=True)
class CoxEstimate:
    """Hazard ratio per unit of the covariate; numbers are None where it is not given, and ``reason`` says why."""

    hr: float | None
    lower: float | None
    upper: float | None
    p: float | None
    coefficient: float | None
    standard_error: float | None
    n: int
    events: int
    ties: str = TIES
    reason: str = ""


def cox_univariable(time: ArrayLike, event: ArrayLike, covariate: ArrayLike) -> CoxEstimate:
    """Hazard ratio of one covariate by Cox regression with Efron ties (lifelines), Wald interval and P.

    Withheld with fewer than 5 events, a constant covariate, a level of a two-valued covariate without
    events, or an estimate that runs to infinity.

    Parameters
    ----------
    time, event : array (n,)
        Months, and 0/1.
    covariate : array (n,)
        Finite numbers; the hazard ratio is per unit.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or hold missing values.
    """
    t, e = checked_survival(time, event)
    x = finite(covariate, "covariate")
    same_length(time=t, covariate=x)
    n, events = len(t), int(e.sum())
    if reason := _why_not(e, x):
        return CoxEstimate(None, None, None, None, None, None, n, events, reason=reason)
    spread = float(x.std())
    fitted = _fit(t, e, (x - x.mean()) / spread)
    if fitted is None:
        reason = "the estimate runs to infinity (the covariate separates the events)"
        return CoxEstimate(None, None, None, None, None, None, n, events, reason=reason)
    coefficient, error, p = fitted[0] / spread, fitted[1] / spread, fitted[2]
    bounds = (coefficient, coefficient - Z * error, coefficient + Z * error)
    with np.errstate(over="ignore"):
        hr, lower, upper = (float(np.exp(bound)) for bound in bounds)
    if not np.isfinite([hr, lower, upper]).all():
        reason = "the hazard ratio per unit is too large to write; choose a larger unit"
        return CoxEstimate(None, None, None, None, None, None, n, events, reason=reason)
    return CoxEstimate(hr, lower, upper, p, coefficient, error, n, events)


def _why_not(event: np.ndarray, x: np.ndarray) -> str:
    if event.sum() < FEW_EVENTS:
        return f"only {int(event.sum())} events (fewer than {FEW_EVENTS})"
    levels = np.unique(x)
    # A spread that is rounding noise beside the values themselves is no spread.
    if len(levels) < 2 or x.std() <= 1e-12 * np.abs(x).max():
        return "the covariate is constant"
    if len(levels) == 2 and (empty := [level for level in levels if not event[x == level].any()]):
        return f"no events among the {int((x == empty[0]).sum())} patients at {empty[0]:g}"
    return ""


def _fit(time: np.ndarray, event: np.ndarray, x: np.ndarray) -> tuple[float, float, float] | None:
    """Coefficient, standard error and P per SD; None where the fit does not converge to a finite value."""
    frame = pd.DataFrame({"time": time, "event": event.astype(float), "x": x})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            fitter = CoxPHFitter(alpha=1 - CONFIDENCE).fit(frame, "time", "event", fit_options=PRECISION)
    except (ConvergenceError, ConvergenceWarning):
        return None
    row = fitter.summary.loc["x"]
    values = (float(row["coef"]), float(row["se(coef)"]), float(row["p"]))
    if not np.isfinite(values).all() or values[1] > LARGEST_STANDARD_ERROR:
        return None
    return values
