"""Hazard ratios by Cox regression, and the conditions under which none is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import constant, independent_columns
from hccfeat.stats.coxmodel import CollinearityError, CoxFit, SeparationError, Test, cox_model
from hccfeat.stats.estimate import checked_survival, count, finite, same_length
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import FEW_EVENTS

TIES: Ties = "efron"
"""Unless others are asked for."""
EVENTS_PER_TERM = 5
"""Fewer events per coefficient are noted: such estimates lean to extremes."""


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


@dataclass(frozen=True)
class CoxTerm:
    """One coefficient: log hazard ratio per unit, its standard error, and the hazard ratio with its limits.

    Limits and P are Wald's; of Firth's penalised likelihood they are None where the search found none.
    """

    term: str
    coefficient: float
    standard_error: float
    hr: float
    lower: float | None
    upper: float | None
    p: float | None


@dataclass(frozen=True)
class CoxModel:
    """A fitted model, or none: ``terms`` is empty, ``log_likelihood`` None, and ``reason`` says why.

    ``left_out`` maps covariates that could not take part to the reason. ``null_log_likelihood`` is that of the
    model without covariates on the same patients; ``note`` warns of few events per coefficient. ``separated``:
    there is none because an estimate runs to infinity.
    """

    terms: tuple[CoxTerm, ...]
    log_likelihood: float | None
    n: int
    events: int
    ties: str
    left_out: dict[str, str]
    reason: str = ""
    null_log_likelihood: float | None = None
    note: str = ""
    separated: bool = False

    def term(self, name: str) -> CoxTerm | None:
        """The coefficient of a covariate, or None where it is not in the model."""
        return next((term for term in self.terms if term.term == name), None)


def cox_univariable(time: ArrayLike, event: ArrayLike, covariate: ArrayLike, ties: Ties = TIES) -> CoxEstimate:
    """Hazard ratio of one covariate by Cox regression, Wald interval and P.

    Withheld with fewer than 5 events, a constant covariate, a level of a two-valued covariate without
    events, or an estimate that runs to infinity.

    Parameters
    ----------
    time, event : array (n,)
        Months, and 0/1.
    covariate : array (n,)
        Finite numbers; the hazard ratio is per unit.
    ties : {"efron", "breslow"}
        Treatment of events at the same time.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or hold missing values.
    """
    t, e = checked_survival(time, event)
    x = finite(covariate, "covariate")
    same_length(time=t, covariate=x)
    n, events = len(t), int(e.sum())
    reason = _too_few(events)
    if not reason:
        reason = "the covariate is constant" if constant(x) else _without_events(x, e)
    if not reason:
        fit = _fit(t, e, x, ties)
        if fit is not None and (terms := _terms(fit, [""])):
            b = terms[0]
            return CoxEstimate(b.hr, b.lower, b.upper, b.p, b.coefficient, b.standard_error, n, events, ties)
        reason = "the hazard ratio per unit is too large to write; choose a larger unit"
        if fit is None:
            reason = "the estimate runs to infinity (the covariate separates the events)"
    return CoxEstimate(None, None, None, None, None, None, n, events, ties, reason)


def cox_multivariable(
    time: ArrayLike, event: ArrayLike, x: ArrayLike, names: Sequence[str], ties: Ties = TIES
) -> CoxModel:
    """Cox regression of several covariates, Wald intervals and P.

    Left out, in the order given: constant covariates, two-valued covariates with a level without events, and
    covariates that are linear combinations of those before them. No model with fewer than 5 events, with
    no covariate left, or where an estimate runs to infinity.

    Parameters
    ----------
    time, event : array (n,)
        Months, and 0/1.
    x : array (n, p)
        Complete covariates; hazard ratios are per unit.
    names : sequence of str
        One per column of ``x``, all different.
    ties : {"efron", "breslow"}
        Treatment of events at the same time.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or hold missing values.
    """
    t, e = checked_survival(time, event)
    matrix = finite(x, "covariates")
    if matrix.ndim != 2 or matrix.shape[1] != len(names) or len(set(names)) != len(names):
        raise AnalysisError("covariates", "do not match their names", "Give one name per column, all different.")
    same_length(time=t, covariates=matrix)
    n, events = len(t), int(e.sum())
    if reason := _too_few(events):
        return CoxModel((), None, n, events, ties, {}, reason)
    kept, left_out = _usable(matrix, e, names)
    if not kept:
        return CoxModel((), None, n, events, ties, left_out, "no covariate is left")
    fit = _fit(t, e, matrix[:, kept], ties)
    if fit is None:
        reason = "an estimate runs to infinity (the covariates separate the events)"
        return CoxModel((), None, n, events, ties, left_out, reason, separated=True)
    terms = _terms(fit, [names[column] for column in kept])
    if not terms:
        reason = "a hazard ratio per unit is too large to write; choose larger units"
        return CoxModel((), None, n, events, ties, left_out, reason)
    few = events < EVENTS_PER_TERM * len(terms)
    note = (
        f"{count(events, 'event')} for {len(terms)} coefficients: fewer than {EVENTS_PER_TERM} each" if few else ""
    )
    likelihoods = fit.log_likelihood, fit.null_log_likelihood
    return CoxModel(terms, likelihoods[0], n, events, ties, left_out, "", likelihoods[1], note)


def likelihood_ratio(smaller: CoxModel, larger: CoxModel) -> tuple[float | None, int | None, float | None]:
    """Likelihood-ratio test of two nested models of the same patients.

    Parameters
    ----------
    smaller, larger : CoxModel
        The larger has every term of the smaller.

    Returns
    -------
    (chi-square, degrees of freedom, P)
        All None where a model could not be fitted or the larger has no further term.

    Raises
    ------
    AnalysisError
        If the models are not nested or are of different patients.
    """
    if (smaller.n, smaller.events) != (larger.n, larger.events):
        raise AnalysisError("likelihood-ratio test", "compares models of different patients", "Use the same rows.")
    if smaller.log_likelihood is None or larger.log_likelihood is None:
        return None, None, None
    few, many = ({term.term for term in model.terms} for model in (smaller, larger))
    if not few <= many:
        raise AnalysisError("likelihood-ratio test", "compares models that are not nested", "Swap or refit them.")
    if few == many:
        return None, None, None
    # Both maxima are found to rounding: a difference below zero is zero.
    test = Test.of(max(2 * (larger.log_likelihood - smaller.log_likelihood), 0.0), len(many) - len(few))
    return test.chisq, test.df, test.p


def _usable(
    matrix: NDArray[np.float64], event: NDArray[np.bool_], names: Sequence[str]
) -> tuple[list[int], dict[str, str]]:
    left_out = {name: "constant" for k, name in enumerate(names) if constant(matrix[:, k])}
    for k, name in enumerate(names):
        if name not in left_out and (reason := _without_events(matrix[:, k], event)):
            left_out[name] = reason
    varied = [k for k, name in enumerate(names) if name not in left_out]
    kept, repeated = independent_columns(matrix[:, varied], [names[k] for k in varied])
    return [varied[k] for k in kept], left_out | repeated


def _too_few(events: int) -> str:
    return f"only {count(events, 'event')} (fewer than {FEW_EVENTS})" if events < FEW_EVENTS else ""


def _without_events(values: NDArray[np.float64], event: NDArray[np.bool_]) -> str:
    """Name a level of a two-valued covariate without events, if there is one."""
    levels = np.unique(values)
    empty = [level for level in levels if not event[values == level].any()] if len(levels) == 2 else []
    if not empty:
        return ""
    return f"no events among the {count(int((values == empty[0]).sum()), 'patient')} with the value {empty[0]:g}"


def _fit(time: NDArray[np.float64], event: NDArray[np.bool_], x: NDArray[np.float64], ties: Ties) -> CoxFit | None:
    """The fit, or None where an estimate runs to infinity."""
    try:
        return cox_model(time, event, x, ties)
    except (SeparationError, CollinearityError):
        return None


def _terms(fit: CoxFit, names: Sequence[str]) -> tuple[CoxTerm, ...]:
    """The coefficients; none where a hazard ratio is too large for a number."""
    ratios = fit.hazard_ratios()
    if not np.isfinite(ratios).all():
        return ()
    values = np.column_stack([fit.coefficients, fit.standard_errors, ratios, fit.p]).tolist()
    return tuple(CoxTerm(name, *row) for name, row in zip(names, values, strict=True))
