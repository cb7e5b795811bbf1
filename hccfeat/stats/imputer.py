"""Multiple imputation from a joint normal distribution whose parameters are drawn from their posterior.

Data augmentation (Tanner and Wong 1987; Schafer 1997, chapter 5; R's package ``norm``): parameters are drawn given
the completed rows, then the missing values given the parameters, in turn. Each conditional distribution is the
linear regression on all other columns that chained equations with posterior draws use. A flag or a rank is imputed
by a number that need be no level of it: rounding would bias what is estimated from it (Horton, Lipsitz and Parzen
2003).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError

Floats = NDArray[np.float64]

ITERATIONS = 30
"""Of each chain: it forgets its start at the rate of the missing information, and 0.8 ** 30 is 0.001."""
PRIOR = 1e-3
"""Sum of squares, in squared SDs, that the prior adds to each column, so that collinear columns can be inverted."""


@dataclass(frozen=True)
class Imputer:
    """Draws of the joint distribution of d columns, one per imputation.

    Attributes
    ----------
    means : ndarray of float64 (m, d)
        In units of ``centre`` and ``scale``.
    covariances : ndarray of float64 (m, d, d)
        In the same units.
    centre, scale : ndarray of float64 (d,)
        Mean and SD of the known values.
    completed : ndarray of float64 (m, n, d)
        The rows it was fitted on; known values are as they were.
    """

    means: Floats
    covariances: Floats
    centre: Floats
    scale: Floats
    completed: Floats

    def impute(self, rows: ArrayLike, seed: int) -> Floats:
        """Complete further rows (k, d) under each draw of the parameters, which are not changed by them.

        Parameters
        ----------
        rows : array (k, d)
            NaN where missing. A column that is not to be used, such as an outcome, is missing throughout.
        seed : int
            Of the draws.

        Returns
        -------
        ndarray of float64 (m, k, d)
        """
        values = _matrix(rows, self.means.shape[1])
        standard = (values - self.centre) / self.scale
        found = np.repeat(standard[None], len(self.means), axis=0)
        _draw_missing(found, _patterns(standard), self.means, self.covariances, np.random.default_rng(seed))
        return _restored(found, values, self.centre, self.scale)


def fit_imputer(rows: ArrayLike, *, imputations: int, seed: int, iterations: int = ITERATIONS) -> Imputer:
    """Complete rows several times, and keep the distributions that did it.

    Parameters
    ----------
    rows : array (n, d)
        NaN where missing; covariates, and outcomes where these are to inform them.
    imputations : int
        Chains, each with its own start, m.
    seed : int
        Of all draws.
    iterations : int
        Of each chain.

    Raises
    ------
    AnalysisError
        If a column has no two different values, or there are not more rows than columns.
    """
    values = _matrix(rows)
    n, d = values.shape
    known = ~np.isnan(values)
    if not d or n <= d + 1 or (known.sum(axis=0) < 2).any():
        problem = f"has {n} patients for {d} columns, or a column that is hardly known"
        raise AnalysisError("multiple imputation", problem, "Use fewer columns or more patients.")
    centre, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    if (scale <= 1e-12 * np.abs(np.where(known, values, 0.0)).max(axis=0)).any():
        raise AnalysisError("multiple imputation", "has a constant column", "Leave it out.")
    standard = (values - centre) / scale
    generator = np.random.default_rng(seed)
    found = np.repeat(standard[None], imputations, axis=0)
    found[:, ~known] = generator.normal(size=(imputations, int((~known).sum())))
    patterns = _patterns(standard)
    for _ in range(iterations if patterns else 1):
        means, covariances = _draw_parameters(found, generator)
        _draw_missing(found, patterns, means, covariances, generator)
    return Imputer(means, covariances, centre, scale, _restored(found, values, centre, scale))


def _matrix(rows: ArrayLike, columns: int | None = None) -> Floats:
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2 or np.isinf(values).any() or columns not in (None, values.shape[1]):
        problem = f"sees an array of shape {values.shape} for {columns or 'some'} columns, or infinite numbers"
        raise AnalysisError("multiple imputation", problem, "Give one row per patient, NaN where missing.")
    return values


def _restored(found: Floats, values: Floats, centre: Floats, scale: Floats) -> Floats:
    """Completed rows (m, n, d) in their units; what was known keeps its last digit."""
    return np.where(np.isnan(values), found * scale + centre, values)


def _patterns(standard: Floats) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Rows, known and missing columns of each pattern of missing values."""
    missing = np.isnan(standard)
    kinds, which = np.unique(missing, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(which.ravel() == k), np.flatnonzero(~kind), np.flatnonzero(kind))
        for k, kind in enumerate(kinds)
        if kind.any()
    ]


def _draw_parameters(found: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Means (m, d) and covariances (m, d, d) from their posterior given completed rows (m, n, d).

    Inverse Wishart by Bartlett's decomposition: with S = LL' and A lower triangular, chi on its diagonal and normal
    below, (LA^-T)(LA^-T)' is a draw.
    """
    m, n, d = found.shape
    mean = found.mean(axis=1)
    rest = found - mean[:, None]
    root = np.linalg.cholesky(rest.transpose(0, 2, 1) @ rest + PRIOR * np.eye(d))
    bartlett = np.tril(generator.normal(size=(m, d, d)), -1)
    degrees = n - 1 - np.arange(d)
    bartlett[:, np.arange(d), np.arange(d)] = np.sqrt(generator.chisquare(degrees, size=(m, d)))
    factor = np.linalg.solve(bartlett, root.transpose(0, 2, 1)).transpose(0, 2, 1)
    shift = factor @ generator.normal(size=(m, d, 1)) / np.sqrt(n)
    return mean + shift[..., 0], factor @ factor.transpose(0, 2, 1)


def _draw_missing(
    found: Floats,
    patterns: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
    means: Floats,
    covariances: Floats,
    generator: np.random.Generator,
) -> None:
    """Replace the missing values of standardised rows (m, n, d), in place, by draws given the known ones."""
    for rows, known, missing in patterns:
        among = covariances[:, missing[:, None], known]
        slopes = np.linalg.solve(covariances[:, known[:, None], known], among.transpose(0, 2, 1))
        spread = covariances[:, missing[:, None], missing] - among @ slopes
        distance = found[:, rows[:, None], known] - means[:, None, known]
        noise = generator.normal(size=(len(means), len(rows), len(missing)))
        noise = noise @ np.linalg.cholesky(spread).transpose(0, 2, 1)
        found[:, rows[:, None], missing] = means[:, None, missing] + distance @ slopes + noise
