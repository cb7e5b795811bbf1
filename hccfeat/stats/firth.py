"""Firth's estimates, finite where covariates separate the events, with profile-likelihood intervals and P."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from firthmodels import FirthCoxPH, FirthLogisticRegression, detect_separation
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import one_class
from hccfeat.stats.estimate import CONFIDENCE, binary_labels, checked_survival, finite, same_length

TIES = "breslow"
"""Of Firth's Cox regression, as in R's ``coxphf``; Efron's is not available."""
PRECISION = 1e-6
"""Per SD. Below it the rounding of the likelihood stops the search in a few data sets in a hundred."""
ITERATIONS = 200


@dataclass(frozen=True)
class FirthTerm:
    """One coefficient: log odds or log hazard ratio per unit.

    ``lower`` and ``upper`` are profile-likelihood 95 % limits and ``p`` is of the penalised likelihood-ratio
    test; None where the search for them did not converge. The Wald error is not to be tested with.
    """

    coefficient: float
    standard_error: float
    lower: float | None
    upper: float | None
    p: float | None


@dataclass(frozen=True)
class FirthFit:
    """A penalised fit; ``ties`` is empty and ``intercept`` a number for logistic regression."""

    terms: tuple[FirthTerm, ...]
    intercept: float | None
    n: int
    events: int
    ties: str


def firth_logistic(x: ArrayLike, labels: ArrayLike) -> FirthFit:
    """Logistic regression with Firth's penalty (Firth 1993; Heinze and Schemper 2002); R's ``logistf``.

    Parameters
    ----------
    x : array (n, p) or (n,)
        Complete covariates, unscaled.
    labels : array of 0/1 (n,)
        Event.

    Raises
    ------
    AnalysisError
        If one class is missing, covariates are constant or collinear, or the fit does not converge.
    """
    y = binary_labels(labels)
    standard, centre, scale = _standardised(x, len(y))
    if reason := one_class(y):
        raise AnalysisError(
            "Firth's logistic regression", f"has one class only: {reason}", "Choose another endpoint."
        )
    model = FirthLogisticRegression(backend="numpy", max_iter=ITERATIONS, gtol=PRECISION, xtol=PRECISION)
    terms = _fitted(model, standard, y.astype(int), scale)
    intercept = float(model.intercept_) - sum(
        term.coefficient * float(mean) for term, mean in zip(terms, centre, strict=True)
    )
    return FirthFit(terms, intercept, len(y), int(y.sum()), "")


def firth_cox(time: ArrayLike, event: ArrayLike, x: ArrayLike) -> FirthFit:
    """Cox regression with Firth's penalty and Breslow's ties (Heinze and Schemper 2001); R's ``coxphf``.

    Parameters
    ----------
    time, event : array (n,)
        Times, and 0/1.
    x : array (n, p) or (n,)
        Complete covariates, unscaled.

    Raises
    ------
    AnalysisError
        If there is no event, covariates are constant or collinear, or the fit does not converge.
    """
    t, e = checked_survival(time, event)
    standard, _, scale = _standardised(x, len(t))
    if not e.any():
        raise AnalysisError("Firth's Cox regression", "has no events", "Choose another endpoint.")
    model = FirthCoxPH(backend="numpy", max_iter=ITERATIONS, gtol=PRECISION, xtol=PRECISION)
    terms = _fitted(model, standard, (e, t), scale)
    return FirthFit(terms, None, len(t), int(e.sum()), TIES)


def separated(x: ArrayLike, labels: ArrayLike) -> tuple[bool, ...]:
    """Which coefficients of a logistic regression have no finite maximum-likelihood estimate (Konis 2007).

    Parameters
    ----------
    x : array (n, p) or (n,)
        Complete covariates.
    labels : array of 0/1 (n,)
        Event.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or covariates are constant or collinear.
    """
    y = binary_labels(labels)
    standard, _, _ = _standardised(x, len(y))
    if one_class(y):
        return (True,) * standard.shape[1]
    found = detect_separation(standard, y.astype(int)).is_finite
    return tuple(not bool(known) for known in found[: standard.shape[1]])


def _standardised(x: ArrayLike, n: int) -> tuple[NDArray, NDArray, NDArray]:
    """Covariates per SD (n, p), their means and SDs; the penalty does not depend on the units."""
    matrix = finite(x, "covariates")
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    same_length(covariates=matrix, outcome=np.empty(n))
    centre, scale = matrix.mean(axis=0), matrix.std(axis=0)
    constant = not matrix.shape[1] or (scale <= 1e-12 * np.abs(matrix).max(axis=0, initial=0.0)).any()
    if constant or np.linalg.matrix_rank(matrix - centre) < matrix.shape[1]:
        raise AnalysisError("Firth's regression", "has constant or collinear covariates", "Leave one of them out.")
    return (matrix - centre) / scale, centre, scale


def _fitted(
    model: FirthCoxPH | FirthLogisticRegression, x: NDArray, outcome: Any, scale: NDArray
) -> tuple[FirthTerm, ...]:
    with warnings.catch_warnings():
        # A search that fails leaves NaN, which becomes None below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            model.fit(x, outcome)
        except np.linalg.LinAlgError as error:
            raise _diverged() from error
        if not model.converged_:
            raise _diverged()
        found = [_searched(model, k) for k in range(x.shape[1])]
    return tuple(
        FirthTerm(float(b / s), float(e / s), _known(lower / s), _known(upper / s), _known(p))
        # The errors of a logistic model end in that of its intercept.
        for b, e, s, (lower, upper, p) in zip(model.coef_, model.bse_[: len(scale)], scale, found, strict=True)
    )


def _searched(model: FirthCoxPH | FirthLogisticRegression, column: int) -> tuple[float, float, float]:
    """Profile-likelihood limits and P of one coefficient per SD; NaN where their search fails or runs away."""
    lower = upper = float("nan")
    with suppress(np.linalg.LinAlgError):
        # Where rounding stops the search a coarser one finds the same P; a P that is there is kept.
        model.set_params(gtol=PRECISION).lrt([column])
        model.set_params(gtol=10 * PRECISION).lrt([column])
    with suppress(np.linalg.LinAlgError):
        limits = model.conf_int(
            alpha=1 - CONFIDENCE, method="pl", features=[column], max_iter=ITERATIONS, tol=PRECISION
        )
        lower, upper = limits[column]
    return float(lower), float(upper), float(model.lrt_pvalues_[column])


def _diverged() -> AnalysisError:
    return AnalysisError("Firth's regression", "did not converge", "Use fewer covariates or more patients.")


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
