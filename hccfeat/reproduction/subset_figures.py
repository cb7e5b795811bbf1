"""Figures of the subset study: scores by subset, confusion matrices, maps of embeddings."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from hccfeat.report.canvas import (
    FAINT,
    INK,
    LINE_STYLES,
    PALETTE,
    drawing,
    inline_svg,
    new_figure,
    watermark,
)
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.threshold import Confusion

MARKERS = "osD^vP"


@dataclass(frozen=True)
class Line:
    """One line of a panel: a value per subset, None where there is none, with its limits."""

    label: str
    values: Sequence[float | None]
    lower: Sequence[float | None]
    upper: Sequence[float | None]


@dataclass(frozen=True)
class Panel:
    """One set of axes: a title and its lines."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Cloud:
    """Points of one panel of a map; ``note`` is printed in their place where there are none."""

    title: str
    points: NDArray[np.float64] | None
    relapsed: NDArray[np.bool_]
    note: str = ""


def line_of(label: str, estimates: Sequence[Estimate | None]) -> Line:
    """A line of estimates; None where a cell was not run."""
    return Line(
        label,
        [None if e is None else e.value for e in estimates],
        [None if e is None else e.lower for e in estimates],
        [None if e is None else e.upper for e in estimates],
    )


def subset_figure(
    key: str,
    panels: Sequence[Panel],
    subsets: Sequence[str],
    *,
    title: str,
    ylabel: str,
    simulated: bool,
    limits: tuple[float, float] | None = None,
    chance: float | None = None,
) -> Markup:
    """Draw scores against the training subset, one panel per level, with 95 % intervals.

    Parameters
    ----------
    key : str
        HTML id.
    panels : sequence of Panel
        Side by side; a line has one value per subset.
    subsets : sequence of str
        Names along the axis.
    title, ylabel : str
        Of the figure and of the first panel.
    simulated : bool
        Print the watermark.
    limits : (float, float), optional
        Of the vertical axis.
    chance : float, optional
        Where a dotted line is drawn.
    """
    with drawing():
        figure = new_figure(4.3 * len(panels), 3.9)
        for place, panel in enumerate(panels):
            left, width = (place + 0.135) / len(panels), 0.845 / len(panels)
            axes = figure.add_axes((left, 0.125, width, 0.70))
            _draw_lines(axes, panel, chance)
            axes.set_xlim(-0.5, len(subsets) - 0.5)
            axes.set_xticks(range(len(subsets)), subsets)
            axes.set_title(panel.title, fontsize=10)
            axes.set_xlabel("Subset")
            if limits is not None:
                axes.set_ylim(*limits)
            if place == 0:
                axes.set_ylabel(ylabel)
            if panel.lines:
                axes.legend(loc="best", fontsize=8.2)
            if simulated:
                watermark(figure, axes)
        figure.text(0.01, 0.985, title, fontsize=11, fontweight="bold", va="top")
        return inline_svg(figure, key, title, _spoken(panels, subsets))


def confusion_figure(key: str, tables: Sequence[tuple[str, Confusion]], *, title: str, simulated: bool) -> Markup:
    """Draw confusion matrices side by side; a darker square holds a larger share of its row."""
    with drawing():
        figure = new_figure(3.6 * len(tables), 3.5)
        for place, (name, found) in enumerate(tables):
            axes = figure.add_axes(((place + 0.27) / len(tables), 0.13, 0.70 / len(tables), 0.66))
            rows = ((found.true_negative, found.false_positive), (found.false_negative, found.true_positive))
            for y, row in enumerate(rows):
                for x, count in enumerate(row):
                    share = count / sum(row) if sum(row) else 0.0
                    axes.add_patch(
                        Rectangle((x, y), 1, 1, facecolor=PALETTE[0], alpha=0.12 + 0.6 * share, linewidth=0)
                    )
                    text = f"{count:,}\n{100 * share:.0f} %" if sum(row) else "0"
                    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=12)
            axes.set(xlim=(0, 2), ylim=(2, 0))
            axes.set_xticks([0.5, 1.5], ["relapse-free", "relapsed"])
            axes.set_yticks([0.5, 1.5], ["relapse-free", "relapsed"])
            axes.grid(visible=False)
            axes.set_xlabel("Predicted")
            axes.set_title(name, fontsize=10)
            if place == 0:
                axes.set_ylabel("Observed")
        if simulated:
            _watermark_all(figure)
        figure.text(0.01, 0.985, title, fontsize=11, fontweight="bold", va="top")
        spoken = "; ".join(
            f"{name}: {t.true_positive} true and {t.false_positive} false positives, {t.false_negative} false and "
            f"{t.true_negative} true negatives"
            for name, t in tables
        )
        return inline_svg(figure, key, title, spoken)


def cloud_figure(key: str, rows: Sequence[Sequence[Cloud]], *, title: str, simulated: bool) -> Markup:
    """Draw maps of embeddings as small multiples, coloured by recurrence status.

    Parameters
    ----------
    key : str
        HTML id.
    rows : sequence of sequence of Cloud
        Rows of panels of equal length.
    title : str
        Above the panels.
    simulated : bool
        Print the watermark.
    """
    across = max(len(row) for row in rows)
    side = 8.6 / max(across, 3)
    width, height = side * across, (side + 0.25) * len(rows) + 0.5
    with drawing():
        figure = new_figure(width, height)
        for y, row in enumerate(rows):
            for x, cloud in enumerate(row):
                bottom = height - 0.5 - (y + 1) * (side + 0.25) + 0.06
                box = ((x + 0.04) * side / width, bottom / height, 0.92 * side / width, 0.94 * side / height)
                _draw_cloud(figure.add_axes(box), cloud, letters=int(10 * side))
        _cloud_legend(figure, height)
        if simulated:
            _watermark_all(figure)
        figure.text(0.01, 1 - 0.06 / height, title, fontsize=11, fontweight="bold", va="top")
        shown = sum(len(cloud.points) for row in rows for cloud in row if cloud.points is not None)
        return inline_svg(
            figure, key, title, f"{shown} points in {across * len(rows)} panels, by recurrence status"
        )


def _draw_lines(axes: Axes, panel: Panel, chance: float | None) -> None:
    if chance is not None:
        axes.axhline(chance, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
    count = len(panel.lines)
    for i, line in enumerate(panel.lines):
        colour = PALETTE[i % len(PALETTE)]
        shift = 0.09 * (i - (count - 1) / 2)
        there = [k for k, value in enumerate(line.values) if value is not None]
        x = [k + shift for k in there]
        axes.plot(
            x,
            [value for value in line.values if value is not None],
            color=colour,
            linestyle=LINE_STYLES[i % len(LINE_STYLES)],
            linewidth=1.2,
            marker=MARKERS[i % len(MARKERS)],
            markersize=4.5,
            label=line.label,
        )
        for k, at in zip(there, x, strict=True):
            lower, upper = line.lower[k], line.upper[k]
            if lower is not None and upper is not None:
                axes.plot([at, at], [lower, upper], color=colour, linewidth=1.2, alpha=0.7)


def _draw_cloud(axes: Axes, cloud: Cloud, letters: int) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(cloud.title, fontsize=8.6, fontweight="normal")
    if cloud.points is None:
        note = textwrap.fill(cloud.note, letters)
        axes.text(0.5, 0.5, note, transform=axes.transAxes, ha="center", va="center", fontsize=8)
        return
    size = 2.2 if len(cloud.points) > 80 else 3.6
    for relapsed, colour in ((False, PALETTE[0]), (True, PALETTE[1])):
        points = cloud.points[cloud.relapsed == relapsed]
        axes.plot(points[:, 0], points[:, 1], "o", color=colour, markersize=size, markeredgewidth=0, alpha=0.65)
    axes.margins(0.06)


def _cloud_legend(figure: Figure, height: float) -> None:
    y = 1 - 0.38 / height
    for x, colour, text in ((0.01, PALETTE[0], "relapse-free"), (0.19, PALETTE[1], "relapsed")):
        figure.text(x, y, "●", fontsize=9, color=colour, va="center")
        figure.text(x + 0.02, y, text, fontsize=9, color=INK, va="center")


def _watermark_all(figure: Figure) -> None:
    """One watermark over all panels, behind them."""
    axes = figure.add_axes((0, 0, 1, 1), zorder=-1)
    axes.set_axis_off()
    watermark(figure, axes)


def _spoken(panels: Sequence[Panel], subsets: Sequence[str]) -> str:
    parts = []
    for panel in panels:
        for line in panel.lines:
            said = ", ".join(
                f"{subset} {value:.3f}"
                for subset, value in zip(subsets, line.values, strict=True)
                if value is not None
            )
            parts.append(f"{panel.title}, {line.label}: {said or 'nothing'}")
    return "; ".join(parts)
