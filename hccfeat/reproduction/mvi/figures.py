"""Figures of paper 2's study: confusion matrices and loss terms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hccfeat.config import GRADES
from hccfeat.report.canvas import LINE_STYLES, PALETTE, drawing, inline_svg, new_figure, watermark


@dataclass(frozen=True)
class LossLine:
    """One loss term by epoch; ``values`` are None where the network has none."""

    label: str
    values: Sequence[float | None]


def grades_figure(
    key: str, tables: Sequence[tuple[str, NDArray[np.int64]]], *, title: str, simulated: bool
) -> Markup:
    """Draw confusion matrices (3, 3) side by side; a darker square holds a larger share of its row.

    Parameters
    ----------
    key : str
        HTML id.
    tables : sequence of (name, counts)
        Rows observed, columns predicted.
    title : str
        Of the figure.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        figure = new_figure(2.9 * len(tables), 3.2)
        for place, (name, counts) in enumerate(tables):
            axes = figure.add_axes(((place + 0.2) / len(tables), 0.14, 0.77 / len(tables), 0.64))
            _draw_counts(axes, counts)
            axes.set_title(name, fontsize=9.2)
            axes.set_xlabel("Predicted")
            if place == 0:
                axes.set_ylabel("Observed")
            if simulated and place == len(tables) // 2:
                watermark(figure, axes)
        figure.text(0.01, 0.985, title, fontsize=11, fontweight="bold", va="top")
        spoken = "; ".join(f"{name}: {counts.tolist()}" for name, counts in tables)
        return inline_svg(figure, key, title, spoken)


def loss_figure(
    key: str, panels: Sequence[tuple[str, Sequence[LossLine]]], *, title: str, simulated: bool
) -> Markup:
    """Draw loss terms by epoch on a log axis, one panel per network.

    Parameters
    ----------
    key : str
        HTML id.
    panels : sequence of (name, lines)
        Values that are zero or missing are left out.
    title : str
        Of the figure.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        figure = new_figure(4.0 * len(panels), 3.5)
        for place, (name, lines) in enumerate(panels):
            axes = figure.add_axes(((place + 0.16) / len(panels), 0.14, 0.81 / len(panels), 0.68))
            for number, line in enumerate(lines):
                shown = [(i, v) for i, v in enumerate(line.values, start=1) if v is not None and v > 0]
                axes.plot(
                    [epoch for epoch, _ in shown],
                    [value for _, value in shown],
                    color=PALETTE[number % len(PALETTE)],
                    linestyle=LINE_STYLES[number % len(LINE_STYLES)],
                    linewidth=1.7,
                    marker="o",
                    markersize=2.6,
                    label=line.label,
                )
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(axis="y", which="both", labelsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_title(name, fontsize=10)
            axes.set_xlabel("Epoch")
            if place == 0:
                axes.set_ylabel("Mean loss before its weight")
            axes.legend(loc="best", fontsize=8.2)
            if simulated:
                watermark(figure, axes)
        figure.text(0.01, 0.985, title, fontsize=11, fontweight="bold", va="top")
        return inline_svg(figure, key, title, "; ".join(_spoken(name, line) for name, ls in panels for line in ls))


def _draw_counts(axes: Axes, counts: NDArray[np.int64]) -> None:
    size = len(counts)
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            share = count / row.sum() if row.sum() else 0.0
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=PALETTE[0], alpha=0.12 + 0.6 * share, linewidth=0))
            axes.text(x + 0.5, y + 0.5, f"{count}\n{100 * share:.0f} %", ha="center", va="center", fontsize=10)
    axes.set(xlim=(0, size), ylim=(size, 0))
    middles = np.arange(size) + 0.5
    axes.set_xticks(middles, GRADES)
    axes.set_yticks(middles, GRADES)
    axes.grid(visible=False)


def _spoken(name: str, line: LossLine) -> str:
    known = [value for value in line.values if value is not None]
    return f"{name}, {line.label}: {known[0]:.3g} to {known[-1]:.3g}" if known else f"{name}, {line.label}: none"
