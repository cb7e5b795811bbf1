"""Figures of the risk's own study: precision-recall, times by group and by risk, scores with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hccfeat.analysis.judging import GROUPS
from hccfeat.analysis.prognosis import PrecisionRecall, TimesByGroup, TimesByRisk
from hccfeat.report.canvas import FAINT, INK, LINE_STYLES, PALETTE, drawing, inline_svg, new_figure, watermark
from hccfeat.report.formatting import fixed, p_words, with_interval
from hccfeat.report.layout import WIDTH
from hccfeat.stats.estimate import Estimate

PANEL = 2.6
ENDS = (0, 100)


@dataclass(frozen=True)
class ScoreRow:
    """One row of :func:`scores_figure`: the estimate with its interval, and the folds' values if there are any."""

    label: str
    estimate: Estimate
    folds: Sequence[float] = field(default_factory=tuple)
    emphasis: bool = False


def precision_recall_figure(
    key: str, curves: Sequence[tuple[PrecisionRecall, Estimate]], *, title: str, simulated: bool
) -> Markup:
    """Draw precision-recall curves, each with its average precision and a line at its prevalence.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    curves : sequence of (PrecisionRecall, Estimate)
        Curve and average precision.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        figure = new_figure(WIDTH, 4.5)
        axes = figure.add_axes((0.115, 0.115, 0.865, 0.80))
        for i, (curve, area) in enumerate(curves):
            colour = PALETTE[i % len(PALETTE)]
            label = f"{curve.label}  {with_interval(area.value, area.lower, area.upper)}"
            style = LINE_STYLES[i % len(LINE_STYLES)]
            axes.step(
                curve.recall,
                curve.precision,
                where="pre",
                color=colour,
                linestyle=style,
                linewidth=1.8,
                label=label,
            )
            axes.axhline(curve.prevalence, color=colour, linestyle=(0, (1, 2)), linewidth=1.0)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
        axes.set_xlabel("Recall")
        axes.set_ylabel("Precision")
        axes.set_title(title)
        axes.legend(loc="lower left", title="AUPR (95 % interval); dotted: prevalence", title_fontsize=9.2)
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(f"{curve.label}: average precision {fixed(area.value)}" for curve, area in curves)
        return inline_svg(figure, key, f"Precision-recall curves, {title}", spoken)


def times_by_group_figure(key: str, panels: Sequence[TimesByGroup], *, title: str, simulated: bool) -> Markup:
    """Draw months of the low- and high-risk patients, one panel per endpoint: filled = recurred, open = censored.

    Boxes hold the middle half with the median; points are spread sideways by rank only.
    """
    with drawing():
        figure, axes_of = panel_row(len(panels))
        spoken = []
        for axes, found in zip(axes_of, panels, strict=True):
            for position, high in enumerate((False, True)):
                months, recurred = found.members(high)
                strip_of_months(axes, position, months, recurred, PALETTE[1 if high else 0])
            axes.set_xticks([0, 1], [f"{name}\nn = {n}" for name, n in zip(GROUPS, found.test.n, strict=True)])
            axes.set_xlim(-0.6, 1.6)
            axes.grid(visible=False, axis="x")
            axes.set_title(
                f"{_short(found.judges.label)}\n{found.test.test}, {p_words(found.test.p)}", fontsize=9.2
            )
            spoken.append(f"{found.judges.label}: {found.test.test} {p_words(found.test.p)}")
        axes_of[0].set_ylabel("Months without recurrence")
        return finished_svg(
            figure, axes_of, key, f"Time to recurrence by predicted group, {title}", spoken, simulated
        )


def times_by_risk_figure(key: str, panels: Sequence[TimesByRisk], *, title: str, simulated: bool) -> Markup:
    """Draw months against the risk with the least-squares line: filled = recurred, open = censored."""
    with drawing():
        figure, axes_of = panel_row(len(panels))
        spoken = []
        for axes, found in zip(axes_of, panels, strict=True):
            risk, months = found.judges.risk, found.judges.months
            filled_points(axes, risk, months, found.judges.recurred > 0, PALETTE[0])
            if found.line.slope is not None and found.line.intercept is not None:
                ends = np.array([risk.min(), risk.max()])
                axes.plot(ends, found.line.intercept + found.line.slope * ends, color=PALETTE[1], linewidth=1.6)
            r = found.correlation
            text = f"r {with_interval(r.r, r.lower, r.upper)}, {p_words(r.p)}"
            axes.set_title(f"{_short(found.judges.label)}\n{text}", fontsize=9.2)
            axes.set_xlabel("PPS risk")
            spoken.append(f"{found.judges.label}: {text}")
        axes_of[0].set_ylabel("Months without recurrence")
        return finished_svg(figure, axes_of, key, f"Time to recurrence by risk, {title}", spoken, simulated)


def scores_figure(
    key: str, rows: Sequence[ScoreRow], *, title: str, axis: str, chance: float, simulated: bool
) -> Markup:
    """Draw scores one below the other: a box over the folds where there are any, and the estimate's interval.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    rows : sequence of ScoreRow
        From top to bottom. Boxes are quartiles with the median, whiskers reach to the lowest and highest fold.
    title, axis : str
        Above the axes, and what is measured.
    chance : float
        Where a useless score lies.
    simulated : bool
        Print the watermark.
    """
    height = 1.05 + 0.36 * len(rows)
    with drawing():
        figure = new_figure(WIDTH + 0.3, height)
        axes = figure.add_axes((0.30, 0.55 / height, 0.45, 1 - 0.95 / height))
        axes.axvline(chance, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
        for y, row in enumerate(rows):
            colour = PALETTE[1 if row.emphasis else 0]
            _score(axes, y, row, colour)
            weight = "bold" if row.emphasis else "normal"
            side = axes.get_yaxis_transform()
            axes.text(-0.03, y, row.label, transform=side, ha="right", va="center", fontsize=9.2, weight=weight)
            value = with_interval(row.estimate.value, row.estimate.lower, row.estimate.upper)
            axes.text(1.03, y, value, transform=side, va="center", fontsize=9.2)
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-0.02, 1.02))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(axis)
        figure.text(0.02, 1 - 0.08 / height, title, fontsize=11, fontweight="bold", va="top")
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(f"{row.label}: {fixed(row.estimate.value)}" for row in rows)
        return inline_svg(figure, key, f"{axis}, {title}", spoken)


def _score(axes: Axes, y: int, row: ScoreRow, colour: str) -> None:
    if len(row.folds):
        axes.boxplot(
            [list(row.folds)],
            positions=[y - 0.12],
            widths=0.34,
            orientation="horizontal",
            whis=ENDS,
            showfliers=False,
            manage_ticks=False,
            boxprops={"color": colour},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            medianprops={"color": INK, "linewidth": 1.6},
        )
    found = row.estimate
    below = y + (0.24 if len(row.folds) else 0.0)
    if found.value is None:
        return
    if found.lower is not None and found.upper is not None:
        axes.plot([found.lower, found.upper], [below, below], color=colour, linewidth=1.4)
    axes.plot([found.value], [below], marker="D", color=colour, markersize=4.5)


def panel_row(n: int) -> tuple[Figure, list[Axes]]:
    """Make a figure with ``n`` axes beside each other."""
    width = max(PANEL * n + 0.5, 3.4)
    figure = new_figure(width, 3.6)
    left, gap = 0.62 / width, 0.38 / width
    each = (1 - left - 0.1 / width - gap * (n - 1)) / n
    return figure, [figure.add_axes((left + i * (each + gap), 0.155, each, 0.69)) for i in range(n)]


def finished_svg(
    figure: Figure, axes_of: Sequence[Axes], key: str, title: str, spoken: Sequence[str], simulated: bool
) -> Markup:
    """Give the figure as SVG, with the watermark of simulated data where it belongs."""
    if simulated:
        watermark(figure, axes_of[len(axes_of) // 2])
    return inline_svg(figure, key, title, "; ".join(spoken))


def strip_of_months(axes: Axes, position: int, months: np.ndarray, recurred: np.ndarray, colour: str) -> None:
    """Draw a box of months (n,) and every patient as a point; nothing where there are none."""
    if not len(months):
        return
    axes.boxplot(
        [months],
        positions=[position],
        widths=0.62,
        showfliers=False,
        manage_ticks=False,
        boxprops={"color": FAINT},
        whiskerprops={"color": FAINT},
        capprops={"color": FAINT},
        medianprops={"color": INK, "linewidth": 1.6},
    )
    rank = np.argsort(np.argsort(months, kind="stable"), kind="stable")
    # Successive ranks far apart, so that neighbours in height do not hide each other.
    sideways = position + 0.44 * ((rank * 0.618034) % 1.0 - 0.5)
    filled_points(axes, sideways, months, recurred, colour)


def filled_points(axes: Axes, x: np.ndarray, y: np.ndarray, filled: np.ndarray, colour: str) -> None:
    """Draw points at x, y (n,): filled ones (bool, (n,)) recurred, open ones were censored."""
    for inside, face in ((filled, colour), (~filled, "none")):
        axes.plot(
            x[inside],
            y[inside],
            linestyle="none",
            marker="o",
            markersize=3.6,
            markerfacecolor=face,
            markeredgecolor=colour,
            markeredgewidth=0.9,
        )


def _short(label: str) -> str:
    return label.removeprefix("Recurrence ").strip().capitalize() or label
