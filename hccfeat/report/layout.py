"""How the report's figures are laid out: sizes, the legend under the axes, and what is too long to draw."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hccfeat.report.canvas import FAINT, line_look, new_figure
from hccfeat.report.formatting import MISSING

WIDTH = 5.1
"""Inches; about the width of a phone, so that nothing is shrunk."""
MAX_STEPS = 400
MARKS = 5
AXES_HEIGHT = 3.45
LEGEND_ROW = 0.205
SMALL = 9.2
HALF_LABEL = 26
"""Characters of a legend's text that fit into half of the width."""


@dataclass(frozen=True)
class Entry:
    """One item of a legend: the number of its series in the figure, the number of its look, and its text."""

    series: int
    look: int
    label: str


def model_styles(models: Sequence[str]) -> dict[str, int]:
    """Number the models; each has one colour and line style, the same in every figure of a report."""
    return {model: i for i, model in enumerate(dict.fromkeys(models))}


def model_axes(title: str, entries: Sequence[Entry], *, height: float = AXES_HEIGHT) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes, and room for its legend below; draw that with :func:`legend_below`."""
    total = 0.38 + height + 0.56 + LEGEND_ROW * (_legend_rows(entries) + 1) + 0.06
    figure = new_figure(WIDTH, total)
    axes = figure.add_axes((0.125, 1 - (0.38 + height) / total, 0.855, height / total))
    heading(figure, title)
    return figure, axes


def heading(figure: Figure, title: str, below: str = "") -> None:
    """Write the title at the top left of a figure, and a fainter line under it."""
    height = figure.get_size_inches()[1]
    figure.text(0.02, 1 - 0.08 / height, shortened(title, 62), fontsize=11, fontweight="bold", va="top")
    if below:
        figure.text(0.02, 1 - 0.29 / height, below, fontsize=SMALL, color=FAINT, va="top")


def legend_below(figure: Figure, title: str, entries: Sequence[Entry]) -> None:
    """Write a legend at the foot of a figure: nothing lies on the data, however many models there are."""
    width, height = figure.get_size_inches()
    rows = _legend_rows(entries)
    figure.text(0.125, LEGEND_ROW * (rows + 0.5) / height, title, fontsize=SMALL, color=FAINT, va="center")
    for i, entry in enumerate(entries):
        x, y = 0.125 + 0.43 * (i // rows), LEGEND_ROW * (rows - i % rows - 0.5) / height
        line = Line2D([x, x + 0.33 / width], [y, y], linewidth=1.8, **line_look(entry.look))
        figure.add_artist(line)
        text = figure.text(x + 0.42 / width, y, shortened(entry.label, 66), fontsize=SMALL, va="center")
        mark(entry.series, line, text)


def _legend_rows(entries: Sequence[Entry]) -> int:
    """Two columns where more than three entries are short enough for them."""
    two = len(entries) > 3 and max(len(entry.label) for entry in entries) <= HALF_LABEL
    return (len(entries) + 1) // 2 if two else max(len(entries), 1)


def mark(series: int, *artists: Artist, band: bool = False) -> None:
    """Say which series of the figure some artists belong to; the page's script can hide it."""
    for artist in artists:
        artist.set_gid(f"s{series}{'b' if band else ''}")


def month_marks(end: float) -> NDArray[np.float64]:
    """Return 0 and at most five whole numbers of months, quarters or years up to ``end``."""
    step = next((size for size in (1, 3, 6, 12, 24, 60) if end / size <= MARKS), max(end / MARKS, 1.0))
    return np.arange(0.0, end + 1e-9, step)


def kept(n: int) -> NDArray[np.int64]:
    """Choose at most MAX_STEPS of n points, both ends among them: more would not show at this width."""
    return np.unique(np.linspace(0, n - 1, min(n, MAX_STEPS)).round().astype(np.int64))


def shortened(text: str, width: int) -> str:
    """Return at most ``width`` characters of a text."""
    return text if len(text) <= width else text[: width - 1] + "…"


def wrapped(text: str, width: int) -> str:
    """Return a text on at most two lines of ``width`` characters."""
    return "\n".join(textwrap.wrap(text, width, max_lines=2, placeholder="…")) or MISSING
