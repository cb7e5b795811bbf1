"""Whether predicted probabilities are right: slope, intercept, curve and errors, with and without censoring."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from statsmodels.nonparametric.smoothers_lowess import lowess

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import checked, one_class
from hccfeat.stats.estimate import Estimate, Z, checked_survival, finite, same_length
from hccfeat.stats.intervals import normal_estimate
from hccfeat.stats.km import product_limit

Floats = NDArray[np.float64]
SPAN = 2 / 3
"""Share of the patients that the smoother sees at each point, as in R's ``lowess``."""


@dataclass(frozen=True)
class Calibration:
    """Agreement of predicted with observed risk.

    Attributes
    ----------
    intercept, slope : Estimate
        Of the logistic regression of the outcome on the logit of the prediction; 0 and 1 are perfect. A slope
        below 1 says that predictions are too extreme.
    in_the_large : Estimate
        Intercept with the slope held at 1: below 0, risks are predicted too high.
    ratio : Estimate
        Observed over mean predicted risk.
    mean_error, median_error, p90_error, max_error : float or None
        Mean ("Eavg", the integrated calibration index), median (E50), 90th percentile (E90) and maximum over
        patients of the distance between prediction and curve (Austin and Steyerberg 2019).
    curve : ndarray of float64 (k, 2)
        Predicted and smoothed observed risk at the distinct predictions, ascending.
    """

    intercept: Estimate
    slope: Estimate
    in_the_large: Estimate
    ratio: Estimate
    mean_error: float | None
    median_error: float | None
    p90_error: float | None
    max_error: float | None
    curve: Floats


def calibration(labels: ArrayLike, risk: ArrayLike) -> Calibration:
    """Calibration of a predicted probability of a yes/no outcome.

    Intercept, slope, Eavg, E90 and Emax equal R's ``rms::val.prob`` (6.5), whose curve is ``lowess(iter = 0)``;
    the intercept in the large is that of ``glm(y ~ offset(qlogis(p)), binomial)``.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event.
    risk : array (n,)
        Predicted probability. Slope and intercept are missing where one is exactly 0 or 1.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or a risk is not between 0 and 1.
    """
    y, p = checked(labels, risk)
    n, events = len(y), int(y.sum())
    reason = one_class(y)
    share = events / max(n, 1)
    error = float(np.sqrt(share * (1 - share) / max(n, 1)))
    return _calibrated(y.astype(np.float64), _probabilities(p), n, events, share, error, reason)


def survival_calibration(time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizon: float) -> Calibration:
    """Calibration of any predicted risk of the event by a horizon, under censoring.

    The outcome is each patient's Kaplan-Meier pseudo-value at the horizon (Andersen and Perme 2010; used for
    calibration by Royston 2015), which is 0 or 1 where nobody is censored before it; all else is as in
    :func:`calibration`, with sandwich errors. The observed risk of the ratio is Kaplan-Meier's with Greenwood's
    error. Censoring must not depend on the covariates.

    Parameters
    ----------
    time, event : array (n,)
        Times, and 0/1.
    risk : array (n,)
        Predicted probability of the event by the horizon.
    horizon : float
        With patients still followed beyond it.

    Raises
    ------
    AnalysisError
        If the arrays are malformed, a risk is not between 0 and 1, or nobody is followed beyond the
        horizon.
    """
    t, e = checked_survival(time, event)
    p = _probabilities(finite(risk, "risk"))
    same_length(time=t, risk=p)
    outcome = pseudo_values(t, e, horizon)
    curve = product_limit(t, e)
    place = int(np.searchsorted(curve.times, horizon, side="right")) - 1
    error = float(curve.standard_errors[place]) if place >= 0 else 0.0
    events = int((e & (t <= horizon)).sum())
    reason = "" if events else "no patient has the event by the horizon"
    return _calibrated(outcome, p, len(t), events, float(1 - curve.at(horizon)), error, reason)


def pseudo_values(time: ArrayLike, event: ArrayLike, horizon: float) -> Floats:
    """Jackknife pseudo-values (n,) of the risk by a horizon: n F - (n - 1) F without the patient.

    Their mean is the Kaplan-Meier risk up to order 1/n; R's ``pseudo::pseudosurv``, one minus.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or fewer than two patients are followed beyond the horizon.
    """
    t, e = checked_survival(time, event)
    if (t > horizon).sum() < 2:
        problem = "has fewer than two patients who are followed beyond it"
        raise AnalysisError(f"horizon {horizon:g}", problem, "Choose an earlier horizon.")
    curve = product_limit(t, e)
    inside = curve.times <= horizon
    d, y = curve.events[inside], curve.at_risk[inside]
    last = float(curve.at(horizon))
    without = np.append(1.0, np.cumprod(1 - d / (y - 1)))
    place = np.searchsorted(curve.times[inside], t)
    left = without[place]
    early = t <= horizon
    own = place[early]
    # Up to his time the patient is missing from those at risk; afterwards the curve falls as it did.
    left[early] *= (1 - (d[own] - e[early]) / (y[own] - 1)) * last / curve.survival[own]
    values = len(t) * (1 - last) - (len(t) - 1) * (1 - left)
    whole = np.round(values)
    return np.where(np.abs(values - whole) < 1e-9, whole, values)


def brier_score(labels: ArrayLike, risk: ArrayLike) -> Estimate:
    """Mean squared error of a predicted probability, with its normal 95 % interval; no censoring.

    Raises
    ------
    AnalysisError
        If labels are not 0/1 or a risk is not between 0 and 1.
    """
    y, p = checked(labels, risk)
    if not len(y) or p.min() < 0 or p.max() > 1:
        raise AnalysisError("Brier score", "needs probabilities of at least one patient", "Give risks in 0..1.")
    squares = (y - p) ** 2
    value, n, events = float(squares.mean()), len(y), int(y.sum())
    error = float(squares.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return normal_estimate(value, error, n, events, "Brier score", "normal 95 % interval", (0.0, 1.0))


def _probabilities(risk: Floats) -> Floats:
    if len(risk) and (risk.min() < 0 or risk.max() > 1):
        raise AnalysisError("risk", "is not between 0 and 1", "Give predicted probabilities.")
    return risk


def _calibrated(
    outcome: Floats, risk: Floats, n: int, events: int, observed: float, error: float, reason: str
) -> Calibration:
    if reason:
        none = Estimate(None, None, None, n, events, f"calibration not estimated: {reason}")
        return Calibration(none, none, none, none, None, None, None, None, np.zeros((0, 2)))
    whole = both = None
    # The logit of a risk of exactly 0 or 1 is infinite: its outcome would decide everything.
    if risk.min() > 0 and risk.max() < 1:
        linear = logit(risk)
        whole = regress_logit(outcome, np.ones((n, 1)), linear)
        # A spread that is rounding noise beside the values themselves is no spread.
        if linear.std() > 1e-9 * max(1.0, np.abs(linear).max()):
            both = regress_logit(outcome, np.column_stack([np.ones(n), linear]), np.zeros(n))
    name = "of the logistic regression on the predicted logit"
    parts = [
        _wald(both, 0, n, events, f"intercept {name}"),
        _wald(both, 1, n, events, f"slope {name}"),
        _wald(whole, 0, n, events, "intercept with the slope held at 1"),
    ]
    smooth = _smooth(outcome, risk)
    distance = np.abs(smooth - risk)
    _, first = np.unique(risk, return_index=True)
    return Calibration(
        intercept=parts[0],
        slope=parts[1],
        in_the_large=parts[2],
        ratio=_ratio(observed, error, float(risk.mean()), n, events),
        mean_error=float(distance.mean()),
        median_error=float(np.median(distance)),
        p90_error=float(np.quantile(distance, 0.9)),
        max_error=float(distance.max()),
        curve=np.column_stack([risk[first], smooth[first]]),
    )


def _ratio(observed: float, error: float, expected: float, n: int, events: int) -> Estimate:
    value, method = observed / expected, "observed over mean predicted risk"
    if error <= 0:
        return Estimate(value, None, None, n, events, f"{method}; no interval: its variance is zero")
    factor = float(np.exp(Z * error / observed))
    note = f"{method}; 95 % interval on the log scale"
    return Estimate(value, value / factor, value * factor, n, events, note, error / expected)


def _smooth(outcome: Floats, risk: Floats) -> Floats:
    """Smoothed outcome at each prediction (n,), within 0..1."""
    spread = float(np.ptp(risk))
    if spread <= 1e-12:
        return np.full(len(risk), np.clip(outcome.mean(), 0.0, 1.0))
    order = np.argsort(risk, kind="stable")
    values, counts = np.unique(risk, return_counts=True)
    # A prediction that so many share that the smoother sees no other: statsmodels divides by its width, zero, and
    # gives the outcome of one of them. R takes their mean.
    most = counts.argmax()
    shared = (risk == values[most]) & (counts[most] >= int(SPAN * len(risk)))
    delta = 0.0 if shared.any() else 0.01 * spread
    with np.errstate(invalid="ignore", divide="ignore"):
        fitted = lowess(outcome[order], risk[order], frac=SPAN, it=0, delta=delta, is_sorted=True)[:, 1]
    out = np.empty(len(risk))
    out[order] = fitted
    if shared.any():
        out[shared] = outcome[shared].mean()
    return np.clip(out, 0.0, 1.0)


def regress_logit(outcome: Floats, x: Floats, offset: Floats) -> tuple[Floats, Floats] | None:
    """Coefficients (k,) and their covariance (k, k) on the logit scale; None where there is no finite solution.

    Outcomes may be any numbers: sandwich covariance then, the model's for outcomes of 0 and 1.
    """
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        fitted = expit(x @ beta + offset)
        weight = fitted * (1 - fitted)
        information = x.T @ (weight[:, None] * x)
        if np.linalg.cond(information) > 1e12 or np.abs(beta).max() > 50:
            return None
        step = np.linalg.solve(information, x.T @ (outcome - fitted))
        # A longer step can leave the region in which the logit is not flat.
        step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-300))
        beta += step
        if np.abs(step).max() < 1e-12 * max(1.0, np.abs(beta).max()):
            break
    else:
        return None
    inverse = np.linalg.inv(information)
    if np.isin(outcome, (0.0, 1.0)).all():
        return beta, inverse
    scores = x * (outcome - fitted)[:, None]
    return beta, inverse @ (scores.T @ scores) @ inverse


def _wald(fit: tuple[Floats, Floats] | None, k: int, n: int, events: int, name: str) -> Estimate:
    if fit is None:
        return Estimate(None, None, None, n, events, f"{name}: no finite estimate")
    return normal_estimate(fit[0][k], float(np.sqrt(fit[1][k, k])), n, events, name, "Wald 95 % interval")
