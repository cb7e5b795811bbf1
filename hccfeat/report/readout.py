"""What the page's script reads out of a figure: where the axes lie in the drawing, and the numbers drawn."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Reading = Literal["step", "point", "bin"]
DECIMALS = 4


@dataclass(frozen=True)
class Series:
    """One curve or histogram; arrays (k,), for a histogram ``x`` holds the edges (k + 1,).

    ``lower``, ``upper`` are its limits; ``extra`` are further numbers of each point under the name they are read
    out with, and whether the next point's is meant (who is at risk at x, is counted just before the next time).
    ``model`` is the number of the model that the series belongs to, None where it belongs to none.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    lower: NDArray[Any] | None = None
    upper: NDArray[Any] | None = None
    extra: tuple[tuple[str, NDArray[Any], bool], ...] = ()
    model: int | None = None
    colour: int = 0


@dataclass(frozen=True)
class Panel:
    """Axes of the figure with the numbers drawn there; series are counted through all panels."""

    axes: Axes
    series: Sequence[Series]
    title: str = ""


def readout(
    figure: Figure,
    panels: Sequence[Panel],
    *,
    x: str,
    y: str,
    reading: Reading,
    percent: bool = False,
    decimals: int | None = None,
) -> str:
    """Return the numbers of a figure as JSON for :func:`hccfeat.report.canvas.inline_svg`.

    Parameters
    ----------
    figure : Figure
        Finished: the axes' places and limits are read from it.
    panels : sequence of Panel
        All with the same limits of x.
    x, y : str
        Names of the axes.
    reading : {"step", "point", "bin"}
        The value at x: of the last step, of the nearest point, or of the bin around x.
    percent : bool
        Read y out in per cent.
    decimals : int
        Decimals of y that are read out; by default 3, or 1 in per cent.
    """
    width, height = figure.get_size_inches() * 72
    found = []
    packed = _without_repeats([_series(one) for panel in panels for one in panel.series])
    for panel in panels:
        box = panel.axes.get_position()
        corners = (box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height)
        found.append(
            {
                "t": panel.title,
                "b": [round(float(corner), 1) for corner in corners],
                "l": [round(float(limit), DECIMALS) for limit in (*panel.axes.get_xlim(), *panel.axes.get_ylim())],
                "s": [next(packed) for _ in panel.series],
            }
        )
    shown = decimals if decimals is not None else 1 if percent else 3
    kind = {"x": x, "y": y, "k": reading, "d": shown, "pc": int(percent)}
    return json.dumps(kind | {"p": found}, separators=(",", ":"), ensure_ascii=False)


def _series(one: Series) -> dict[str, Any]:
    known: dict[str, Any] = {"n": one.name, "c": one.colour, "x": _packed(one.x), "y": _packed(one.y)}
    if one.lower is not None and one.upper is not None:
        known |= {"lo": _packed(one.lower), "hi": _packed(one.upper)}
    if one.extra:
        known["e"] = [[name, _packed(values), int(ahead)] for name, values, ahead in one.extra]
    if one.model is not None:
        known["m"] = one.model
    return known


def _without_repeats(series: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Leave out the x of a series where it is that of the series before."""
    last = None
    for one in series:
        yield {name: value for name, value in one.items() if name != "x" or value != last}
        last = one["x"]


def _packed(values: NDArray[Any]) -> str:
    """Numbers with a blank between them, without what does not change their reading; a dash for none."""
    return " ".join(_short(float(value)) for value in values)


def _short(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return {"-0": "0"}.get(text, text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text)
