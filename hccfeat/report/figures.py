"""The report's figures: receiver operating characteristic, Kaplan-Meier with numbers at risk, forest plot."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter
from numpy.typing import NDArray

from hccfeat.analysis.results import GroupComparison, HazardRatio, RocCurve, SurvivalCurve
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
from hccfeat.report.formatting import MISSING, fixed, is_number, model_label, p_value, with_interval

WIDTH = 5.1
MAX_STEPS = 400


def model_styles(models: Sequence[str]) -> dict[str, int]:
    """Give each model one colour and line style, the same in every figure of a report."""
    return {model: i % len(PALETTE) for i, model in enumerate(dict.fromkeys(models))}


def roc_figure(
    key: str,
    curves: Sequence[RocCurve],
    intervals: Mapping[str, tuple[float | None, float | None]],
    styles: Mapping[str, int],
    *,
    title: str,
    simulated: bool,
) -> Markup:
    """Draw the ROC curves of all models in one cohort and split.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    curves : sequence of RocCurve
        One per model.
    intervals : mapping
        Model -> 95 % limits of its AUROC, where there are any.
    styles : mapping
        From :func:`model_styles`.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        figure = new_figure(WIDTH, 4.5)
        axes = figure.add_axes((0.115, 0.115, 0.865, 0.80))
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
        for curve in curves:
            style = styles.get(curve.model, 0)
            area = with_interval(curve.auroc, *intervals.get(curve.model, (None, None)))
            label = f"{_wrapped(model_label(curve.model), 30)}  {area}"
            x, y = _thinned(curve.false_positive_rate, curve.true_positive_rate)
            axes.plot(x, y, color=PALETTE[style], linestyle=LINE_STYLES[style], linewidth=1.8, label=label)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("Sensitivity")
        axes.set_title(title)
        axes.legend(loc="lower right", title="AUROC (95 % interval)", alignment="left", title_fontsize=9.2)
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(f"{model_label(curve.model)} AUROC {curve.auroc:.3f}" for curve in curves)
        return inline_svg(figure, key, f"ROC curves, {title}", spoken)


def survival_figure(key: str, group: GroupComparison, *, title: str, simulated: bool) -> Markup:
    """Draw Kaplan-Meier curves with 95 % bands, the log-rank test and the numbers at risk.

    Parameters
    ----------
    key : str
        HTML id of the figure.
    group : GroupComparison
        Two or more curves; times in months.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    """
    curves = group.curves
    rows = 0.235 * len(curves)
    height = 4.05 + rows
    with drawing():
        figure = new_figure(WIDTH, height)
        bottom = (0.80 + rows) / height
        axes = figure.add_axes((0.185, bottom, 0.79, 1 - bottom - 0.52 / height))
        end = max((float(c.risk_times[-1]) for c in curves if len(c.risk_times)), default=1.0)
        end = max(end, *(float(c.times[-1]) if len(c.times) else 0.0 for c in curves), 1e-9)
        for i, curve in enumerate(curves):
            _draw_curve(axes, curve, _group_colour(curve, i), end)
        ticks = np.unique(np.concatenate([c.risk_times for c in curves])) if curves else np.array([0.0])
        axes.set(xlim=(-0.015 * end, 1.02 * end), ylim=(-0.01, 1.03))
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("Months")
        axes.set_ylabel("Event-free")
        figure.text(0.02, 1 - 0.08 / height, title, fontsize=11, fontweight="bold", va="top")
        figure.text(0.02, 1 - 0.29 / height, logrank_text(group), fontsize=9.2, color=FAINT, va="top")
        axes.legend(loc="lower left")
        _numbers_at_risk(figure, axes, curves, height)
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(f"{c.label}: {c.n} patients, {c.events} events, median {_median(c)}" for c in curves)
        return inline_svg(figure, key, f"Kaplan-Meier curves, {title}", f"{spoken}; {logrank_text(group)}")


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
    height = 1.15 + 0.27 * len(rows)
    low, high = _ratio_limits([ratio for _, ratio in rows if ratio is not None])
    with drawing():
        figure = new_figure(WIDTH + 0.3, height)
        axes = figure.add_axes((0.315, 0.58 / height, 0.325, 1 - 1.02 / height))
        axes.set_xscale("log")
        axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6))
        axes.axvline(1, color=FAINT, linewidth=0.9)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_major_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(_ratio_ticks(low, high)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("Hazard ratio, log scale")
        figure.text(0.02, 1 - 0.08 / height, title, fontsize=11, fontweight="bold", va="top")
        side: dict[str, Any] = {
            "transform": axes.get_yaxis_transform(),
            "va": "center",
            "fontsize": 9.2,
            "clip_on": False,
        }
        axes.text(1.06, -0.75, "HR (95 % CI)", **side, color=FAINT)
        axes.text(2.07, -0.75, "P", **side, color=FAINT, ha="right")
        for y, (label, ratio) in enumerate(rows):
            heading = ratio is None
            axes.text(-0.91, y, _wrapped(label, 60 if heading else 25), **side, weight="bold" if heading else None)
            if ratio is not None:
                _draw_ratio(axes, y, ratio, (low, high))
                axes.text(1.06, y, with_interval(ratio.hr, ratio.lower, ratio.upper), **side)
                axes.text(2.07, y, p_value(ratio.p), **side, ha="right")
        if simulated:
            watermark(figure, axes)
        spoken = "; ".join(
            f"{label}: hazard ratio {with_interval(r.hr, r.lower, r.upper)}" for label, r in rows if r is not None
        )
        return inline_svg(figure, key, f"Hazard ratios, {title}", spoken)


def logrank_text(group: GroupComparison) -> str:
    """Return the log-rank test and the cut in words."""
    test = (
        f"log-rank χ² {fixed(group.logrank_chisq, 2)}, P {p_value(group.logrank_p)}"
        if is_number(group.logrank_p)
        else "no log-rank test"
    )
    return f"{test}; cut at {group.cut:.3g}" if is_number(group.cut) else test


def _median(curve: SurvivalCurve) -> str:
    return f"{curve.median:.1f} months" if is_number(curve.median) else "not reached"


def _group_colour(curve: SurvivalCurve, index: int) -> int:
    """High risk is vermilion and low risk blue wherever the labels say so, else by order."""
    label = curve.label.lower()
    if label.startswith("high"):
        return 1
    return 0 if label.startswith("low") else index % len(PALETTE)


def _draw_curve(axes: Axes, curve: SurvivalCurve, style: int, end: float) -> None:
    times = np.concatenate([[0.0], curve.times, [end if not len(curve.times) else curve.times[-1]]])
    levels = [
        np.concatenate([[1.0], a, a[-1:] if len(a) else [1.0]]) for a in (curve.survival, curve.lower, curve.upper)
    ]
    keep = _kept(len(times))
    times, (survival, lower, upper) = times[keep], [level[keep] for level in levels]
    label = f"{_wrapped(curve.label, 24)}: {curve.events}/{curve.n} events, median {_median(curve)}"
    axes.fill_between(times, lower, upper, step="post", color=PALETTE[style], alpha=0.16, linewidth=0)
    axes.step(
        times,
        survival,
        where="post",
        color=PALETTE[style],
        linestyle=LINE_STYLES[style],
        linewidth=1.8,
        label=label,
    )


def _numbers_at_risk(figure: Figure, axes: Axes, curves: Sequence[SurvivalCurve], height: float) -> None:
    box = axes.get_position()
    low, high = axes.get_xlim()
    top = box.y0 - 0.56 / height
    figure.text(0.02, top, "Number at risk", fontsize=9.2, fontweight="bold", va="center")
    for i, curve in enumerate(curves):
        y = top - 0.235 * (i + 0.95) / height
        colour = PALETTE[_group_colour(curve, i)]
        figure.text(0.02, y, "■", fontsize=8, color=colour, va="center")
        figure.text(0.05, y, _shortened(curve.label, 10), fontsize=9.2, va="center")
        for time, number in zip(curve.risk_times, curve.at_risk, strict=True):
            x = box.x0 + box.width * (float(time) - low) / (high - low)
            figure.text(x, y, str(int(number)), fontsize=9.2, ha="center", va="center", color=INK)


def _draw_ratio(axes: Axes, y: int, ratio: HazardRatio, limits: tuple[float, float]) -> None:
    if not is_number(ratio.hr) or ratio.hr is None or ratio.hr <= 0:
        return
    low, high = limits
    lower = ratio.lower if ratio.lower is not None and ratio.lower == ratio.lower else ratio.hr
    upper = ratio.upper if ratio.upper is not None and ratio.upper == ratio.upper else ratio.hr
    shown = np.clip([lower, upper], low, high)
    axes.plot(shown, [y, y], color=PALETTE[0], linewidth=1.6, solid_capstyle="butt")
    for outside, x, marker in ((lower < low, low, "<"), (upper > high, high, ">")):
        if outside:
            axes.plot([x], [y], marker=marker, color=PALETTE[0], markersize=5, clip_on=False)
    if low <= ratio.hr <= high:
        axes.plot([ratio.hr], [y], marker="s", color=PALETTE[0], markersize=5.5)


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


def _kept(n: int) -> NDArray[np.int64]:
    """Choose at most MAX_STEPS of n points, both ends among them: more would not show at this width."""
    return np.unique(np.linspace(0, n - 1, min(n, MAX_STEPS)).round().astype(np.int64))


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    keep = _kept(len(x))
    return x[keep], y[keep]


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, max_lines=2, placeholder="…")) or MISSING
