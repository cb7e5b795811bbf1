"""The part of an endpoint about groups of patients: a figure per cohort, and every number in a table."""

from typing import Any

from hccfeat.analysis.results import EndpointResult, SubgroupMetric
from hccfeat.report.blocks import Block, FigureView, Part, Scene, block, by_place, place_label, short_place
from hccfeat.report.formatting import fixed, interval, metric_label, metric_rank, model_label
from hccfeat.report.layout import wrapped
from hccfeat.report.prognosis_figures import ScoreRow, scores_figure
from hccfeat.report.tables import Column, table
from hccfeat.stats.estimate import Estimate

CHANCE = 0.5
LETTERS = 26
"""On a line beside a figure; the table has the whole name."""
DRAWN = ("c_index", "auroc")


def subgroups(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Models within groups of patients: discrimination of each model as a figure, every number in a table."""
    figures: list[FigureView] = []
    for (split, cohort), here in by_place(result.subgroups):
        for model in dict.fromkeys(row.model for row in here):
            mine = [row for row in here if row.model == model and row.metric in DRAWN and row.estimate is not None]
            if not mine:
                continue
            name, axis = f"{key}-subgroups-{len(figures)}", metric_label(mine[0].metric)
            drawn = scores_figure(
                name,
                [ScoreRow(wrapped(_group(row, scene), LETTERS), _estimate(row)) for row in mine],
                title=f"{model_label(model)}: {short_place(split, cohort)}",
                axis=axis,
                chance=CHANCE,
                simulated=scene.simulated,
            )
            label, where = model_label(model), place_label(split, cohort)
            text = f"{result.label}: {axis} of {label} with 95 % intervals within groups, {where}; dotted: chance."
            marks = scene.marks(model)
            figures.append(
                FigureView(name, drawn, scene.caption(text), model=marks[0] if marks else None, tab=label)
            )
    columns = [
        Column("group", "Group"),
        Column("model", "Model"),
        Column("metric", "Metric"),
        Column("estimate", "Estimate", "right"),
        Column("limits", "95 % interval", "right"),
        Column("n", "n", "right"),
        Column("events", "Events", "right"),
        Column("method", "Method", off=True),
    ]
    order = {row.item: k for k, row in reversed(list(enumerate(result.subgroups)))}
    rows = [
        _row(row, scene)
        for _, here in by_place(result.subgroups)
        for row in sorted(here, key=lambda row: (order[row.item], metric_rank(row.metric)))
    ]
    caption = f"{result.label}: groups of patients"
    shown = table(f"{key}-subgroups-table", columns, rows, caption=caption, group="place", models="m")
    return block(result, scene, "subgroups", Part(figures=figures, tables=[shown]))


def _estimate(row: SubgroupMetric) -> Estimate:
    return Estimate(row.estimate, row.lower, row.upper, row.n, row.events, row.method)


def _group(row: SubgroupMetric, scene: Scene) -> str:
    return f"{scene.term(row.item)}: {row.level}"


def _row(row: SubgroupMetric, scene: Scene) -> dict[str, Any]:
    return {
        "place": place_label(row.split, row.cohort),
        "group": _group(row, scene),
        "model": model_label(row.model),
        "metric": metric_label(row.metric),
        "estimate": fixed(row.estimate, 3),
        "limits": interval(row.lower, row.upper, 3),
        "n": f"{row.n:,}",
        "events": f"{row.events:,}",
        "method": row.method,
        "m": scene.marks(row.model),
    }
