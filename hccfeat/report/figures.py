"""The figure of the receiver operating characteristic; those of survival and of ratios are given out with it."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from hccfeat.analysis.results import RocCurve
from hccfeat.report.canvas import FAINT, drawing, inline_svg, line_look, watermark
from hccfeat.report.forest_figures import forest_figure
from hccfeat.report.formatting import model_label, with_interval
from hccfeat.report.layout import Entry, kept, legend_below, mark, model_axes, model_styles
from hccfeat.report.readout import Panel, Series, readout
from hccfeat.report.survival_figures import survival_figure

__all__ = ["forest_figure", "model_styles", "roc_figure", "survival_figure"]


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
        From :func:`hccfeat.report.layout.model_styles`.
    title : str
        Printed above the axes.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        areas = [with_interval(curve.auroc, *intervals.get(curve.model, (None, None))) for curve in curves]
        entries = [
            Entry(i, styles.get(curve.model, 0), f"{model_label(curve.model)}  {area}")
            for i, (curve, area) in enumerate(zip(curves, areas, strict=True))
        ]
        figure, axes = model_axes(title, entries)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
        series = []
        for i, curve in enumerate(curves):
            style = styles.get(curve.model, 0)
            name = model_label(curve.model)
            keep = kept(len(curve.false_positive_rate))
            x, y = curve.false_positive_rate[keep], curve.true_positive_rate[keep]
            (line,) = axes.plot(x, y, linewidth=1.8, **line_look(style))
            mark(i, line)
            series.append(Series(name, x, y, model=styles.get(curve.model), colour=style))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("Sensitivity")
        legend_below(figure, "AUROC (95 % interval)", entries)
        if simulated:
            watermark(figure, axes)
        numbers = readout(
            figure, [Panel(axes, series)], x="1 − specificity", y="Sensitivity", reading="step", percent=True
        )
        spoken = "; ".join(f"{model_label(curve.model)} AUROC {curve.auroc:.3f}" for curve in curves)
        return inline_svg(figure, key, f"ROC curves, {title}", spoken, numbers)
