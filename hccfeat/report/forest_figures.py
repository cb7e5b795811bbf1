"""Estimates one below the other with their 95 % intervals: hazard ratios, and differences between models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from hccfeat.analysis.results import HazardRatio
from hccfeat.report.canvas import FAINT, PALETTE, drawing, inline_svg, new_figure, watermark
from hccfeat.report.formatting import is_number, p_value, with_interval
from hccfeat.report.layout import SMALL, WIDTH, heading, wrapped


def forest_figure(
    key: str, rows: Sequence[tuple[str, HazardRatio | None]], *, title: str, simulated: bool
) -> Markup:
    """Draw hazard ratios with 95 % intervals on a log axis.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    rows : sequence of (label, HazardRatio or None)
        From top to bottom; None makes the label a heading. A ratio without a value prints a dash.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    """
    low, high = _ratio_limits([ratio for _, ratio in rows if ratio is not None])
    with drawing():
        figure, axes = _frame(len(rows), title, RATIOS)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.axvline(1, color=FAINT, linewidth=0.9)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(_ratio_ticks(low, high)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("Hazard ratio, log scale")
        _heads(axes, RATIOS, "HR (95 % CI)", "P")
        for y, (label, ratio) in enumerate(rows):
            if ratio is None:
                _row(axes, RATIOS, y, label)
                continue
            if is_number(ratio.hr) and ratio.hr is not None and ratio.hr > 0:
                _draw(axes, y, ratio.hr, ratio.lower, ratio.upper)
            _row(axes, RATIOS, y, label, with_interval(ratio.hr, ratio.lower, ratio.upper), p_value(ratio.p))
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(
            f"{label}: hazard ratio {with_interval(r.hr, r.lower, r.upper)}" for label, r in rows if r is not None
        )
        return inline_svg(figure, key, f"Hazard ratios, {title}", spoken)


@dataclass(frozen=True)
class DifferenceRow:
    """One row of :func:`difference_figure`; ``p`` is printed as it is."""

    label: str
    value: float | None
    lower: float | None
    upper: float | None
    p: str = ""


def difference_figure(
    key: str, rows: Sequence[DifferenceRow], *, title: str, axis: str, heads: tuple[str, str], simulated: bool
) -> Markup:
    """Draw differences with their 95 % intervals; on the line there is none.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    rows : sequence of DifferenceRow
        From top to bottom.
    title, axis : str
        Above the axes, and what the difference is of.
    heads : (str, str)
        Over the estimates and over the P values.
    simulated : bool
        Print the watermark.
    """
    values = [v for row in rows for v in (row.value, row.lower, row.upper) if is_number(v) and v is not None]
    reach = min(1.15 * max([abs(value) for value in values] + [0.05]), 1.0)
    with drawing():
        figure, axes = _frame(len(rows), title, DIFFERENCES)
        axes.set_xlim(-reach, reach)
        axes.axvline(0, color=FAINT, linewidth=0.9)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(axis)
        _heads(axes, DIFFERENCES, *heads)
        for y, row in enumerate(rows):
            if is_number(row.value) and row.value is not None:
                _draw(axes, y, row.value, row.lower, row.upper)
            _row(axes, DIFFERENCES, y, row.label, with_interval(row.value, row.lower, row.upper, 3), row.p)
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(f"{row.label}: {with_interval(row.value, row.lower, row.upper, 3)}" for row in rows)
        return inline_svg(figure, key, f"{axis}, {title}", spoken)


@dataclass(frozen=True)
class _Layout:
    """Where a forest plot's columns stand, as parts of its width; letters of its labels, height of a row."""

    left: float
    right: float
    estimate: float
    letters: int
    row: float


RATIOS = _Layout(left=0.315, right=0.64, estimate=0.66, letters=25, row=0.27)
DIFFERENCES = _Layout(left=0.37, right=0.575, estimate=0.60, letters=29, row=0.38)


def _frame(rows: int, title: str, layout: _Layout) -> tuple[Figure, Axes]:
    height = 1.15 + layout.row * rows
    figure = new_figure(WIDTH + 0.3, height)
    axes = figure.add_axes((layout.left, 0.58 / height, layout.right - layout.left, 1 - 1.02 / height))
    axes.set_ylim(rows - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_major_locator(NullLocator())
    heading(figure, title)
    return figure, axes


def _place(axes: Axes, part: float) -> float:
    """Return a part of the figure's width in the coordinates of the axes."""
    box = axes.get_position()
    return float((part - box.x0) / box.width)


def _side(axes: Axes) -> dict[str, Any]:
    return {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": SMALL, "clip_on": False}


def _heads(axes: Axes, layout: _Layout, estimate: str, p: str) -> None:
    above = -0.6 - 0.04 / layout.row
    axes.text(_place(axes, layout.estimate), above, estimate, **_side(axes), color=FAINT)
    axes.text(_place(axes, 0.99), above, p, **_side(axes), color=FAINT, ha="right")


def _row(axes: Axes, layout: _Layout, y: int, label: str, estimate: str = "", p: str = "") -> None:
    """Write a row's texts; without an estimate it is a heading."""
    weight = None if estimate else "bold"
    shown = wrapped(label, layout.letters if estimate else 60)
    axes.text(_place(axes, 0.02), y, shown, **_side(axes), weight=weight)
    if estimate:
        axes.text(_place(axes, layout.estimate), y, estimate, **_side(axes))
        axes.text(_place(axes, 0.99), y, p, **_side(axes), ha="right")


def _draw(axes: Axes, y: int, value: float, lower: float | None, upper: float | None) -> None:
    low, high = axes.get_xlim()
    below = value if lower is None or np.isnan(lower) else lower
    above = value if upper is None or np.isnan(upper) else upper
    axes.plot(np.clip([below, above], low, high), [y, y], color=PALETTE[0], linewidth=1.6, solid_capstyle="butt")
    for outside, x, marker in ((below < low, low, "<"), (above > high, high, ">")):
        if outside:
            axes.plot([x], [y], marker=marker, color=PALETTE[0], markersize=5, clip_on=False)
    if low <= value <= high:
        axes.plot([value], [y], marker="s", color=PALETTE[0], markersize=5.5)


def _ratio_limits(ratios: Sequence[HazardRatio]) -> tuple[float, float]:
    values = [v for r in ratios for v in (r.hr, r.lower, r.upper) if is_number(v) and v is not None and v > 0]
    low = max(min([*values, 0.7]) / 1.15, 0.05)
    high = min(max([*values, 1.5]) * 1.15, 40.0)
    return min(low, 0.8), max(high, 1.3)


def _ratio_ticks(low: float, high: float) -> list[float]:
    wide = high / low > 40
    choice = (0.1, 0.25, 1, 4, 10, 40) if wide else (0.125, 0.25, 0.5, 1, 2, 4, 8)
    ticks = [tick for tick in choice if low <= tick <= high]
    return ticks if len(ticks) > 1 else [tick for tick in (0.5, 0.75, 1, 1.25, 1.5, 2) if low <= tick <= high]
