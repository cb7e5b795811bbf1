"""The table on top of the report: models by metrics, per endpoint, cohort and split."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from hccfeat.analysis.results import EndpointResult, Metric
from hccfeat.report.formatting import (
    METRIC_ORDER,
    MISSING,
    SPLIT_LABELS,
    SPLIT_ORDER,
    fixed,
    interval,
    metric_label,
    model_label,
)
from hccfeat.report.tables import Column, table

_HELP = {
    "AUROC": "Area under the receiver operating characteristic curve: 0.5 is chance, 1 is perfect",
    "AUPR": "Area under the precision-recall curve; chance is the share of patients with the event",
    "C-index": "Harrell's concordance: 0.5 is chance, 1 is perfect",
    "Accuracy": "Share of patients called right at the threshold",
    "Precision": "Share of called patients who had the event",
    "Recall": "Share of patients with the event who were called",
    "F1": "Harmonic mean of precision and recall",
}
_SCALED = ("AUROC",)


def places(result: EndpointResult) -> list[tuple[str, str]]:
    """Return the (split, cohort) pairs of an endpoint: held-out first, apparent last."""
    found: dict[tuple[str, str], None] = {}
    for source in (result.metrics, result.rocs, result.groups):
        for item in source:
            found.setdefault((item.split, item.cohort))
    order = {split: i for i, split in enumerate(SPLIT_ORDER)}
    return sorted(found, key=lambda place: order.get(place[0], len(order)))  # type: ignore[call-overload]


def place_label(split: str, cohort: str) -> str:
    """Return ``internal, held out``; a cohort that is called external is not called so twice."""
    if split == "external" and cohort == "external":
        return "external cohort"
    return f"{cohort}, {SPLIT_LABELS.get(split, split)}"  # type: ignore[call-overload]


def short_place(split: str, cohort: str) -> str:
    """Return :func:`place_label` short enough for a figure's title."""
    return f"{cohort}, apparent" if split == "apparent" else place_label(split, cohort)


def summary_table(result: EndpointResult, key: str) -> Markup:
    """Return models x metrics of one endpoint, grouped by cohort and split; apparent rows are grey."""
    labels = list(dict.fromkeys(metric_label(m.metric) for m in result.metrics))
    chosen = [label for label in METRIC_ORDER if label in labels and label in _HELP] or labels[:8]
    columns = [Column("model", "Model")]
    for label in chosen:
        columns.append(Column(label, label, "right", _HELP.get(label, "")))
        if label in _SCALED:
            columns.append(
                Column(f"{label} bar", "0 · 0.5 · 1", "center", f"{label} and its 95 % interval, drawn from 0 to 1")
            )
    columns += [Column("n", "n", "right", "Patients judged"), Column("events", "Events", "right")]
    rows: list[dict[str, Any]] = []
    muted: list[int] = []
    for split, cohort in places(result):
        here = [m for m in result.metrics if (m.split, m.cohort) == (split, cohort)]
        for model in dict.fromkeys(m.model for m in here):
            mine = [m for m in here if m.model == model and metric_label(m.metric) in chosen]
            if mine:
                muted += [len(rows)] if split == "apparent" else []
                rows.append(_row(place_label(split, cohort), model, mine))
    return table(key, columns, rows, caption=f"{result.label}: models and metrics", group="place", muted=muted)


def _row(place: str, model: str, metrics: Sequence[Metric]) -> dict[str, Any]:
    row: dict[str, Any] = {"place": place, "model": model_label(model)}
    for metric in metrics:
        label = metric_label(metric.metric)
        if label in row:
            continue
        row[label] = estimate_cell(metric)
        row[f"{label} bar"] = bar(metric)
    row["n"] = _span([m.n for m in metrics])
    row["events"] = _span([m.events for m in metrics])
    return row


def estimate_cell(metric: Metric) -> Markup:
    """Return an estimate over its interval; where there is none, a dash that says why."""
    if metric.estimate is None:
        return Markup('<span title="{}">{}</span>').format(metric.method, MISSING)
    limits = interval(metric.lower, metric.upper, 2)
    below = Markup('<span class="limits">{}</span>').format(limits) if limits else ""
    return Markup('<span class="estimate">{}</span>{}').format(fixed(metric.estimate, 3), below)


def bar(metric: Metric) -> Markup:
    """Return a tiny drawing of an estimate between 0 and 1 with its interval; the numbers stand beside it."""
    if metric.estimate is None or not 0 <= metric.estimate <= 1:
        return Markup("")
    lower = metric.estimate if metric.lower is None else min(max(metric.lower, 0.0), 1.0)
    upper = metric.estimate if metric.upper is None else min(max(metric.upper, 0.0), 1.0)
    place = f"--lo:{lower:.3f};--mid:{metric.estimate:.3f};--hi:{upper:.3f}"
    return Markup('<span class="bar" aria-hidden="true" style="{}"><i></i></span>').format(escape(place))


def _span(values: Sequence[int]) -> str:
    low, high = min(values, default=0), max(values, default=0)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
