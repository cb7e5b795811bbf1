"""Curves of a population and of a model on it: survival, incidence, calibration, net benefit, distribution."""

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.judge_metrics import too_few
from hccfeat.analysis.results import (
    CalibrationCurve,
    CohortSurvival,
    DecisionCurve,
    IncidenceCurve,
    RiskDistribution,
    SurvivalCurve,
)
from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import SPAN, pseudo_values
from hccfeat.stats.competing import CumulativeIncidence, cumulative_incidence
from hccfeat.stats.decision import THRESHOLDS, benefit_curve, survival_benefit_curve
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.km import follow_up, product_limit, restricted_mean
from hccfeat.stats.smoothing import local_linear

Floats = NDArray[np.float64]
MOST_RISK_TIMES = 8
CURVE_POINTS = 41
BINS = 20
LEAST_TOLD = 0.8
"""Share of the event-free of whom it must be known whether death ended their follow-up."""
EVERYBODY = "everybody"
TREAT_ALL, TREAT_NONE = "treat all", "treat none"


def risk_times(time: Floats, horizon: float | None) -> Floats:
    """Round times in months at which numbers at risk are shown: quarters of the horizon, or whole years."""
    if horizon is not None:
        return np.linspace(0.0, horizon, 5)
    last = float(time.max(initial=0.0))
    step = 12.0 * max(1, int(np.ceil(last / 12 / MOST_RISK_TIMES)))
    return np.arange(0.0, last + 1e-9, step)


def survival_curve(label: str, patients: Population, marks: Floats, until: float | None) -> SurvivalCurve:
    """Kaplan-Meier curve of followed patients, with median, restricted mean and median follow-up.

    Limits of the curve are on the log-log scale, and those of the median where they cross one half.

    Parameters
    ----------
    label : str
        Who they are.
    patients : Population
        At least one, all with a survival time.
    marks : ndarray (k,)
        Months at which to count who is at risk.
    until : float or None
        Months up to which the mean event-free time is taken; none if the curve does not go so far.
    """
    curve = product_limit(patients.time, patients.event)
    lower, upper = curve.limits("log-log")
    n, events = int(curve.at_risk[0]), int(curve.events.sum())
    # The curve starts at time 0, even where nothing happens then.
    lead = bool(curve.times[0] > 0)
    median, median_lower, median_upper = curve.quantile(scale="log-log")
    mean = _restricted(patients, until)
    return SurvivalCurve(
        label,
        _led(lead, 0.0, curve.times),
        _led(lead, 1.0, curve.survival),
        _led(lead, 1.0, lower),
        _led(lead, 1.0, upper),
        marks, curve.risk_at(marks), n, events, median,
        step_at_risk=np.append([n] * lead, curve.at_risk).astype(np.int64),
        step_events=np.append([0] * lead, curve.events).astype(np.int64),
        median_lower=median_lower,
        median_upper=median_upper,
        restricted_mean=mean.value if mean else None,
        restricted_lower=mean.lower if mean else None,
        restricted_upper=mean.upper if mean else None,
        restricted_to=until if mean else None,
        follow_up=follow_up(patients.months, patients.recurred).value,
    )  # fmt: skip


def _led(lead: bool, value: float, steps: Floats) -> Floats:
    return np.append(value, steps) if lead else steps


def _restricted(patients: Population, until: float | None) -> Estimate | None:
    try:
        return None if until is None else restricted_mean(patients.time, patients.event, until)
    except AnalysisError:
        return None


def describe_survival(
    patients: Population, horizon: float | None
) -> tuple[CohortSurvival | None, list[IncidenceCurve]]:
    """Survival of everybody in a population, and the incidence of event and death where deaths are known.

    Returns
    -------
    (CohortSurvival or None, list of IncidenceCurve)
        None without anybody followed.
    """
    followed = patients.take(patients.followed)
    if not len(followed):
        return None, []
    until = horizon if horizon is not None else float(followed.time.max())
    curve = survival_curve(EVERYBODY, followed, risk_times(followed.time, horizon), until)
    waited = follow_up(followed.months, followed.recurred)
    note = "" if waited.value is not None else waited.method
    place = (patients.cohort, patients.split)
    found = CohortSurvival(*place, curve, waited.value, waited.lower, waited.upper, note)
    return found, incidence_curves(followed, horizon)


def incidence_curves(followed: Population, horizon: float | None) -> list[IncidenceCurve]:
    """Cumulative incidence of the event and of death without it, beside one minus Kaplan-Meier.

    Parameters
    ----------
    followed : Population
        Everybody has a survival time; whose death is not known counts as censored.
    horizon : float or None
        Where the curves end.

    Returns
    -------
    list of IncidenceCurve
        Empty where nobody is known to have died without the event, or of fewer than 80 % of the event-free it
        is known whether death ended their follow-up.
    """
    free = followed.recurred == 0
    known = ~np.isnan(followed.died)
    died = free & (followed.died == 1)
    if not died.any() or known[free].mean() < LEAST_TOLD:
        return []
    time, cause = followed.months, np.where(free, np.where(died, 2, 0), 1)
    if horizon is not None:
        time, cause = np.minimum(time, horizon), np.where(time > horizon, 0, cause)
    method = "Aalen-Johansen, Aalen's variance, log-log limits"
    found = [
        _incidence(followed, name, cumulative_incidence(time, cause, number), method)
        for number, name in ((1, "event"), (2, "death without the event"))
    ]
    curve = product_limit(time, cause == 1)
    lower, upper = curve.limits("log-log")
    naive = CumulativeIncidence(
        curve.times, 1 - curve.survival, curve.standard_errors, 1 - upper, 1 - lower, len(followed),
        int((cause == 1).sum()), 0,
    )  # fmt: skip
    name = "event, death taken for censoring"
    return [*found, _incidence(followed, name, naive, "one minus Kaplan-Meier, which overstates; log-log limits")]


def _incidence(patients: Population, cause: str, found: CumulativeIncidence, method: str) -> IncidenceCurve:
    lead = bool(found.times[0] > 0)
    times, incidence = _led(lead, 0.0, found.times), _led(lead, 0.0, found.incidence)
    lower, upper = _led(lead, 0.0, found.lower), _led(lead, 0.0, found.upper)
    place = ("", patients.cohort, patients.split, EVERYBODY, cause)
    return IncidenceCurve(*place, times, incidence, lower, upper, found.n, found.events, method)


def calibration_curve(
    model: str, patients: Population, probability: Floats, months: float | None
) -> CalibrationCurve | None:
    """Observed over predicted risk by local lines with a pointwise band.

    None with fewer than 5 patients of a class, as for the numbers of calibration, or too few different predictions.

    Parameters
    ----------
    model : str
        Name.
    patients : Population
        Labelled ones (``months`` None), or followed ones.
    probability : ndarray (n,)
        Of the event.
    months : float or None
        Time of the risk, at which at least two patients are still followed; None: risk of the label.
    """
    if months is None:
        outcome, events = patients.y, int(patients.y.sum())
        method = "local linear smoother of the label"
    else:
        outcome = pseudo_values(patients.months, patients.recurred, months)
        events = int(((patients.recurred == 1) & (patients.months <= months)).sum())
        method = f"local linear smoother of Kaplan-Meier pseudo-values at {months:g} months"
    if too_few(len(patients), events):
        return None
    at = np.linspace(probability.min(initial=1.0), probability.max(initial=0.0), CURVE_POINTS)
    try:
        curves = local_linear(probability, outcome, at, SPAN)
    except AnalysisError:
        return None
    observed, lower, upper = (np.clip(values, 0.0, 1.0) for values in curves)
    place = (model, patients.cohort, patients.split, months)
    method = f"{method} (tricube, span {SPAN:.2f}), pointwise 95 % band"
    return CalibrationCurve(*place, at, observed, lower, upper, len(patients), events, method)


def decision_curve(
    model: str, patients: Population, probability: Floats, months: float | None
) -> DecisionCurve | None:
    """Net benefit at every threshold where it can be had; arguments as of :func:`calibration_curve`."""
    if not len(patients):
        return None
    if months is None:
        benefits = benefit_curve(patients.y, probability, THRESHOLDS)
        events, method = int(patients.y.sum()), "net benefit of the label"
    else:
        outcome = (patients.months, patients.recurred)
        benefits = survival_benefit_curve(*outcome, probability, THRESHOLDS, months)
        events = int(((patients.recurred == 1) & (patients.months <= months)).sum())
        method = f"net benefit, Kaplan-Meier at {months:g} months"
    known = np.isfinite(benefits)
    if not known.any():
        return None
    place = (model, patients.cohort, patients.split, months)
    return DecisionCurve(*place, THRESHOLDS[known], benefits[known], len(patients), events, method)


def default_decisions(patients: Population, months: float | None) -> list[DecisionCurve]:
    """Net benefit of treating everybody and of treating nobody."""
    everybody = decision_curve(TREAT_ALL, patients, np.ones(len(patients)), months)
    nobody = decision_curve(TREAT_NONE, patients, np.zeros(len(patients)), months)
    return [curve for curve in (everybody, nobody) if curve is not None]


def risk_distribution(model: str, patients: Population, risk: Floats, *, unit: bool) -> RiskDistribution | None:
    """Counts of labelled patients with and without the event in twenty bins of risk, of 0..1 where ``unit``."""
    if not len(patients):
        return None
    low, high = (0.0, 1.0) if unit else (float(risk.min()), float(risk.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts = [np.histogram(risk[patients.y == value], edges)[0].astype(np.int64) for value in (1.0, 0.0)]
    return RiskDistribution(model, patients.cohort, patients.split, edges, counts[0], counts[1])
