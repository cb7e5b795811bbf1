"""The part of an endpoint about differences between models on the same patients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.comparisons import declaration
from hccfeat.analysis.results import EndpointResult, ModelComparison
from hccfeat.report.blocks import Block, FigureView, Part, Scene, block, by_place, place_label, short_place
from hccfeat.report.forest_figures import DifferenceRow, difference_figure
from hccfeat.report.formatting import fixed, interval, metric_label, metric_rank, model_label, p_value
from hccfeat.report.tables import Column, table


def comparison(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Differences between models: a figure for each metric with intervals, and every difference in a table."""
    figures: list[FigureView] = []
    for (split, cohort), here in by_place(result.comparisons):
        for metric in dict.fromkeys(c.metric for c in here):
            mine = [c for c in here if c.metric == metric]
            if not any(c.lower is not None for c in mine):
                continue
            name, axis = f"{key}-difference-{len(figures)}", metric_label(metric)
            adjusted = any(c.p_adjusted is not None for c in mine)
            drawn = difference_figure(
                name,
                [_difference(c, adjusted=adjusted) for c in mine],
                title=f"{axis}: {short_place(split, cohort)}",
                axis=f"Difference in {axis}",
                heads=("First − second (95 % CI)", "P adj." if adjusted else "P"),
                simulated=scene.simulated,
            )
            text = f"{result.label}: differences in {axis} with 95 % intervals, {place_label(split, cohort)}."
            figures.append(FigureView(name, drawn, scene.caption(text), tab=axis))
    rows = [found for _, here in by_place(result.comparisons) for found in sorted(here, key=_rank)]
    shown = comparisons_table(f"{key}-comparison-table", rows, scene, f"{result.label}: models compared")
    named = [replace(c, first=model_label(c.first), second=model_label(c.second)) for c in result.comparisons]
    return block(result, scene, "comparison", Part(lead=declaration(named), figures=figures, tables=[shown]))


def _rank(found: ModelComparison) -> tuple[int, float]:
    return metric_rank(found.metric)


def comparisons_table(
    key: str,
    comparisons: Sequence[ModelComparison],
    scene: Scene,
    caption: str,
    labels: Mapping[str, str] | None = None,
) -> Markup:
    """Return every difference as a table; ``labels`` names the models, by default as the page does."""
    columns = [
        Column("pair", "First − second"),
        Column("metric", "Metric"),
        Column("difference", "Difference", "right"),
        Column("limits", "95 % interval", "right"),
        Column("p", "P", "right"),
        Column("adjusted", "P adjusted", "right", "For all comparisons declared together"),
        Column("n", "n", "right"),
        Column("events", "Events", "right"),
        Column("method", "Method", off=True),
    ]
    rows = [_row(found, scene, labels or {}) for found in comparisons]
    return table(key, columns, rows, caption=caption, group="place", models="m")


def _row(found: ModelComparison, scene: Scene, labels: Mapping[str, str]) -> dict[str, Any]:
    first, second = (labels.get(name, model_label(name)) for name in (found.first, found.second))
    return {
        "place": place_label(found.split, found.cohort),
        "pair": f"{first} − {second}",
        "metric": metric_label(found.metric),
        "difference": fixed(found.difference, 3),
        "limits": interval(found.lower, found.upper, 3),
        "p": p_value(found.p),
        "adjusted": p_value(found.p_adjusted),
        "n": f"{found.n:,}",
        "events": f"{found.events:,}",
        "method": found.method,
        "m": scene.marks(found.first, found.second),
    }


def _difference(found: ModelComparison, *, adjusted: bool) -> DifferenceRow:
    label = f"{model_label(found.first)} − {model_label(found.second)}"
    p = p_value(found.p_adjusted if adjusted else found.p)
    return DifferenceRow(label, found.difference, found.lower, found.upper, p)
