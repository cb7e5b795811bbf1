"""AUC and Brier score at a horizon under censoring: inverse-probability weights and influence functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Estimate, checked_survival, finite, same_length
from hccfeat.stats.intervals import normal_estimate, wald_p
from hccfeat.stats.km import ProductLimit, censoring_curve, product_limit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """A score at one horizon: its estimate and each patient's influence on it (n,), mean zero."""

    estimate: Estimate
    influence: Floats


class Horizon:
    """Who had the event by a horizon, who lived past it, and their weights under censoring.

    The censoring curve G is Kaplan-Meier's with events before censorings at the same time. A patient with the
    event by the horizon weighs 1/G just before his time, one beyond it 1/G at the horizon, one censored
    before it nothing. The same for all models judged on these patients.

    Parameters
    ----------
    time, event : array (n,)
        Times, and 0/1.
    when : float
        Horizon, with patients still followed beyond it.

    Raises
    ------
    AnalysisError
        If the arrays are malformed, or no patient is followed beyond the horizon.
    """

    def __init__(self, time: ArrayLike, event: ArrayLike, when: float) -> None:
        self.time, self.event = checked_survival(time, event)
        self.when = float(when)
        if not (self.time > when).any():
            problem = "is not followed by any patient beyond it"
            raise AnalysisError(f"horizon {when:g}", problem, "Choose an earlier horizon.")
        self.case = self.event & (self.time <= when)
        self.control = self.time > when
        self.censoring: ProductLimit = censoring_curve(self.time, self.event)
        self.weight = np.zeros(len(self.time))
        self.weight[self.case] = 1 / self.censoring.before(self.time[self.case])
        self.weight[self.control] = 1 / self.censoring.at(when)

    def from_censoring(self, terms: Floats) -> Floats:
        """Influence (n,) that each patient has through the weights on the mean of weighted terms (n,).

        The integral of A(u) / Y(u) over the patient's martingale of censoring, with Y the share at risk and A
        the mean of the terms whose weight is taken after u. As in R, patients with the event at a time count
        among those at risk there.
        """
        everyone = product_limit(self.time, ~self.event)
        times, at_risk = everyone.times, everyone.at_risk
        place = np.searchsorted(times, self.time)
        # A case's weight is taken just before its time, a control's at the horizon.
        ends = np.where(self.case, place, len(times))
        total = np.bincount(ends, weights=terms * (self.case | self.control), minlength=len(times) + 1)
        later = np.cumsum(total[::-1])[::-1][1:]
        ratio = np.where(times <= self.when, later / at_risk, 0.0)
        passed = np.cumsum(ratio * everyone.events / at_risk)
        return np.asarray(np.where(self.event, 0.0, ratio[place]) - passed[place])


def auc_at(at: Horizon, risk: ArrayLike) -> Judgement:
    """AUC of cases by the horizon against patients beyond it (cumulative/dynamic), interval by influence function.

    Equals ``riskRegression::Score(metrics = "auc", cens.model = "km")`` of R (2022.11), Blanche et al. 2013; the
    interval counts the estimation of the censoring curve.

    Parameters
    ----------
    at : Horizon
        The patients and the time.
    risk : array (n,)
        Predicted risk, higher means earlier.

    Raises
    ------
    AnalysisError
        If the risks are malformed.
    """
    r = finite(risk, "risk")
    same_length(time=at.time, risk=r)
    n, events = len(r), int(at.case.sum())
    if not events:
        none = Estimate(None, None, None, n, 0, f"AUC at {at.when:g} not estimated: no events by then")
        return Judgement(none, np.zeros(n))
    above = _share_below(r[at.case], r[at.control], None)
    below = 1 - _share_below(r[at.control], r[at.case], at.weight[at.case])
    weight = at.weight[at.case]
    value = float(weight @ above / weight.sum())
    terms = np.zeros(n)
    terms[at.case] = weight * (above - value) / (weight.sum() / n)
    influence = terms + at.from_censoring(terms)
    influence[at.control] += (below - value) / at.control.mean()
    return Judgement(_normal(value, influence, n, events, f"AUC at {at.when:g}"), influence)


def brier_at(at: Horizon, risk: ArrayLike) -> Judgement:
    """Brier score at the horizon, interval by influence function; 0 is perfect.

    Equals ``riskRegression::Score(metrics = "brier", cens.model = "km")`` of R (2022.11), Gerds and Schumacher
    2006; the interval counts the estimation of the censoring curve.

    Parameters
    ----------
    risk : array (n,)
        Predicted probability of the event by the horizon, 0..1.

    Raises
    ------
    AnalysisError
        If a risk is not between 0 and 1.
    """
    r = _probabilities(risk)
    same_length(time=at.time, risk=r)
    residuals = at.weight * (at.case - r) ** 2
    influence = residuals - residuals.mean() + at.from_censoring(residuals)
    events = int(at.case.sum())
    estimate = _normal(float(residuals.mean()), influence, len(r), events, f"Brier score at {at.when:g}")
    return Judgement(estimate, influence)


def null_risk(at: Horizon) -> Floats:
    """Kaplan-Meier risk at the horizon for every patient (n,): what a model without covariates predicts."""
    return np.full(len(at.time), 1 - product_limit(at.time, at.event).at(at.when))


def judgement_difference(first: Judgement, second: Judgement) -> tuple[Estimate, float | None]:
    """Second minus first score on the same patients, with interval and Wald P; Score's contrasts.

    Raises
    ------
    AnalysisError
        If the two are of different patients or a score is missing.
    """
    one, two = first.estimate, second.estimate
    if one.value is None or two.value is None or first.influence.shape != second.influence.shape:
        problem = "needs two scores of the same patients"
        raise AnalysisError("difference at a horizon", problem, "Judge both models on the same rows.")
    n, value = one.n, two.value - one.value
    error = float((second.influence - first.influence).std(ddof=1) / np.sqrt(n))
    name, note = f"difference in {one.method.split(';')[0]}", "95 % interval from the influence functions"
    return normal_estimate(value, error, n, one.events, name, note), wald_p(value, error)


def integrated_brier(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizons: Sequence[float] | Floats
) -> Judgement:
    """Brier score averaged over a range of horizons (trapezoids), with its influence-function interval.

    Parameters
    ----------
    risk : array (n, h)
        Predicted probability of the event by each horizon.
    horizons : sequence of float (h,)
        Ascending, at least two, each with patients followed beyond it.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or a horizon lies beyond the follow-up.
    """
    r, marks = _probabilities(risk), np.asarray(horizons, dtype=np.float64)
    if r.ndim != 2 or len(marks) < 2 or r.shape[1] != len(marks) or (np.diff(marks) <= 0).any():
        problem = "needs one column of risks per ascending horizon, and two horizons"
        raise AnalysisError("integrated Brier score", problem, "Give horizons in ascending order.")
    scores = [brier_at(Horizon(time, event, when), r[:, k]) for k, when in enumerate(marks)]
    width = marks[-1] - marks[0]
    value = float(np.trapezoid([score.estimate.value or 0.0 for score in scores], marks) / width)
    influence = np.trapezoid(np.array([score.influence for score in scores]), marks, axis=0) / width
    last = scores[-1].estimate
    name = f"Brier score averaged from {marks[0]:g} to {marks[-1]:g}"
    return Judgement(_normal(value, influence, last.n, last.events, name), influence)


def _probabilities(risk: ArrayLike) -> Floats:
    r = finite(risk, "risk")
    if r.size and (r.min() < 0 or r.max() > 1):
        raise AnalysisError("risk", "is not between 0 and 1", "Give predicted probabilities.")
    return r


def _share_below(values: Floats, others: Floats, weight: Floats | None) -> Floats:
    """Weighted share of ``others`` below each value, ties counted half."""
    order = np.argsort(others, kind="stable")
    total = np.append(0.0, np.cumsum(np.ones(len(others)) if weight is None else weight[order]))
    sides = (np.searchsorted(others[order], values, side=side) for side in ("left", "right"))
    low, high = (total[side] for side in sides)
    return np.asarray((low + high) / 2 / total[-1])


def _normal(value: float, influence: Floats, n: int, events: int, name: str) -> Estimate:
    error = float(influence.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    note = "inverse-probability weights, 95 % interval from the influence function"
    return normal_estimate(value, error, n, events, name, note, (0.0, 1.0))
