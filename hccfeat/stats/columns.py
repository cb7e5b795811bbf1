"""Which columns of a matrix of covariates a regression can take."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def constant(values: NDArray[np.float64]) -> bool:
    """Whether a column does not vary; a spread that is rounding noise beside the values themselves is no spread."""
    return bool(values.std() <= 1e-12 * np.abs(values).max(initial=0.0))


def independent_columns(matrix: NDArray[np.float64], names: Sequence[str]) -> tuple[list[int], dict[str, str]]:
    """Columns that vary and are no linear combination of those before them.

    Parameters
    ----------
    matrix : ndarray of float64 (n, p)
        Complete covariates.
    names : sequence of str
        One per column.

    Returns
    -------
    (list of int, dict)
        The columns kept, and the reason of each one left out by name.
    """
    kept: list[int] = []
    left_out: dict[str, str] = {}
    basis = np.empty((len(matrix), 0))
    for column, name in enumerate(names):
        values = matrix[:, column]
        if constant(values):
            left_out[name] = "constant"
            continue
        unit = (values - values.mean()) / (values.std() * np.sqrt(len(values)))
        rest = unit - basis @ (basis.T @ unit)
        rest -= basis @ (basis.T @ rest)
        # The square of this is the smallest eigenvalue of the correlations that a fit accepts.
        if np.linalg.norm(rest) < 1e-6:
            left_out[name] = "a linear combination of the covariates before it"
            continue
        basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
        kept.append(column)
    return kept, left_out
