"""What the template needs to show one endpoint: figures, tables and sentences."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.results import EndpointResult, HazardRatio, LogisticTerm, Notice
from hccfeat.report.figures import forest_figure, roc_figure, survival_figure
from hccfeat.report.formatting import (
    APPARENT,
    SPLIT_ORDER,
    count,
    fixed,
    interval,
    metric_label,
    model_label,
    p_value,
    significant,
)
from hccfeat.report.modality_view import modality_views
from hccfeat.report.summary import place_label, places, short_place, summary_table
from hccfeat.report.tables import Column, table

_STATUS = {"stop": "Stop", "caution": "Caution", "info": "Note", "ok": "No warnings"}
_UNJUDGED = "no held-out or external patients, so the models' figures are apparent only."
_KINDS = ("risk group", "risk per SD", "univariable")


def slug(text: str) -> str:
    """Return ``text`` as part of an HTML id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def status_of(notices: Sequence[Notice]) -> dict[str, str]:
    """Return the worst level of some notices and its word."""
    levels = {notice.level for notice in notices}
    level = next((name for name in ("stop", "caution", "info") if name in levels), "ok")
    return {"level": level, "word": _STATUS[level]}


def endpoint_view(result: EndpointResult, index: int, styles: Mapping[str, int], simulated: bool) -> dict[str, Any]:
    """Return the template's view of one endpoint.

    Parameters
    ----------
    result : EndpointResult
        What ``analyze`` found.
    index : int
        Position in the report; makes ids unique whatever the endpoint is called.
    styles : mapping
        Model -> colour number, from :func:`hccfeat.report.figures.model_styles`.
    simulated : bool
        Marks every figure.
    """
    key = f"e{index}-{slug(result.endpoint)}"
    judged = [place for place in places(result) if place[0] != "apparent"]
    return {
        "id": key,
        "label": result.label,
        "endpoint": result.endpoint,
        "sentence": _sentence(result),
        "status": _status(result, judged=bool(judged)),
        "notices": result.notices,
        "attrition": _attrition(result, f"{key}-attrition"),
        "summary": summary_table(result, f"{key}-summary"),
        "judged": bool(judged),
        "rocs": _rocs(result, key, styles, simulated, apparent=False),
        "apparent_rocs": _rocs(result, key, styles, simulated, apparent=True),
        "curves": _curves(result, key, simulated, apparent=False),
        "apparent_curves": _curves(result, key, simulated, apparent=True),
        "forests": _forests(result, key, simulated, apparent=False),
        "apparent_forests": _forests(result, key, simulated, apparent=True),
        "hazards": _hazards(result, f"{key}-hazards"),
        "metrics": _metrics(result, f"{key}-metrics"),
        "modalities": modality_views(result, key, simulated),
        "logistic": [
            {"table": _logistic(terms, name, f"{key}-logistic-{i}")}
            for i, (name, terms) in enumerate(result.logistic.items())
            if terms
        ],
    }


def _status(result: EndpointResult, *, judged: bool) -> dict[str, str]:
    status = status_of(result.notices)
    if result.metrics and not judged and status["level"] in ("ok", "info"):
        return {"level": "caution", "word": "Apparent only"}
    return status


def _sentence(result: EndpointResult) -> str:
    horizon = (
        f"Outcome within {result.horizon_months:g} months"
        if result.horizon_months is not None
        else "Outcome at last follow-up, no horizon"
        if result.timed
        else "A finding without a time"
    )
    seen = []
    for split, cohort in places(result):
        here = [m for m in result.metrics if (m.split, m.cohort) == (split, cohort)]
        if here and split != "apparent":
            most = max(here, key=lambda metric: metric.n)
            seen.append(
                f"{count(most.n, 'patient')} ({count(most.events, 'event')}) of {place_label(split, cohort)}"
            )
    return (
        f"{horizon}; judged on {'; '.join(seen)}."
        if seen
        else f"{horizon}; {_UNJUDGED if result.metrics else 'no model was judged.'}"
    )


def _caption(text: str, simulated: bool) -> str:
    return f"{text} SIMULATED DATA - not clinical evidence." if simulated else text


def _rocs(
    result: EndpointResult, key: str, styles: Mapping[str, int], simulated: bool, *, apparent: bool
) -> list[dict[str, Any]]:
    figures = []
    for i, (split, cohort) in enumerate(places(result)):
        curves = [roc for roc in result.rocs if (roc.split, roc.cohort) == (split, cohort)]
        if not curves or (split == "apparent") is not apparent:
            continue
        limits = {
            m.model: (m.lower, m.upper)
            for m in result.metrics
            if (m.split, m.cohort) == (split, cohort) and metric_label(m.metric) == "AUROC"
        }
        title = short_place(split, cohort)
        name = f"{key}-roc-{i}"
        drawn = roc_figure(name, curves, limits, styles, title=title, simulated=simulated)
        text = f"{result.label}: receiver operating characteristic, {place_label(split, cohort)}."
        figures.append({"id": name, "svg": drawn, "caption": _caption(text, simulated)})
    return figures


def _curves(result: EndpointResult, key: str, simulated: bool, *, apparent: bool) -> list[dict[str, Any]]:
    figures = []
    order = {split: i for i, split in enumerate(SPLIT_ORDER)}
    for i, group in enumerate(sorted(result.groups, key=lambda group: order.get(group.split, len(order)))):
        if (group.split == "apparent") is not apparent or not group.curves:
            continue
        title = f"{model_label(group.model)}: {short_place(group.split, group.cohort)}"
        name = f"{key}-km-{i}"
        text = (
            f"{result.label}: Kaplan-Meier curves with 95 % bands, {place_label(group.split, group.cohort)}; "
            f"cut at the training median, {group.cut:.4g}. {group.note}"
        ).strip()
        drawn = survival_figure(name, group, title=title, simulated=simulated)
        figures.append({"id": name, "svg": drawn, "caption": _caption(text, simulated)})
    return figures


def _is_apparent(ratio: HazardRatio) -> bool:
    return "apparent" in ratio.kind


def _kind_rank(kind: str) -> int:
    return next((i for i, start in enumerate(_KINDS) if kind.startswith(start)), len(_KINDS))


def _forests(result: EndpointResult, key: str, simulated: bool, *, apparent: bool) -> list[dict[str, Any]]:
    figures = []
    for i, cohort in enumerate(dict.fromkeys(ratio.cohort for ratio in result.hazard_ratios)):
        here = [r for r in result.hazard_ratios if r.cohort == cohort and _is_apparent(r) is apparent]
        rows: list[tuple[str, HazardRatio | None]] = []
        for kind in sorted(dict.fromkeys(ratio.kind for ratio in here), key=_kind_rank):
            rows.append((f"{kind[:1].upper()}{kind[1:]}", None))
            rows += [(model_label(ratio.term), ratio) for ratio in here if ratio.kind == kind]
        if not rows:
            continue
        name = f"{key}-forest-{'apparent' if apparent else 'judged'}-{i}"
        text = f"{result.label}: hazard ratios with 95 % intervals, {cohort}{f', {APPARENT}' if apparent else ''}."
        drawn = forest_figure(name, rows, title=f"{cohort}{', apparent' if apparent else ''}", simulated=simulated)
        figures.append({"id": name, "svg": drawn, "caption": _caption(text, simulated)})
    return figures


def _attrition(result: EndpointResult, key: str) -> Markup:
    columns = [Column("place", "Cohort and split")]
    columns += [Column(name, name.capitalize(), "right") for name in ("patients", "labelled", "events", "excluded")]
    columns.append(Column("reason", "Reason of exclusion"))
    rows = [
        row | {"place": place_label(str(row.get("split", "")), str(row.get("cohort", "")))}
        for row in result.attrition
    ]
    clean = [{k: "" if v is None else v for k, v in row.items()} for row in rows]
    return table(key, columns, clean, caption=f"{result.label}: who could be labelled")


def _hazards(result: EndpointResult, key: str) -> Markup:
    columns = [
        Column("term", "Term"),
        *(Column(name, label, "right") for name, label in (("hr", "HR"), ("limits", "95 % CI"), ("p", "P"))),
        *(Column(name, label, "right") for name, label in (("n", "n"), ("events", "Events"))),
        Column("ties", "Ties"),
    ]
    cohorts = list(dict.fromkeys(r.cohort for r in result.hazard_ratios))
    ratios = sorted(
        result.hazard_ratios, key=lambda r: (_is_apparent(r), cohorts.index(r.cohort), _kind_rank(r.kind), r.kind)
    )
    rows = [
        {
            "group": f"{r.cohort}, {r.kind}" + (": not evidence of performance" if _is_apparent(r) else ""),
            "term": model_label(r.term),
            "hr": significant(r.hr),
            "limits": _limits(r.lower, r.upper),
            "p": p_value(r.p),
            "n": f"{r.n:,}",
            "events": f"{r.events:,}",
            "ties": r.ties,
        }
        for r in ratios
    ]
    grey = [i for i, ratio in enumerate(ratios) if _is_apparent(ratio)]
    return table(key, columns, rows, caption=f"{result.label}: hazard ratios (Cox)", group="group", muted=grey)


def _limits(lower: float | None, upper: float | None) -> str:
    return "" if lower is None or upper is None else f"{significant(lower)}–{significant(upper)}"


def _metrics(result: EndpointResult, key: str) -> Markup:
    columns = [
        Column("model", "Model"),
        Column("metric", "Metric"),
        *(Column(name, label, "right") for name, label in (("estimate", "Estimate"), ("limits", "95 % interval"))),
        *(Column(name, label, "right") for name, label in (("n", "n"), ("events", "Events"))),
        Column("method", "Method"),
    ]
    found = places(result)
    metrics = sorted(result.metrics, key=lambda m: found.index((m.split, m.cohort)))
    rows = [
        {
            "group": place_label(m.split, m.cohort),
            "model": model_label(m.model),
            "metric": metric_label(m.metric),
            "estimate": fixed(m.estimate, 4),
            "limits": interval(m.lower, m.upper, 4),
            "n": f"{m.n:,}",
            "events": f"{m.events:,}",
            "method": m.method,
        }
        for m in metrics
    ]
    grey = [i for i, metric in enumerate(metrics) if metric.split == "apparent"]
    return table(key, columns, rows, caption=f"{result.label}: every metric", group="group", muted=grey)


def _logistic(terms: Sequence[LogisticTerm], name: str, key: str) -> Markup:
    columns = [
        Column("term", "Term"),
        *(Column(name, label, "right") for name, label in (("coefficient", "Coefficient"), ("se", "SE"))),
        *(
            Column(name, label, "right")
            for name, label in (("odds", "Odds ratio"), ("limits", "95 % CI"), ("p", "P"))
        ),
    ]
    rows = [
        {
            "term": t.term,
            "coefficient": significant(t.coefficient),
            "se": significant(t.standard_error),
            "odds": significant(t.odds_ratio),
            "limits": _limits(t.lower, t.upper),
            "p": p_value(t.p),
        }
        for t in terms
    ]
    return table(key, columns, rows, caption=f"Coefficients: {model_label(name)}")
