"""Unpenalised logistic regression with its standard errors (statsmodels), as R's glm gives it."""

import warnings
from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import CollinearityError, SeparationError
from hccfeat.stats.estimate import Z, binary_labels, finite

LARGEST_STANDARD_ERROR = 10.0
"""Of a coefficient per SD; beyond it the data are separated and the maximum lies at infinity."""


@dataclass(frozen=True)
class LogisticFit:
    """Maximum-likelihood fit; arrays hold the intercept first, then one entry per covariate."""

    terms: tuple[str, ...]
    coefficients: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    p: NDArray[np.float64]
    log_likelihood: float
    aic: float
    n: int
    events: int

    def intervals(self) -> NDArray[np.float64]:
        """Wald 95 % limits of the coefficients, (terms, 2)."""
        half = Z * self.standard_errors
        return np.column_stack([self.coefficients - half, self.coefficients + half])

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of the event for rows (n, covariates)."""
        linear = self.coefficients[0] + np.asarray(x, dtype=np.float64) @ self.coefficients[1:]
        return np.asarray(0.5 * (1 + np.tanh(0.5 * linear)))


def logistic(x: ArrayLike, labels: ArrayLike, names: list[str]) -> LogisticFit:
    """Fit a logistic regression by maximum likelihood on raw covariates.

    Parameters
    ----------
    x : array (n, covariates)
        Complete, unscaled.
    labels : array of 0/1 (n,)
        Event.
    names : list of str
        One per column of ``x``.

    Raises
    ------
    AnalysisError
        If one class is missing or there are too few patients.
    CollinearityError
        If columns are constant or collinear.
    SeparationError
        If the covariates separate the classes, so that no finite maximum exists;
        :func:`hccfeat.stats.firth.firth_logistic` gives an estimate then.
    """
    matrix, y = finite(x, "indicators"), binary_labels(labels)
    design = sm.add_constant(matrix, has_constant="add")
    _check(design, y)
    scale = np.append(1.0, matrix.std(axis=0))
    # Standardised columns keep the iterations well conditioned; the estimates are scaled back below.
    centre = matrix.mean(axis=0)
    scaled = np.column_stack([np.ones(len(y)), (matrix - centre) / scale[1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            fitted = sm.GLM(y.astype(float), scaled, family=sm.families.Binomial()).fit(tol=1e-12, maxiter=100)
        except (PerfectSeparationWarning, ConvergenceWarning, np.linalg.LinAlgError) as error:
            raise _separated() from error
    if not np.isfinite(fitted.bse).all() or fitted.bse.max() > LARGEST_STANDARD_ERROR:
        raise _separated()
    back = np.diag(1.0 / scale)
    back[0, 1:] = -centre / scale[1:]
    coefficients = back @ fitted.params
    covariance = back @ fitted.cov_params() @ back.T
    errors = np.sqrt(np.diag(covariance))
    return LogisticFit(
        terms=("(Intercept)", *names),
        coefficients=coefficients,
        standard_errors=errors,
        p=_two_sided(coefficients / errors),
        log_likelihood=float(fitted.llf),
        aic=float(2 * len(coefficients) - 2 * fitted.llf),
        n=len(y),
        events=int(y.sum()),
    )


def _two_sided(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2 * norm.sf(np.abs(z)))


def _check(design: NDArray[np.float64], y: NDArray[np.bool_]) -> None:
    if y.all() or not y.any():
        raise AnalysisError("logistic regression", "sees patients of one class only", "Choose another endpoint.")
    if len(y) <= design.shape[1]:
        raise AnalysisError(
            "logistic regression",
            f"has {len(y)} patients for {design.shape[1]} parameters",
            "Use fewer indicators or more patients.",
        )
    if np.linalg.matrix_rank(design) < design.shape[1]:
        problem = "has constant or collinear indicators"
        raise CollinearityError("logistic regression", problem, "Leave one of them out.")


def _separated() -> SeparationError:
    return SeparationError(
        "logistic regression",
        "has no finite maximum-likelihood estimate (the indicators separate the classes)",
        "Use fewer indicators or more patients.",
    )
