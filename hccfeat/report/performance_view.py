"""The parts of an endpoint about who is judged, discrimination, and performance over time."""

from collections.abc import Sequence
from itertools import groupby, takewhile
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.results import EndpointResult, Metric
from hccfeat.report.blocks import (
    Block,
    FigureView,
    Part,
    Scene,
    block,
    by_place,
    place_label,
    short_place,
)
from hccfeat.report.curve_figures import over_time_figure
from hccfeat.report.figures import roc_figure
from hccfeat.report.formatting import (
    CORRECTED,
    fixed,
    interval,
    metric_label,
    metric_parts,
    metric_rank,
    model_label,
)
from hccfeat.report.summary import CORRECTED_PLACE, estimate_cell, places
from hccfeat.report.tables import Column, table

DRAWN = ("auc_at", "brier", "calibration_slope", "ici")
"""Metrics with a figure over time; the table has all of them."""
NUMBERS = (
    Column("estimate", "Estimate", "right"),
    Column("limits", "95 % interval", "right"),
    Column("n", "n", "right"),
    Column("events", "Events", "right"),
)


def attrition(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Who could be labelled, and who was left out with the reason."""
    columns = [Column("place", "Cohort and split")]
    columns += [Column(name, name.capitalize(), "right") for name in ("patients", "labelled", "events", "excluded")]
    columns.append(Column("reason", "Reason of exclusion"))
    rows = [
        {k: "" if v is None else v for k, v in row.items()}
        | {"place": place_label(str(row.get("split", "")), str(row.get("cohort", "")))}
        for row in result.attrition
    ]
    shown = table(f"{key}-attrition-table", columns, rows, caption=f"{result.label}: who could be labelled")
    lead = f"Rule: {result.exclusion_rule}" if result.exclusion_rule else ""
    return block(result, scene, "attrition", Part(lead=lead, tables=[shown]))


def discrimination(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """ROC curves, and every metric in a fold."""
    figures: dict[bool, list[FigureView]] = {False: [], True: []}
    for i, ((split, cohort), curves) in enumerate(by_place(result.rocs)):
        limits = {
            m.model: (m.lower, m.upper)
            for m in result.metrics
            if (m.split, m.cohort) == (split, cohort) and metric_label(m.metric) == "AUROC"
        }
        name, title = f"{key}-roc-{i}", short_place(split, cohort)
        drawn = roc_figure(name, curves, limits, scene.styles, title=title, simulated=scene.simulated)
        text = scene.caption(f"{result.label}: receiver operating characteristic, {place_label(split, cohort)}.")
        figures[split == "apparent"].append(FigureView(name, drawn, text))
    folded = [("Every metric, with its method", _metrics(result, scene, f"{key}-metrics"))]
    return block(
        result, scene, "discrimination", Part(figures=figures[False], apparent=figures[True], folded=folded)
    )


def over_time(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Metrics at several months: figures of some where there are at least two, and a table of all."""
    timed = [m for m in result.metrics if metric_parts(m.metric).months is not None]
    figures: list[FigureView] = []
    for (split, cohort), here in by_place([m for m in timed if m.split != "apparent"]):
        for base in DRAWN:
            mine = [m for m in here if metric_parts(m.metric).base == base and m.estimate is not None]
            if len({metric_parts(m.metric).months for m in mine}) < 2:
                continue
            name, axis = f"{key}-time-{len(figures)}", metric_label(base)
            drawn = over_time_figure(
                name,
                mine,
                scene.styles,
                title=f"{axis}: {short_place(split, cohort)}",
                axis=axis,
                simulated=scene.simulated,
            )
            limits = [m.lower is not None for m in mine]
            told = f" with 95 % intervals{'' if all(limits) else ' where there are any'}" if any(limits) else ""
            text = f"{result.label}: {axis} over time{told}, {place_label(split, cohort)}."
            figures.append(FigureView(name, drawn, scene.caption(text)))
    return block(
        result, scene, "over_time", Part(figures=figures, tables=[_timed_table(result, timed, scene, key)])
    )


def _metrics(result: EndpointResult, scene: Scene, key: str) -> Markup:
    """Every metric; what the methods of one model have in common stands once, above its rows."""
    columns = [Column("metric", "Metric"), *NUMBERS, Column("method", "Method", "wide")]
    found, models = places(result), list(dict.fromkeys(m.model for m in result.metrics))
    metrics = sorted(
        result.metrics,
        key=lambda m: (found.index((m.split, m.cohort)), models.index(m.model), metric_parts(m.metric).corrected),
    )
    shared = {key: _common_end([m.method for m in here]) for key, here in groupby(metrics, _of_model)}
    rows = [
        {
            "group": f"{place_label(m.split, m.cohort)}: {model_label(m.model)}. {shared[_of_model(m)]}",
            "metric": scene.metric(result, m.metric)
            + (" (corrected for optimism)" if metric_parts(m.metric).corrected else ""),
            "estimate": fixed(m.estimate, 4),
            "limits": interval(m.lower, m.upper, 4),
            "n": f"{m.n:,}",
            "events": f"{m.events:,}",
            "method": m.method.removesuffix(shared[_of_model(m)]).rstrip("; "),
            "m": scene.marks(m.model),
        }
        for m in metrics
    ]
    grey = [i for i, m in enumerate(metrics) if m.split == "apparent" and not metric_parts(m.metric).corrected]
    caption = f"{result.label}: every metric"
    return table(key, columns, rows, caption=caption, group="group", muted=grey, models="m")


def _of_model(metric: Metric) -> tuple[str, str, str, bool]:
    return metric.split, metric.cohort, metric.model, metric_parts(metric.metric).corrected


def _common_end(methods: Sequence[str]) -> str:
    """Return the clauses that end all of several methods; of a single one nothing."""
    if len(set(methods)) < 2:
        return ""
    clauses = [method.split("; ")[::-1] for method in methods]
    same = takewhile(lambda here: len(set(here)) == 1, zip(*clauses, strict=False))
    return "; ".join([here[0] for here in same][::-1])


def _timed_table(result: EndpointResult, timed: Sequence[Metric], scene: Scene, key: str) -> Markup:
    """One row per model, one column per metric and month."""
    names = sorted(dict.fromkeys(m.metric.removesuffix(CORRECTED) for m in timed), key=metric_rank)
    columns = [Column("model", "Model"), *(Column(name, scene.metric(result, name), "right") for name in names)]
    columns += [Column("n", "n", "right"), Column("events", "Events", "right")]
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    grey = []
    for (split, cohort), here in by_place(timed):
        for m in sorted(here, key=lambda m: metric_parts(m.metric).corrected):
            corrected = metric_parts(m.metric).corrected
            place = f"{cohort}, {CORRECTED_PLACE}" if corrected else place_label(split, cohort)
            if (split, place, m.model) not in rows:
                grey += [len(rows)] if split == "apparent" and not corrected else []
                rows[split, place, m.model] = {
                    "place": place,
                    "model": model_label(m.model),
                    "m": scene.marks(m.model),
                }
                rows[split, place, m.model] |= {"n": f"{m.n:,}", "events": f"{m.events:,}"}
            rows[split, place, m.model][m.metric.removesuffix(CORRECTED)] = estimate_cell(m)
    caption = f"{result.label}: performance over time"
    shown = list(rows.values())
    return table(f"{key}-over_time-table", columns, shown, caption=caption, group="place", muted=grey, models="m")
