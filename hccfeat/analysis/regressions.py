"""Regression on complete indicators, by label and by time: one algorithm each, repeated as patients change."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.models import CLINICAL
from hccfeat.analysis.results import ConditionKind
from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import regress_logit
from hccfeat.stats.columns import independent_columns
from hccfeat.stats.cox import TIES
from hccfeat.stats.coxmodel import SeparationError, cox_model
from hccfeat.stats.coxresiduals import baseline_hazard
from hccfeat.stats.estimate import count
from hccfeat.stats.firth import firth_cox, firth_logistic
from hccfeat.stats.logistic import LARGEST_STANDARD_ERROR
from hccfeat.stats.risksets import PartialLikelihood, RiskSets, Ties
from hccfeat.stats.survival import FEW_EVENTS

Floats = NDArray[np.float64]
RiskOf = Callable[[Floats], Floats]
"""Complete covariates (k, p) to a risk each (k,)."""

COX_CLINICAL = "cox_clinical"
NOT_FITTED: dict[ConditionKind, str] = {
    "few_events": "has too few events to be fitted",
    "too_many_parameters": "has no more events than coefficients",
}
"""Why no model that predicts is fitted, as the problem of its error begins."""
LARGEST = 500.0
"""Of a log hazard; beyond it a probability is 0 or 1 to the last digit."""


@dataclass(frozen=True)
class Fitted:
    """What one fit says of complete covariates (k, p).

    Attributes
    ----------
    rank : callable
        What ranks patients (k,).
    probability : callable or None
        Of the label, or of the event by the horizon (k,).
    risk_by : callable or None
        Covariates and months (h,) to the probability of the event by each (k, h).
    firth : bool
        Maximum likelihood had no finite estimate, so that Firth's penalty took over.
    """

    rank: RiskOf
    probability: RiskOf | None
    risk_by: Callable[[Floats, Floats], Floats] | None
    firth: bool


@dataclass(frozen=True)
class Regression:
    """A way to fit complete covariates: every fold and every resample repeats exactly this.

    Attributes
    ----------
    name, what, who : str
        Name in tables, what it is, and whom it can learn from, in a word.
    eligible : callable
        Patients to those it can learn from (n,).
    fit : callable
        Covariates (n, p) of eligible patients, these patients, and the horizon in months or None.
    """

    name: str
    what: str
    who: str
    eligible: Callable[[Population], NDArray[np.bool_]]
    fit: Callable[[Floats, Population, float | None], Fitted]


def fit_by_label(x: Floats, patients: Population, horizon: float | None) -> Fitted:
    """Unpenalised logistic regression of the label, Firth's where the indicators separate the classes.

    Raises
    ------
    AnalysisError
        If a class has fewer than 5 patients or no more than there are coefficients, or no indicator varies.
    """
    del horizon
    kept = independent(x)
    events = int(patients.y.sum())
    rarer = min(events, len(x) - events)
    _check_events(rarer, len(kept), f"{count(rarer, 'patient')} in the rarer class")
    coefficients = _maximum_likelihood(x[:, kept], patients.y)
    firth = coefficients is None
    if coefficients is None:
        fit = firth_logistic(x[:, kept], patients.y)
        coefficients = np.array([fit.intercept, *(term.coefficient for term in fit.terms)], dtype=np.float64)

    def probability(rows: Floats) -> Floats:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * (coefficients[0] + rows[:, kept] @ coefficients[1:]))))

    return Fitted(probability, probability, None, firth)


def fit_by_time(x: Floats, patients: Population, horizon: float | None, ties: Ties = TIES) -> Fitted:
    """Cox regression; Firth's (Breslow's ties) where the indicators separate the events.

    The probability by t is 1 - exp(-H0(t) exp(lp)), as R's ``survfit(coxph)``; that by the horizon needs somebody
    who was followed to it.

    Raises
    ------
    AnalysisError
        If there are fewer than 5 events or no more than coefficients, or no indicator varies.
    """
    kept = independent(x)
    events = int(patients.event.sum())
    _check_events(events, len(kept), count(events, "event"))
    matrix = x[:, kept]
    centre, last = matrix.mean(axis=0), float(patients.time.max())
    try:
        fit = cox_model(patients.time, patients.event, matrix, ties)
    except SeparationError:
        firth = True
        coefficients, times, hazard = _firth_hazard(patients, matrix)
    else:
        firth = False
        coefficients, (times, hazard) = fit.coefficients, baseline_hazard(fit)

    def log_hazard(rows: Floats) -> Floats:
        return np.clip((rows[:, kept] - centre) @ coefficients, -LARGEST, LARGEST)

    def risk_by(rows: Floats, months: Floats) -> Floats:
        if months.size and months.max() > last:
            problem = f"was fitted to a follow-up of {last:g} months"
            raise AnalysisError("clinical model", problem, "Choose an earlier horizon.")
        baseline = np.append(0.0, hazard)[np.searchsorted(times, months, side="right")]
        return np.asarray(-np.expm1(-np.exp(log_hazard(rows))[:, None] * baseline))

    reached = horizon is not None and last >= horizon
    probability = (lambda rows: risk_by(rows, np.array([horizon]))[:, 0]) if reached else None
    return Fitted(log_hazard, probability, risk_by, firth)


def _firth_hazard(patients: Population, matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Firth's coefficients, the distinct event times, and Breslow's cumulative hazard at the covariates' means."""
    terms = firth_cox(patients.time, patients.event, matrix).terms
    coefficients = np.array([term.coefficient for term in terms])
    sets = RiskSets(patients.time, patients.event, "breslow")
    point = PartialLikelihood(sets, (matrix - matrix.mean(axis=0))[sets.order], coefficients)
    hazard = np.cumsum(np.add.reduceat(1 / point.denominator, sets.starts)) * np.exp(-point.shift)
    return coefficients, sets.event_times, hazard


BY_LABEL = Regression(
    CLINICAL, "unpenalised logistic regression", "labelled", lambda patients: patients.labelled, fit_by_label
)
BY_TIME = Regression(
    COX_CLINICAL, "Cox regression (Efron ties)", "followed", lambda patients: patients.followed, fit_by_time
)


def _check_events(events: int, coefficients: int, counted: str) -> None:
    """Refuse a fit that would reproduce the outcomes of its own patients."""
    kind: ConditionKind = "few_events" if events < FEW_EVENTS else "too_many_parameters"
    if events < FEW_EVENTS or events <= coefficients:
        problem = f"{NOT_FITTED[kind]} ({counted}, {count(coefficients, 'coefficient')})"
        raise AnalysisError("clinical model", problem, "Use a larger cohort or declare fewer indicators.")


def _maximum_likelihood(x: Floats, y: Floats) -> Floats | None:
    """Intercept and slopes (1 + p,) as :func:`hccfeat.stats.logistic.logistic` has them; None where not finite."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    fit = regress_logit(y, np.column_stack([np.ones(len(y)), (x - centre) / scale]), np.zeros(len(y)))
    if fit is None or np.sqrt(np.diag(fit[1])).max() > LARGEST_STANDARD_ERROR:
        return None
    slopes = fit[0][1:] / scale
    return np.append(fit[0][0] - slopes @ centre, slopes)


def regressions(*, timed: bool, ties: Ties = TIES) -> tuple[Regression, ...]:
    """All of them, or those that need no time; Cox regression with these ties."""
    what = f"Cox regression ({ties.title()} ties)"
    by_time = replace(BY_TIME, what=what, fit=partial(fit_by_time, ties=ties))
    return (BY_LABEL, by_time) if timed else (BY_LABEL,)


def independent(x: Floats) -> list[int]:
    """Columns (n, p) that vary and are no linear combination of those before them.

    Raises
    ------
    AnalysisError
        If there is none.
    """
    spread = x.std(axis=0)
    if x.shape[1] and (spread > 1e-9 * np.abs(x).max(axis=0)).all():
        standard = (x - x.mean(axis=0)) / spread
        # The diagonal holds the distance of each column from the span of those before it; mostly all are kept.
        if np.abs(np.diag(np.linalg.qr(standard, mode="r"))).min() > 1e-4 * np.sqrt(len(x)):
            return list(range(x.shape[1]))
    kept, _ = independent_columns(x, [str(column) for column in range(x.shape[1])])
    if not kept:
        raise AnalysisError("clinical model", "has no indicator that varies", "Choose another endpoint.")
    return kept
