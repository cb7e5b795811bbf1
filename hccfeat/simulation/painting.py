"""Drawing many small ellipses into a map at once."""

import numpy as np

from hccfeat.simulation.cells import Ellipses

_CHUNK_PIXELS = 2_000_000


def enlarge(grid: np.ndarray, pixels: int, grid_um: float, mpp: float, *, centred: bool = False) -> np.ndarray:
    """Linear interpolation of a map to a square of ``pixels``, float32 (pixels, pixels).

    The map's values lie ``grid_um`` apart, the first on the corner of the field or, if ``centred`` (as pixels are),
    half a step inside it.
    """
    place = (np.arange(pixels) + 0.5) * mpp / grid_um - (0.5 if centred else 0.0)
    place = np.clip(place, 0, grid.shape[0] - 1)
    low = np.minimum(place.astype(np.int64), grid.shape[0] - 2)
    share = (place - low).astype(np.float32)
    grid = grid.astype(np.float32)
    rows = grid[low] * (1 - share)[:, None] + grid[low + 1] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share


def stamp(canvas: np.ndarray, shapes: Ellipses, mpp: float, *, rim: float = 0.0, ragged: float = 0.0) -> None:
    """Draw ellipses with soft edges into ``canvas`` (float32, (H, W)), keeping the larger value where they meet.

    Parameters
    ----------
    rim : float
        How much paler the centre is than the edge, 0 to 1.
    ragged : float
        Three-lobed deviation of the outline from an ellipse, as a share of the radius.
    """
    order = np.argsort(shapes.long, kind="stable")
    start = 0
    while start < order.size:
        count = 1
        while start + count < order.size and count < 2048:
            side = 2 * _reach(shapes.long[order[start + count]], mpp) + 1
            if (count + 1) * side**2 > _CHUNK_PIXELS:
                break
            count += 1
        _stamp_chunk(canvas, shapes, order[start : start + count], mpp, rim, ragged)
        start += count


def _reach(long_um: float, mpp: float) -> int:
    return int(np.ceil(1.15 * long_um / mpp)) + 1


def _stamp_chunk(
    canvas: np.ndarray, shapes: Ellipses, index: np.ndarray, mpp: float, rim: float, ragged: float
) -> None:
    reach = _reach(float(shapes.long[index].max()), mpp)
    offset = np.arange(-reach, reach + 1, dtype=np.float32)
    x, y = shapes.x[index] / mpp - 0.5, shapes.y[index] / mpp - 0.5
    column, row = np.round(x).astype(np.int64), np.round(y).astype(np.int64)
    dx = (offset[None, :] - (x - column)[:, None].astype(np.float32))[:, None, :]
    dy = (offset[None, :] - (y - row)[:, None].astype(np.float32))[:, :, None]
    cos, sin = (f(shapes.angle[index]).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    long, short = ((v[index] / mpp).astype(np.float32)[:, None, None] for v in (shapes.long, shapes.short))
    u, v = (cos * dx + sin * dy) / long, (cos * dy - sin * dx) / short
    radius2 = u * u + v * v
    radius = np.sqrt(radius2)
    if ragged:
        radius = radius * (1 + ragged * u * (u * u - 3 * v * v) / (radius2 * radius + 0.2))
    value = np.clip((1 - radius) * np.sqrt(long * short) + 0.5, 0, 1)
    if rim:
        value *= 1 - rim + rim * np.minimum(radius2, 1)
    value *= shapes.weight[index].astype(np.float32)[:, None, None]
    rows, columns = row[:, None] + np.arange(-reach, reach + 1), column[:, None] + np.arange(-reach, reach + 1)
    rows, columns = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
    height, width = canvas.shape
    inside = (value > 0) & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    np.maximum.at(canvas.reshape(-1), rows[inside] * width + columns[inside], value[inside])
