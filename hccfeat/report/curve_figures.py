"""Figures of predicted risks: calibration, decision curves, distributions, and performance over time."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hccfeat.analysis.results import CalibrationCurve, DecisionCurve, Metric, RiskDistribution
from hccfeat.report.canvas import (
    DASHED,
    FAINT,
    INK,
    PALETTE,
    SOLID,
    drawing,
    inline_svg,
    line_look,
    new_figure,
    watermark,
)
from hccfeat.report.formatting import fixed, metric_parts, model_label, with_interval
from hccfeat.report.layout import SMALL, WIDTH, Entry, heading, kept, legend_below, mark, model_axes, shortened
from hccfeat.report.readout import Panel, Series, readout

PANEL = 0.78
TREAT_NONE = "treat none"
WITH, WITHOUT = 1, 0
"""Colours of patients with and without the event, as of high and low risk."""


def calibration_figure(
    key: str, curves: Sequence[CalibrationCurve], styles: Mapping[str, int], *, title: str, simulated: bool
) -> Markup:
    """Draw observed against predicted risk of all models with 95 % bands; on the diagonal both are equal.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    curves : sequence of CalibrationCurve
        One per model, of one cohort, split and time.
    styles : mapping
        Model -> number of its colour.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        entries = [
            Entry(i, styles.get(curve.model, 0), f"{model_label(curve.model)} ({curve.events}/{curve.n})")
            for i, curve in enumerate(curves)
        ]
        figure, axes = model_axes(title, entries)
        tops = [float(values.max()) for c in curves for values in (c.predicted, c.observed) if len(values)]
        end = min(max(math.ceil(10 * max(tops, default=1.0)) / 10, 0.2), 1.0)
        axes.plot([0, end], [0, end], color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
        series = []
        for i, curve in enumerate(curves):
            style = styles.get(curve.model, 0)
            keep = kept(len(curve.predicted))
            x, y, lower, upper = (a[keep] for a in (curve.predicted, curve.observed, curve.lower, curve.upper))
            alpha = 0.16 if len(curves) == 1 else 0.09
            band = axes.fill_between(x, lower, upper, color=line_look(style)["color"], alpha=alpha, linewidth=0)
            mark(i, band, band=True)
            mark(i, *axes.plot(x, y, linewidth=1.8, **line_look(style)))
            name = model_label(curve.model)
            series.append(Series(name, x, y, lower, upper, model=styles.get(curve.model), colour=style))
        axes.set(xlim=(-0.01 * end, 1.01 * end), ylim=(-0.01 * end, 1.01 * end))
        axes.set_xlabel("Predicted risk")
        axes.set_ylabel("Observed risk")
        legend_below(figure, "Model (events / patients); dotted: perfect calibration", entries)
        if simulated:
            watermark(figure, axes)
        numbers = readout(
            figure, [Panel(axes, series)], x="Predicted risk", y="Observed risk", reading="point", percent=True
        )
        return inline_svg(figure, key, f"Calibration, {title}", "; ".join(e.label for e in entries), numbers)


def decision_figure(
    key: str, curves: Sequence[DecisionCurve], styles: Mapping[str, int], *, title: str, simulated: bool
) -> Markup:
    """Draw net benefit against the threshold risk; parameters as for :func:`calibration_figure`."""
    with drawing():
        ordered = sorted(curves, key=lambda curve: curve.model not in styles)
        looks = [styles.get(curve.model, SOLID if curve.model == TREAT_NONE else DASHED) for curve in ordered]
        entries = [Entry(i, look, model_label(ordered[i].model)) for i, look in enumerate(looks)]
        figure, axes = model_axes(title, entries)
        series = []
        for i, (curve, look) in enumerate(zip(ordered, looks, strict=True)):
            keep = kept(len(curve.thresholds))
            x, y = curve.thresholds[keep], curve.net_benefit[keep]
            mark(i, *axes.plot(x, y, linewidth=1.8 if look >= 0 else 1.2, **line_look(look)))
            series.append(Series(entries[i].label, x, y, model=styles.get(curve.model), colour=look))
        found = np.concatenate([curve.net_benefit for curve in curves]) if curves else np.zeros(1)
        top = max(float(np.nanmax(found, initial=0.0)), 0.02)
        axes.set_ylim(-0.18 * top, 1.08 * top)
        axes.set_xlabel("Threshold risk")
        axes.set_ylabel("Net benefit")
        axes.tick_params(axis="y", labelsize=8.5)  # "−0.025" is wide, and the name still has its place
        axes.yaxis.set_label_coords(-0.108, 0.5)
        legend_below(figure, "Decision by", entries)
        if simulated:
            watermark(figure, axes)
        numbers = readout(figure, [Panel(axes, series)], x="Threshold risk", y="Net benefit", reading="point")
        spoken = "; ".join(
            f"{e.label}: highest net benefit {fixed(_highest(c))}" for e, c in zip(entries, ordered, strict=True)
        )
        return inline_svg(figure, key, f"Decision curves, {title}", spoken, numbers)


def distribution_figure(
    key: str,
    found: Sequence[RiskDistribution],
    styles: Mapping[str, int],
    *,
    title: str,
    simulated: bool,
    groups: tuple[str, str] = ("with event", "without event"),
    axis: str = "Predicted risk",
) -> Markup:
    """Draw how many patients have which risk, one row of axes per model: upwards with the event, downwards without.

    Parameters as for :func:`calibration_figure`; ``groups`` names who is drawn up and down, ``axis`` the risk.
    """
    top, foot = 0.42, 0.74
    height = top + foot + PANEL * len(found)
    low, high = (f(edge for d in found for edge in d.edges) for f in (min, max))
    with drawing():
        figure = new_figure(WIDTH, height)
        heading(figure, title)
        panels = []
        for i, one in enumerate(found):
            axes = figure.add_axes(
                (0.125, 1 - (top + PANEL * (i + 1) - 0.1) / height, 0.855, (PANEL - 0.3) / height)
            )
            panels.append(
                Panel(axes, _histogram(axes, 2 * i, one, groups, styles.get(one.model)), model_label(one.model))
            )
            axes.set_xlim(low, high)
            axes.tick_params(labelbottom=i + 1 == len(found))
        if panels:
            panels[-1].axes.set_xlabel(axis)
            _outcome_legend(figure, groups, height)
        if simulated and panels:
            watermark(figure, panels[len(panels) // 2].axes)
        numbers = readout(figure, panels, x=axis, y="Patients", reading="bin", decimals=0)
        spoken = "; ".join(
            f"{model_label(one.model)}: {one.with_event.sum()} {groups[0]}, {one.without_event.sum()} {groups[1]}"
            for one in found
        )
        return inline_svg(figure, key, f"Distribution of the {axis.lower()}, {title}", spoken, numbers)


def over_time_figure(
    key: str, metrics: Sequence[Metric], styles: Mapping[str, int], *, title: str, axis: str, simulated: bool
) -> Markup:
    """Draw a metric at several months with its 95 % intervals, one line per model.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    metrics : sequence of Metric
        Of one cohort and split, whose names hold months.
    styles : mapping
        Model -> number of its colour.
    title, axis : str
        Above the axes, and what the metric is called.
    simulated : bool
        Print the watermark.
    """
    models = list(dict.fromkeys(metric.model for metric in metrics))
    with drawing():
        entries = [Entry(i, styles.get(model, 0), model_label(model)) for i, model in enumerate(models)]
        figure, axes = model_axes(title, entries, height=3.0)
        series: list[Series] = []
        seen: list[float] = []
        for i, model in enumerate(models):
            known = [(metric_parts(m.metric).months or 0.0, m) for m in metrics if m.model == model]
            points = sorted(((months, m) for months, m in known if m.estimate is not None), key=lambda one: one[0])
            x = np.array([months for months, _ in points])
            y, lower, upper = (
                np.array([np.nan if v is None else v for v in (getattr(m, name) for _, m in points)], dtype=float)
                for name in ("estimate", "lower", "upper")
            )
            style = styles.get(model, 0)
            aside = 0.02 * (max(seen, default=1.0) or 1.0) * (i - (len(models) - 1) / 2)
            mark(i, *axes.plot(x + aside, y, marker="o", markersize=4, linewidth=1.4, **line_look(style)))
            mark(i, axes.vlines(x + aside, lower, upper, color=line_look(style)["color"], linewidth=1.2), band=True)
            seen += x.tolist()
            series.append(Series(model_label(model), x, y, lower, upper, model=styles.get(model), colour=style))
        axes.set_xticks(sorted(set(seen)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("Months")
        axes.set_ylabel(axis)
        legend_below(figure, "Model", entries)
        if simulated:
            watermark(figure, axes)
        numbers = readout(figure, [Panel(axes, series)], x="Months", y=axis, reading="point")
        spoken = "; ".join(
            f"{model_label(m.model)} at {metric_parts(m.metric).months:g} months: "
            f"{with_interval(m.estimate, m.lower, m.upper)}"
            for m in metrics
        )
        return inline_svg(figure, key, f"{axis}, {title}", spoken, numbers)


def _highest(curve: DecisionCurve) -> float | None:
    return float(np.nanmax(curve.net_benefit)) if np.isfinite(curve.net_benefit).any() else None


def _histogram(
    axes: Axes, first: int, found: RiskDistribution, groups: tuple[str, str], style: int | None
) -> list[Series]:
    top = max(int(found.with_event.max(initial=0)), int(found.without_event.max(initial=0)), 1)
    series = []
    for i, (name, counts, colour, sign) in enumerate(
        ((groups[0], found.with_event, WITH, 1), (groups[1], found.without_event, WITHOUT, -1))
    ):
        bars = axes.stairs(sign * counts, found.edges, fill=True, color=PALETTE[colour], alpha=0.85, linewidth=0)
        mark(first + i, bars)
        series.append(Series(name, found.edges, counts, model=style, colour=colour))
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_ylim(-1.12 * top, 1.12 * top)
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.tick_params(axis="y", labelsize=8)
    axes.text(
        0.0,
        1.04,
        shortened(model_label(found.model), 50),
        transform=axes.transAxes,
        fontsize=SMALL,
        va="bottom",
        color=INK,
    )
    return series


def _outcome_legend(figure: Figure, groups: tuple[str, str], height: float) -> None:
    for x, colour, text in ((0.125, WITH, f"up: {groups[0]}"), (0.45, WITHOUT, f"down: {groups[1]}")):
        figure.text(x, 0.13 / height, "■", fontsize=10, color=PALETTE[colour], va="center")
        figure.text(x + 0.035, 0.13 / height, text, fontsize=SMALL, color=FAINT, va="center")
