"""Figures of the evidence pages: SVG files that stand beside them."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hccfeat.evidence.paired import Paired
from hccfeat.report.canvas import FAINT, PALETTE, drawing, new_figure, watermark

WHITE = "#ffffff"


def svg_file(figure: Figure, key: str) -> str:
    """Return a figure as the text of an SVG file; equal figures and keys give equal text."""
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.hashsalt": key, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata=nothing, facecolor=WHITE)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


Curves = Mapping[str, Sequence[Paired]]
"""Label to one paired difference per position on the x axis."""


def difference_panels(
    key: str, panels: Mapping[str, Curves], x: Sequence[float], x_label: str, y_label: str
) -> str:
    """Draw paired differences with their intervals, one panel beside the other on one scale, as SVG."""
    with drawing():
        figure = new_figure(4.3 * len(panels) + 0.6, 4.4)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for place, (title, curves) in zip(axes, panels.items(), strict=True):
            _panel(place, title, curves, x)
            place.set_xlabel(x_label)
        axes[0].set_ylabel(y_label)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False)
        figure.subplots_adjust(left=0.1, right=0.985, top=0.92, bottom=0.27, wspace=0.08)
        for place in axes:
            watermark(figure, place)
        return svg_file(figure, key)


def _panel(axes: Axes, title: str, curves: Curves, x: Sequence[float]) -> None:
    axes.set_title(title)
    axes.axhline(0, color=FAINT, linewidth=1)
    axes.set_xticks(list(x))
    width = (max(x) - min(x) or 1.0) * 0.02
    for number, (label, points) in enumerate(curves.items()):
        places = [value + width * (number - (len(curves) - 1) / 2) for value in x]
        lower = [0.0 if point.lower is None else point.mean - point.lower for point in points]
        upper = [0.0 if point.upper is None else point.upper - point.mean for point in points]
        axes.errorbar(
            places, [point.mean for point in points], yerr=[lower, upper], color=PALETTE[number % len(PALETTE)],
            marker="os^D"[number % 4], markersize=5, linewidth=1.6, capsize=2.5, label=label,
        )  # fmt: skip
