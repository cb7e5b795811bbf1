"""The table on top of the report: models by metrics, per endpoint, cohort and split."""

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from hccfeat.analysis.results import EndpointResult, Metric
from hccfeat.report.blocks import Scene, place_label, split_rank
from hccfeat.report.formatting import (
    CORRECTED,
    MISSING,
    fixed,
    interval,
    metric_label,
    metric_parts,
    metric_rank,
    model_label,
)
from hccfeat.report.tables import Column, table

HELP = {
    "AUROC": "Area under the receiver operating characteristic curve: 0.5 is chance, 1 is perfect",
    "AUPR": "Area under the precision-recall curve; chance is the share of patients with the event",
    "C-index": "Harrell's concordance: 0.5 is chance, 1 is perfect",
    "Uno's C": "Concordance weighted for censoring: 0.5 is chance, 1 is perfect",
    "AUC": "AUC at that time, weighted for censoring: 0.5 is chance, 1 is perfect",
    "Brier score": "Mean squared error of the predicted risk: lower is better",
    "Scaled Brier score": "Brier score against that of the average risk: 0 is no gain, 1 is perfect",
    "Integrated Brier score": "Brier score averaged over time: lower is better",
    "Calibration slope": "1 is perfect; below 1 predictions are too extreme. Where it says log hazard: the slope "
    "of Cox regression on the predicted log hazard over the whole follow-up, not that at one time",
    "Calibration intercept": "0 is perfect; below 0 the risks are too high on average",
    "ICI": "Mean distance between predicted and observed risk",
    "E50": "Median distance between predicted and observed risk",
    "E90": "90th percentile of the distance between predicted and observed risk",
    "Net benefit": "True positives per patient less false ones, weighted by the odds of the threshold; of "
    "cross-validated models the mean over folds, not that of averaged probabilities as under Decision curves",
    "Accuracy": "Share of patients called right at the threshold",
    "Precision": "Share of called patients who had the event",
    "Recall": "Share of patients with the event who were called",
    "F1": "Harmonic mean of precision and recall",
}
_SHOWN = (
    "AUROC",
    "AUPR",
    "C-index",
    "AUC",
    "Brier score",
    "Calibration slope",
)
"""What a page of 1280 pixels has room for; the others are chosen from the menu of columns."""
_SCALED = ("AUROC", "C-index", "Uno's C")
_TIMED = ("C-index", "Uno's C", "AUC")
"""First without a horizon: they see the length of follow-up, which the label ignores."""
_FOLDS = re.compile(r"^mean of (\d+) of \d+ folds")
CORRECTED_PLACE = "corrected for optimism"
BAR = "0 · 0.5 · 1"


def places(result: EndpointResult) -> list[tuple[str, str]]:
    """Return the (split, cohort) pairs of an endpoint: held-out first, apparent last."""
    found: dict[tuple[str, str], None] = {}
    for source in (result.metrics, result.rocs, result.groups):
        for item in source:
            found.setdefault((item.split, item.cohort))
    return sorted(found, key=lambda place: split_rank(place[0]))


def summary_table(result: EndpointResult, key: str, scene: Scene) -> Markup:
    """Return models x metrics of one endpoint, by cohort and split; apparent rows are grey.

    Apparent numbers that were corrected for optimism have rows of their own. Columns other than the most telling
    ones start hidden where the page's script runs.
    """
    rows: list[dict[str, Any]] = []
    muted: list[int] = []
    labels = {metric_label(m.metric) for m in result.metrics}
    late = result.timed and result.horizon_months is None
    drawn = next((label for label in (_TIMED if late else _SCALED) if label in labels), "")
    for split, cohort in places(result):
        here = [m for m in result.metrics if (m.split, m.cohort) == (split, cohort)]
        for corrected in (True, False):
            mine = [m for m in here if metric_parts(m.metric).corrected is corrected]
            place = f"{cohort}, {CORRECTED_PLACE}" if corrected else place_label(split, cohort)
            for model in dict.fromkeys(m.model for m in mine):
                muted += [len(rows)] if split == "apparent" and not corrected else []
                own = [m for m in mine if m.model == model]
                rows.append(_row(place, model, own, drawn) | {"m": scene.marks(model)})
    caption = f"{result.label}: models and metrics"
    columns = _columns(result, scene, drawn, late=late, folds=any(row["folds"] for row in rows))
    return table(key, columns, rows, caption=caption, group="place", muted=muted, models="m")


def _columns(result: EndpointResult, scene: Scene, drawn: str, *, late: bool, folds: bool) -> list[Column]:
    """Return the columns: model and patients, then metrics; ``late`` puts those first that see the follow-up."""
    names = sorted(dict.fromkeys(m.metric.removesuffix(CORRECTED) for m in result.metrics), key=metric_rank)
    bases = {name: metric_label(metric_parts(name).base) for name in names}
    if late:
        names.sort(key=lambda name: bases[name] not in _TIMED)
    known = any(base in _SHOWN for base in bases.values())
    columns = [
        Column("model", "Model"),
        Column("n", "n", "right", "Patients judged; metrics can differ in whom they need"),
        Column("events", "Events", "right", "By the horizon; without one, by the month of each metric"),
    ]
    after = [Column("folds", "Folds", "right", "Whose figures are averaged")] if folds else []
    for i, name in enumerate(names):
        base, months = bases[name], metric_parts(name).months
        off = base not in _SHOWN if known else i >= len(_SHOWN)
        if known and "auroc" in names:
            off = off or (base not in (*_TIMED, "AUROC") if late else months is not None)
        label = scene.metric(result, name)
        columns.append(Column(metric_label(name), label, "right", HELP.get(base, ""), off))
        if metric_label(name) == drawn:
            columns.append(Column("bar", BAR, "center", f"{label} and its 95 % interval, drawn from 0 to 1"))
            columns += after
    return columns if drawn else [*columns, *after]


def _row(place: str, model: str, metrics: Sequence[Metric], drawn: str) -> dict[str, Any]:
    row: dict[str, Any] = {"place": place, "model": model_label(model)}
    for metric in metrics:
        label = metric_label(metric.metric)
        row.setdefault(label, estimate_cell(metric))
        if label == drawn:
            row["bar"] = bar(metric)
        if metric.metric == f"calibration_slope{CORRECTED}" and any(metric_parts(m.metric).months for m in metrics):
            row[label] += Markup('<span class="limits">log hazard</span>')
    row["folds"] = _span([int(found[1]) for m in metrics if (found := _FOLDS.match(m.method))])
    row["n"] = _span([m.n for m in metrics])
    row["events"] = _span([m.events for m in metrics])
    return row


def estimate_cell(metric: Metric) -> Markup:
    """Return an estimate over its interval, or a dash that says why there is none: its method's first clause."""
    if metric.estimate is None:
        return Markup('<span title="{}">{}</span>').format(metric.method.split("; ")[0], MISSING)
    limits = interval(metric.lower, metric.upper, 2)
    below = Markup('<span class="limits">{}</span>').format(limits) if limits else ""
    return Markup('<span class="estimate">{}</span> {}').format(fixed(metric.estimate, 3), below)


def bar(metric: Metric) -> Markup:
    """Return a tiny drawing of an estimate between 0 and 1 with its interval; the numbers stand beside it."""
    if metric.estimate is None or not 0 <= metric.estimate <= 1:
        return Markup("")
    lower = metric.estimate if metric.lower is None else min(max(metric.lower, 0.0), 1.0)
    upper = metric.estimate if metric.upper is None else min(max(metric.upper, 0.0), 1.0)
    place = f"--lo:{lower:.3f};--mid:{metric.estimate:.3f};--hi:{upper:.3f}"
    return Markup('<span class="bar" aria-hidden="true" style="{}"><i></i></span>').format(escape(place))


def _span(values: Sequence[int]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
