"""Local linear regression with a pointwise band: the calibration curve of a figure."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Z, finite, same_length

Floats = NDArray[np.float64]


def local_linear(x: ArrayLike, y: ArrayLike, at: ArrayLike, span: float) -> tuple[Floats, Floats, Floats]:
    """Smooth y over x by tricube-weighted local lines (Cleveland 1979), with a pointwise 95 % band.

    The values equal ``lowess(iter = 0, delta = 0)`` of R. The smoother is linear in y, so its variance is the sum
    of squared weights times squared residuals.

    Parameters
    ----------
    x, y : array (n,)
        At least four different values of x.
    at : array (k,)
        Where to smooth, inside the range of x.
    span : float
        Share of the points that each line sees.

    Returns
    -------
    (ndarray (k,), ndarray (k,), ndarray (k,))
        Smoothed values, lower and upper limits.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or x has fewer than four different values.
    """
    xs, ys, where = finite(x, "x"), finite(y, "y"), finite(at, "at")
    same_length(x=xs, y=ys)
    if len(np.unique(xs)) < 4:
        raise AnalysisError(
            "calibration curve", "has fewer than four different predictions", "Judge more patients."
        )
    near = min(max(int(span * len(xs) + 1e-7), 2), len(xs))
    residuals = ys - _weights(xs, xs, near) @ ys
    weights = _weights(xs, where, near)
    value = weights @ ys
    half = Z * np.sqrt(weights**2 @ residuals**2)
    return value, value - half, value + half


def _weights(x: Floats, at: Floats, near: int) -> Floats:
    """Weight of each point (n) in the local line at each place (k, n); rows add up to one."""
    distance = np.abs(x - at[:, None])
    width = np.partition(distance, near - 1, axis=1)[:, near - 1, None]
    share = np.divide(distance, width, out=(distance > 0).astype(np.float64), where=width > 0)
    kernel = np.where(share < 0.999, (1 - np.minimum(share, 1.0) ** 3) ** 3, 0.0)
    # Where all near points are equally far away, they count alike.
    kernel = np.where(kernel.any(axis=1, keepdims=True), kernel, distance <= width)
    kernel /= kernel.sum(axis=1, keepdims=True)
    centre = (kernel * x).sum(axis=1, keepdims=True)
    spread = (kernel * (x - centre) ** 2).sum(axis=1, keepdims=True)
    # Where all points that count are at one place, the line is flat.
    sloped = np.sqrt(spread) > 0.001 * np.ptp(x)
    slope = np.divide(at[:, None] - centre, spread, out=np.zeros_like(spread), where=sloped)
    return np.asarray(kernel * (1 + slope * (x - centre)))
