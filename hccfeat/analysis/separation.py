"""Logistic regression on raw indicators by maximum likelihood, or by Firth's method where that has no maximum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.results import LogisticTerm
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import SeparationError
from hccfeat.stats.estimate import exponential
from hccfeat.stats.firth import firth_logistic, separated
from hccfeat.stats.logistic import logistic

Floats = NDArray[np.float64]
WALD = "maximum likelihood, Wald interval"
FIRTH = "Firth's penalty, profile-likelihood interval, penalised likelihood-ratio P"


@dataclass(frozen=True)
class RawLogistic:
    """A logistic regression on raw indicators.

    Attributes
    ----------
    terms : list of LogisticTerm
        Coefficients; the intercept first where the fit is by maximum likelihood.
    condition : Condition or None
        Why Firth's method took over.
    """

    terms: list[LogisticTerm]
    n: int
    events: int
    condition: Condition | None


def raw_logistic(x: Floats, labels: Floats, names: Sequence[str]) -> RawLogistic:
    """Fit a logistic regression to complete rows.

    Parameters
    ----------
    x : ndarray (n, p)
        Complete covariates.
    labels : ndarray of 0/1 (n,)
        Event.
    names : sequence of str
        One per column.

    Returns
    -------
    RawLogistic
        By maximum likelihood as R's ``glm``; by Firth's method as R's ``logistf``, with the condition, where the
        covariates separate the events.

    Raises
    ------
    AnalysisError
        If one class is missing, columns are constant or collinear, there are too few patients, or an odds ratio
        per unit is too large for a number.
    """
    try:
        fit = logistic(x, labels, list(names))
    except SeparationError:
        return _firth(x, labels, names)
    columns = (fit.terms, fit.coefficients, fit.standard_errors, fit.intervals(), fit.p)
    terms = [
        _term(name, value, error, (lower, upper), p, WALD)
        for name, value, error, (lower, upper), p in zip(*columns, strict=True)
    ]
    return RawLogistic(terms, fit.n, fit.events, None)


def _firth(x: Floats, labels: Floats, names: Sequence[str]) -> RawLogistic:
    fit = firth_logistic(x, labels)
    terms = [
        _term(name, term.coefficient, term.standard_error, (term.lower, term.upper), term.p, FIRTH)
        for name, term in zip(names, fit.terms, strict=True)
    ]
    infinite = [name for name, at_infinity in zip(names, separated(x, labels), strict=True) if at_infinity]
    which = f"{', '.join(infinite)} tell the classes apart" if infinite else "the likelihood is flat"
    condition = Condition("separation", "logistic regression", f"{which}; {FIRTH}")
    return RawLogistic(terms, fit.n, fit.events, condition)


def _term(
    name: str,
    value: float,
    error: float,
    limits: tuple[float | None, float | None],
    p: float | None,
    method: str,
) -> LogisticTerm:
    odds, lower, upper = (exponential(one) for one in (value, *limits))
    if odds is None:
        raise AnalysisError("logistic regression", f"has an odds ratio of {name} too large to write", "Rescale it.")
    return LogisticTerm(
        name, float(value), float(error), odds, lower, upper, None if p is None else float(p), method
    )
