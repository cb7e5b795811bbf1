"""Items 18-23, 41 and 42: the PPS risk at three horizons, held out and external (P1, Fig 4, 5, S8, S9)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.models import PPS
from hccfeat.analysis.prognosis import Place
from hccfeat.analysis.results import GroupComparison, HazardRatio
from hccfeat.report.figures import roc_figure, survival_figure
from hccfeat.report.formatting import MISSING, fixed, p_value, with_interval
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.items.prognosis_metrics import precision_recall_blocks, threshold_blocks
from hccfeat.reproduction.items.prognosis_times import regression_blocks, times_blocks
from hccfeat.reproduction.judged import (
    ESTIMATE,
    JudgedHorizon,
    columns,
    estimate_cells,
    judged_at,
    nothing_shown,
    printed_number,
    printed_text,
    remarked,
    signed,
    triple,
)
from hccfeat.reproduction.printed import difference, printed


def _roc(context: Context, place: Place) -> list[Block]:
    """AUROC and ROC curves of the horizons in one place (Fig 4A, 5A)."""
    found, notes = judged_at(context, place)
    rows, data, curves, limits = [], [], [], {}
    for judged in found:
        estimate = judged.estimate("auroc", PPS)
        if estimate is None:
            continue
        cells, numbers = estimate_cells(
            estimate, printed_number("prognosis", judged.printed_place, judged.endpoint)
        )
        label = judged.judges.label
        rows.append({"endpoint": label, **cells})
        data.append({**judged.identity(PPS, "auroc"), **numbers})
        roc = [r for r in judged.result.rocs if (r.model, r.split, r.cohort) == _key(judged)]
        curves += [replace(curve, model=label) for curve in roc]
        limits[label] = (estimate.lower, estimate.upper)
    shown = columns(("endpoint", "Endpoint"), numbers=ESTIMATE) + columns(("method", "Method"))
    blocks: list[Block] = [Table(shown, rows, f"AUROC of the PPS risk, {found[0].where}", data=data)]
    if curves:
        styles = {judged.judges.label: i for i, judged in enumerate(found)}
        points = [
            {"endpoint": curve.model, "false_positive_rate": float(x), "true_positive_rate": float(y)}
            for curve in curves
            for x, y in zip(curve.false_positive_rate, curve.true_positive_rate, strict=True)
        ]

        def draw(key: str, simulated: bool) -> Markup:
            return roc_figure(key, curves, limits, styles, title="PPS risk", simulated=simulated)

        blocks.append(Figure(draw, f"ROC curves of the PPS risk, {found[0].where}", points))
    return [*blocks, *notes]


def _key(judged: JudgedHorizon) -> tuple[str, str, str]:
    return PPS, judged.place, judged.judges.patients.cohort


def _survival(context: Context, place: Place) -> list[Block]:
    """Kaplan-Meier curves with the log-rank test, recurrence counted up to the horizon (Fig 4C, 5C)."""
    found, notes = judged_at(context, place)
    rows, data = [], []
    figures: list[Block] = []
    for judged in found:
        groups = [g for g in judged.result.groups if (g.model, g.split, g.cohort) == _key(judged)]
        if not groups:
            notes.append(Note(f"{judged.judges.label}: no patient has a follow-up time.", "caution"))
            continue
        hazards = {
            row.kind: row
            for row in judged.result.hazard_ratios
            if row.term == PPS and row.cohort == judged.judges.patients.cohort
        }
        shown, numbers = _survival_cells(judged, groups[0], hazards)
        rows.append(shown)
        data.append(numbers)
        figures.append(_survival_figure(judged, groups[0]))
    if not rows:
        raise nothing_shown(found[0].where, notes)
    shown_columns = columns(
        ("endpoint", "Recurrence counted until"),
        numbers=(
            ("n", "n low, high"),
            ("events", "Events low, high"),
            ("chisq", "Log-rank χ²"),
            ("p", "P"),
            ("printed", "Printed P"),
            ("difference", "Difference"),
            ("hr", "HR high against low"),
            ("per_sd", "HR per SD"),
        ),
    )
    shown_columns += columns(("note", "Not given, why"))
    caption = f"Risk groups cut at the training median of the same endpoint, {found[0].where}"
    return [Table(remarked(shown_columns, rows), rows, caption, data=data), *figures, *notes]


def _survival_figure(judged: JudgedHorizon, group: GroupComparison) -> Figure:
    def draw(key: str, simulated: bool) -> Markup:
        return survival_figure(key, group, title=judged.judges.label, simulated=simulated)

    steps = [
        {"endpoint": judged.endpoint, "group": curve.label, "months": float(t), "event_free": float(s)}
        for curve in group.curves
        for t, s in zip(curve.times, curve.survival, strict=True)
    ]
    return Figure(draw, f"{judged.judges.label}: Kaplan-Meier curves with 95 % bands, {judged.where}.", steps)


def _survival_cells(
    judged: JudgedHorizon, group: GroupComparison, hazards: dict[str, HazardRatio]
) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = ("prognosis", judged.printed_place, f"logrank_p_{judged.endpoint}")
    by_label = {curve.label: curve for curve in group.curves}
    sizes = [getattr(by_label.get(f"{name} risk"), what, 0) for what in ("n", "events") for name in ("low", "high")]
    ratios = {kind: hazards.get(kind) for kind in ("risk group", "risk per SD")}
    text = {kind: with_interval(row.hr, row.lower, row.upper) if row else MISSING for kind, row in ratios.items()}
    gap = difference(group.logrank_p, printed_number(*keys))
    shown = {
        "endpoint": judged.judges.label,
        "n": f"{sizes[0]}, {sizes[1]}",
        "events": f"{sizes[2]}, {sizes[3]}",
        "chisq": fixed(group.logrank_chisq, 2),
        "p": p_value(group.logrank_p),
        "printed": printed_text(*keys) if printed(*keys) else printed_text(*keys[:2], "logrank"),
        "difference": signed(gap, 4),
        "hr": text["risk group"],
        "per_sd": text["risk per SD"],
        "note": group.note,
    }
    data: dict[str, Any] = {
        "endpoint": judged.endpoint,
        "place": judged.place,
        **dict(zip(("n_low", "n_high", "events_low", "events_high"), sizes, strict=True)),
        "cut": group.cut,
        "logrank_chisq": group.logrank_chisq,
        "logrank_p": group.logrank_p,
        "printed_p": printed(*keys),
        "difference": gap,
    }
    for kind, row in ratios.items():
        limits = (row.hr, row.lower, row.upper) if row else (None, None, None)
        data |= triple(f"hr_{kind.replace(' ', '_')}", *limits)
    return shown, data | {"note": group.note}


def _supplement(context: Context, place: Place) -> list[Block]:
    """Precision-recall, metrics at the threshold and the regression of time on risk (Fig S8, S9)."""
    found, notes = judged_at(context, place)
    return [*precision_recall_blocks(found), *threshold_blocks(found), *regression_blocks(context, found), *notes]


def _item(
    number: int, where: str, title: str, build: Callable[[Context, Place], list[Block]], place: Place
) -> Item:
    return Item(number, where, title, lambda context: build(context, place))


ITEMS: tuple[Item, ...] = (
    _item(18, "Fig 4A", "ROC of the prognostic model, held-out patients", _roc, "held_out"),
    _item(19, "Fig 4B", "Time to recurrence by predicted group, held-out patients", times_blocks, "held_out"),
    _item(20, "Fig 4C", "Kaplan-Meier curves of the risk groups, held-out patients", _survival, "held_out"),
    _item(21, "Fig 5A", "ROC of the prognostic model, external patients", _roc, "external"),
    _item(22, "Fig 5B", "Time to recurrence by predicted group, external patients", times_blocks, "external"),
    _item(23, "Fig 5C", "Kaplan-Meier curves of the risk groups, external patients", _survival, "external"),
    _item(41, "S8", "More on the prognostic model, held-out patients", _supplement, "held_out"),
    _item(42, "S9", "More on the prognostic model, external patients", _supplement, "external"),
)
