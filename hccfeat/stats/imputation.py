"""Pooling over multiply imputed data: Rubin's rules for estimates, D3 for likelihood ratios."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import CONFIDENCE, finite

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """Estimates pooled over m imputations; arrays (p,) have one entry per parameter.

    Attributes
    ----------
    estimates, standard_errors, lower, upper, p : ndarray of float64
        Pooled estimates, total standard errors, t limits (95 %) and t tests against zero.
    degrees : ndarray of float64
        Degrees of freedom of the t distribution.
    missing_information : ndarray of float64
        Share of the total variance that is between imputations, (1 + 1/m) B / T.
    covariance : ndarray of float64 (p, p)
        Total covariance.
    """

    estimates: Floats
    standard_errors: Floats
    lower: Floats
    upper: Floats
    p: Floats
    degrees: Floats
    missing_information: Floats
    covariance: Floats


@dataclass(frozen=True)
class PooledTest:
    """A pooled likelihood-ratio test: an F statistic, its degrees of freedom and its P."""

    f: float
    df: int
    residual_df: float
    p: float


def rubin(estimates: ArrayLike, covariances: ArrayLike, complete_df: float = np.inf) -> Pooled:
    """Pool estimates by Rubin's rules (1987), with Barnard and Rubin's degrees of freedom (1999); ``mice::pool``.

    Parameters
    ----------
    estimates : array (m, p)
        One row per imputed data set, m at least 2.
    covariances : array (m, p, p)
        Covariance of each row.
    complete_df : float
        Residual degrees of freedom with complete data; infinite for Cox and logistic regression.

    Raises
    ------
    AnalysisError
        If the shapes do not fit or there are fewer than two imputations.
    """
    q, u = finite(estimates, "estimates"), finite(covariances, "covariances")
    if q.ndim != 2 or len(q) < 2 or u.shape != (*q.shape, q.shape[1]):
        problem = f"have shapes {q.shape} and {u.shape}"
        raise AnalysisError("imputed estimates", problem, "Give (m, p) and (m, p, p), m at least 2.")
    m = len(q)
    pooled, within = q.mean(axis=0), u.mean(axis=0)
    between = np.atleast_2d(np.cov(q, rowvar=False))
    total = within + (1 + 1 / m) * between
    variance = np.diag(total)
    share = (1 + 1 / m) * np.diag(between) / variance
    with np.errstate(divide="ignore", invalid="ignore"):
        old = (m - 1) / share**2
        observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
        degrees = (
            old if np.isinf(complete_df) else np.where(np.isinf(old), observed, old * observed / (old + observed))
        )
    error = np.sqrt(variance)
    half = t_distribution.ppf(0.5 + CONFIDENCE / 2, degrees) * error
    p = 2 * t_distribution.sf(np.abs(pooled) / error, degrees)
    return Pooled(pooled, error, pooled - half, pooled + half, p, degrees, share, total)


def d3(at_own: ArrayLike, at_pooled: ArrayLike, df: int) -> PooledTest:
    """Pool likelihood-ratio tests (Meng and Rubin 1992).

    Parameters
    ----------
    at_own : array (m,)
        Likelihood-ratio chi-square of each imputed data set, at its own estimates.
    at_pooled : array (m,)
        The same with both models at the estimates averaged over the data sets.
    df : int
        Parameters that the test sets to zero.

    Raises
    ------
    AnalysisError
        If there are fewer than two imputations, the arrays differ in length, or ``df`` is below 1.
    """
    own, pooled = finite(at_own, "likelihood ratios"), finite(at_pooled, "likelihood ratios")
    m = len(own)
    if m < 2 or own.shape != pooled.shape or df < 1:
        problem = "needs two imputations or more, a pair of likelihood ratios each, and a parameter"
        raise AnalysisError("D3", problem, "Give one value of each kind per imputation.")
    # Rounding may turn the increase of variance slightly negative where the data sets agree.
    increase = max((m + 1) / (df * (m - 1)) * float(own.mean() - pooled.mean()), 0.0)
    statistic = max(float(pooled.mean()), 0.0) / (df * (1 + increase))
    t = df * (m - 1)
    if increase == 0:
        residual = np.inf
    elif t > 4:
        residual = 4 + (t - 4) * (1 + (1 - 2 / t) / increase) ** 2
    else:
        residual = t * (1 + 1 / df) * (1 + 1 / increase) ** 2 / 2
    p = float(f_distribution.sf(statistic, df, min(residual, 1e12)))
    return PooledTest(statistic, df, float(residual), p)
