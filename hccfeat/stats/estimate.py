"""A number with its interval, and the checks that every statistic makes of its input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from hccfeat.errors import AnalysisError

CONFIDENCE = 0.95
Z = float(norm.ppf(0.5 + CONFIDENCE / 2))
"""Normal quantile of a two-sided 95 % interval."""
NO_ERROR = 1e-12
"""A standard error or spread below this is rounding: it says nothing about the uncertainty."""


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval, and where it comes from.

    ``value``, ``lower`` and ``upper`` are None where they cannot be had; ``method`` then says why.
    """

    value: float | None
    lower: float | None
    upper: float | None
    n: int
    events: int
    method: str
    standard_error: float | None = None


def count(n: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 event``, ``2 events``."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def binary_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """Check that labels are 0 and 1 and return them as booleans (n,).

    Raises
    ------
    AnalysisError
        If anything else occurs, missing values included.
    """
    values = np.asarray(labels)
    if values.ndim != 1 or not ((values == 0) | (values == 1)).all():
        raise AnalysisError("labels", "are not all 0 or 1", "Leave out patients without a label first.")
    return values.astype(bool)


def exponential(coefficient: float | None) -> float | None:
    """A hazard or odds ratio of its logarithm; None where that is missing, or the ratio too large for a number."""
    if coefficient is None:
        return None
    with np.errstate(over="ignore"):
        ratio = float(np.exp(coefficient))
    return ratio if np.isfinite(ratio) else None


def finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Check that values are finite numbers and return them as float64.

    Raises
    ------
    AnalysisError
        If one is missing, NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise AnalysisError(name, "holds missing or infinite numbers", "Impute or leave out these patients first.")
    return array


def same_length(**arrays: NDArray) -> None:
    """Check that the named arrays are equally long.

    Raises
    ------
    AnalysisError
        If they are not.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise AnalysisError(", ".join(lengths), f"differ in length {lengths}", "Give one value per patient.")


def checked_survival(time: ArrayLike, event: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Times as finite positive or zero float64 and events as booleans, of equal length.

    Raises
    ------
    AnalysisError
        If a time is missing or negative, or an event is not 0/1.
    """
    t, e = finite(time, "time"), binary_labels(event)
    same_length(time=t, event=e)
    if (t < 0).any():
        raise AnalysisError("time", "is negative for some patients", "Correct the outcome table.")
    return t, e
