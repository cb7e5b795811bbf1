"""Diagrams of boxes and arrows: how data flow through a study."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from hccfeat.report.canvas import FAINT, INK, PALETTE, PAPER, drawing, inline_svg, new_figure, watermark

WIDTH, ROW = 7.4, 0.78


@dataclass(frozen=True)
class Box:
    """One box: a heading and lines under it."""

    title: str
    lines: tuple[str, ...] = ()
    colour: int = 0


def diagram(key: str, rows: Sequence[Sequence[Box]], *, title: str, simulated: bool, down: bool = True) -> Markup:
    """Draw rows of boxes, each row read from left to right and followed by the next.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    rows : sequence of sequences of Box
        From top to bottom.
    title : str
        For screen readers.
    simulated : bool
        Print the watermark.
    down : bool
        Draw an arrow from each row to the row below.
    """
    heights = [ROW + 0.17 * max(len(box.lines) for box in row) for row in rows]
    total = sum(heights) + 0.1
    with drawing():
        figure = new_figure(WIDTH, total)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0, WIDTH), ylim=(0, total))
        axes.set_axis_off()
        top = total - 0.05
        for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
            width = WIDTH / len(row)
            for column, box in enumerate(row):
                _draw(axes, box, column * width + 0.09, top - height + 0.32, width - 0.3, height - 0.36)
                if column + 1 < len(row):
                    middle = top - height / 2 + 0.14
                    _arrow(axes, ((column + 1) * width - 0.19, middle), ((column + 1) * width + 0.07, middle))
            if down and number + 1 < len(rows):
                _arrow(axes, (WIDTH / 2, top - height + 0.29), (WIDTH / 2, top - height + 0.02))
            top -= height
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(f"{box.title}: {', '.join(box.lines)}" for row in rows for box in row)
        return inline_svg(figure, key, title, spoken)


def _draw(axes: Axes, box: Box, x: float, y: float, width: float, height: float) -> None:
    colour = PALETTE[box.colour % len(PALETTE)]
    style = "round,pad=0,rounding_size=0.07"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, fc=PAPER, ec=colour, lw=1.4))
    axes.text(x + 0.1, y + height - 0.1, box.title, fontsize=9.5, fontweight="bold", color=INK, va="top")
    axes.text(x + 0.1, y + height - 0.32, "\n".join(box.lines), fontsize=8, color=FAINT, va="top", linespacing=1.35)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=FAINT, lw=1.1))
