"""Kaplan-Meier curves with numbers at risk and events, and cumulative incidence of competing events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from hccfeat.analysis.results import GroupComparison, IncidenceCurve, SurvivalCurve
from hccfeat.report.canvas import INK, PALETTE, drawing, inline_svg, line_look, new_figure, watermark
from hccfeat.report.formatting import fixed, is_number, p_value
from hccfeat.report.layout import (
    SMALL,
    WIDTH,
    Entry,
    heading,
    kept,
    legend_below,
    mark,
    model_axes,
    month_marks,
    shortened,
    wrapped,
)
from hccfeat.report.readout import Panel, Series, readout

ROW = 0.235


def survival_figure(
    key: str, group: GroupComparison, *, title: str, simulated: bool, tested: bool = True
) -> Markup:
    """Draw Kaplan-Meier curves with 95 % bands, the test between them, and who is at risk and has had the event.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    group : GroupComparison
        Any number of curves; times in months.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    tested : bool
        Name the test between the curves, or that there is none.
    """
    curves = group.curves
    test = logrank_text(group) if tested else ""
    rows = ROW * len(curves)
    height = 4.05 + rows
    with drawing():
        figure = new_figure(WIDTH, height)
        bottom = (0.80 + rows) / height
        axes = figure.add_axes((0.215, bottom, 0.735, 1 - bottom - 0.52 / height))
        end = max((float(c.risk_times[-1]) for c in curves if len(c.risk_times)), default=1.0)
        end = max(end, *(float(c.times[-1]) if len(c.times) else 0.0 for c in curves), 1e-9)
        series = [_draw_curve(axes, i, curve, _group_colour(curve, i), end) for i, curve in enumerate(curves)]
        ticks = np.unique(np.concatenate([c.risk_times for c in curves])) if curves else np.array([0.0])
        axes.set(xlim=(-0.015 * end, 1.02 * end), ylim=(-0.01, 1.03))
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("Months")
        axes.set_ylabel("Event-free")
        heading(figure, title, test)
        legend = axes.legend(loc="lower left")
        for i, parts in enumerate(zip(legend.legend_handles, legend.get_texts(), strict=True)):
            mark(i, *(part for part in parts if part is not None))
        _numbers_at_risk(figure, axes, curves, height)
        if simulated:
            watermark(figure, axes)
        numbers = readout(figure, [Panel(axes, series)], x="Months", y="Event-free", reading="step", percent=True)
        spoken = "; ".join(f"{c.label}: {c.n} patients, {c.events} events, median {_median(c)}" for c in curves)
        spoken += f"; {test}" if test else ""
        return inline_svg(figure, key, f"Kaplan-Meier curves, {title}", spoken, numbers)


def incidence_figure(key: str, curves: Sequence[IncidenceCurve], *, title: str, simulated: bool) -> Markup:
    """Draw cumulative incidences of competing causes with their 95 % bands; parameters as for the survival."""
    with drawing():
        names = [f"{curve.label}: {curve.cause}" if curve.label else curve.cause for curve in curves]
        entries = [
            Entry(i, i, f"{name}: {curve.events}/{curve.n}")
            for i, (name, curve) in enumerate(zip(names, curves, strict=True))
        ]
        figure, axes = model_axes(title, entries)
        series = []
        for i, (name, curve) in enumerate(zip(names, curves, strict=True)):
            keep = kept(len(curve.times))
            times, y, lower, upper = (
                values[keep] for values in (curve.times, curve.incidence, curve.lower, curve.upper)
            )
            colour = PALETTE[i % len(PALETTE)]
            mark(i, axes.fill_between(times, lower, upper, step="post", color=colour, alpha=0.14, lw=0), band=True)
            mark(i, *axes.step(times, y, where="post", linewidth=1.8, **line_look(i)))
            series.append(Series(name, times, y, lower, upper, colour=i))
        axes.set_ylim(-0.01, 1.01)
        axes.set_xticks(month_marks(max((float(c.times[-1]) for c in curves if len(c.times)), default=1.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("Months")
        axes.set_ylabel("Cumulative incidence")
        legend_below(figure, "Events / patients", entries)
        if simulated:
            watermark(figure, axes)
        numbers = readout(
            figure,
            [Panel(axes, series)],
            x="Months",
            y="Cumulative incidence",
            reading="step",
            percent=True,
        )
        spoken = "; ".join(entry.label for entry in entries)
        return inline_svg(figure, key, f"Cumulative incidence, {title}", spoken, numbers)


def logrank_text(group: GroupComparison) -> str:
    """Return the test between the curves and the cut in words."""
    chisq = f" χ² {fixed(group.logrank_chisq, 2)}" if is_number(group.logrank_chisq) else ""
    name = shortened(group.test or "log-rank", 40)
    test = f"{name}{chisq}, P {p_value(group.logrank_p)}" if is_number(group.logrank_p) else "no log-rank test"
    return f"{test}; cut at {group.cut:.3g}" if is_number(group.cut) else test


def _median(curve: SurvivalCurve) -> str:
    return f"{curve.median:.1f} months" if is_number(curve.median) else "not reached"


def _group_colour(curve: SurvivalCurve, index: int) -> int:
    """High risk is vermilion and low risk blue wherever the labels say so, else by order."""
    label = curve.label.lower()
    if label.startswith("high"):
        return 1
    return 0 if label.startswith("low") else index


def _draw_curve(axes: Axes, index: int, curve: SurvivalCurve, style: int, end: float) -> Series:
    """Draw one curve and its band; return its numbers."""
    times = np.concatenate([[0.0], curve.times, [end if not len(curve.times) else curve.times[-1]]])
    levels = [
        np.concatenate([[1.0], a, a[-1:] if len(a) else [1.0]]) for a in (curve.survival, curve.lower, curve.upper)
    ]
    keep = kept(len(times))
    times, (survival, lower, upper) = times[keep], [level[keep] for level in levels]
    label = f"{wrapped(curve.label, 24)}: {curve.events}/{curve.n} events, median {_median(curve)}"
    look = line_look(style)
    band = axes.fill_between(times, lower, upper, step="post", color=look["color"], alpha=0.16, linewidth=0)
    mark(index, band, band=True)
    mark(index, *axes.step(times, survival, where="post", linewidth=1.8, label=label, **look))
    rows = kept(len(curve.times))
    x, y, low, high = (a[rows] for a in (curve.times, curve.survival, curve.lower, curve.upper))
    extra: tuple[tuple[str, NDArray[Any], bool], ...] = ()
    if curve.step_at_risk is not None and curve.step_events is not None:
        events = np.cumsum(curve.step_events)
        extra = (("at risk", curve.step_at_risk[rows], True), ("events", events[rows], False))
    return Series(curve.label, x, y, low, high, extra=extra, colour=style)


def _numbers_at_risk(figure: Figure, axes: Axes, curves: Sequence[SurvivalCurve], height: float) -> None:
    box = axes.get_position()
    low, high = axes.get_xlim()
    top = box.y0 - 0.56 / height
    known = all(curve.step_events is not None for curve in curves)
    words = "Number at risk (events so far)" if known and curves else "Number at risk"
    figure.text(0.02, top, words, fontsize=SMALL, fontweight="bold", va="center")
    for i, curve in enumerate(curves):
        y = top - ROW * (i + 0.95) / height
        style = _group_colour(curve, i)
        mark(i, figure.text(0.02, y, "■", fontsize=8, color=line_look(style)["color"], va="center"))
        mark(i, figure.text(0.05, y, shortened(curve.label, 12), fontsize=SMALL, va="center"))
        for time, number in zip(curve.risk_times, curve.at_risk, strict=True):
            x = box.x0 + box.width * (float(time) - low) / (high - low)
            shown = f"{int(number)}{_events_by(curve, float(time)) if known else ''}"
            first = x < box.x0 + 0.05
            place, side = (box.x0 - 0.02, "left") if first else (x, "center")
            mark(i, figure.text(place, y, shown, fontsize=SMALL, ha=side, va="center", color=INK))


def _events_by(curve: SurvivalCurve, time: float) -> str:
    assert curve.step_events is not None
    return f" ({int(curve.step_events[curve.times <= time].sum())})"
