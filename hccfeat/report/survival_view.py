"""The parts of an endpoint about time: follow-up of everybody, risk groups, and competing events."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from hccfeat.analysis.results import CohortSurvival, EndpointResult, GroupComparison, IncidenceCurve, SurvivalCurve
from hccfeat.report.blocks import (
    Block,
    FigureView,
    Part,
    Scene,
    block,
    by_place,
    place_label,
    short_place,
    split_rank,
    who_label,
)
from hccfeat.report.formatting import (
    MISSING,
    fixed,
    interval,
    is_number,
    model_label,
    p_value,
    risk_scale,
    with_interval,
)
from hccfeat.report.layout import month_marks
from hccfeat.report.survival_figures import incidence_figure, survival_figure
from hccfeat.report.tables import Column, table


def follow_up(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Event-free survival of everybody in each cohort and split, with the median follow-up."""
    figures, rows = [], []
    for i, found in enumerate(sorted(result.survival, key=lambda s: split_rank(s.split))):
        place = who_label(found.split, found.cohort)
        name, title = f"{key}-everybody-{i}", place
        alone = GroupComparison("", found.cohort, found.split, float("nan"), (found.curve,), None, None)
        drawn = survival_figure(name, alone, title=title, simulated=scene.simulated, tested=False)
        text = f"{result.label}: Kaplan-Meier curve of everybody with its 95 % band, {place}."
        figures.append(FigureView(name, drawn, scene.caption(text)))
        rows.append(
            {"place": place} | _curve_cells(found.curve) | {"follow_up": _followed(found), "note": found.note}
        )
    columns = [Column("place", "Cohort and split"), *_CURVE_COLUMNS]
    columns.append(Column("follow_up", "Median follow-up, months", "right", "Reverse Kaplan-Meier, not cut"))
    columns += [Column("note", "Note")] if any(row["note"] for row in rows) else []
    caption = f"{result.label}: follow-up and survival of everybody"
    shown = table(f"{key}-follow_up-table", columns, rows, caption=caption)
    return block(result, scene, "follow_up", Part(figures=figures, tables=[shown]))


def risk_groups(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Kaplan-Meier curves of the risk groups, one figure per model and place; apparent ones only without others."""
    figures: dict[bool, list[FigureView]] = {False: [], True: []}
    rows = []
    groups = sorted(
        result.groups, key=lambda g: (scene.styles.get(g.model, len(scene.styles)), split_rank(g.split))
    )
    judged = any(group.split != "apparent" for group in groups)
    for i, group in enumerate(groups):
        apparent = group.split == "apparent"
        rows += [_group_row(group, j, scene) for j in range(len(group.curves))]
        if not group.curves or (apparent and judged):
            continue
        name, label = f"{key}-km-{i}", model_label(group.model)
        place = place_label(group.split, group.cohort)
        text = (
            f"{result.label}: Kaplan-Meier curves with 95 % bands, {label}, {place}; "
            f"cut at the training median, {_cut(group)}.{_sentence(group.note)}"
        )
        title = f"{label}: {short_place(group.split, group.cohort)}"
        drawn = survival_figure(name, group, title=title, simulated=scene.simulated)
        marks = scene.marks(group.model)
        figures[apparent].append(
            FigureView(name, drawn, scene.caption(text), model=marks[0] if marks else None, tab=label)
        )
    shown = _groups(result, rows, f"{key}-groups-table")
    return block(result, scene, "survival", Part(figures=figures[False], apparent=figures[True], tables=[shown]))


def competing(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Cumulative incidence of each cause, one figure per cohort and split, and its values at a few times."""
    figures, rows = [], []
    for i, ((split, cohort), curves) in enumerate(by_place(result.incidences)):
        name, place = f"{key}-incidence-{i}", who_label(split, cohort)
        drawn = incidence_figure(name, curves, title=place, simulated=scene.simulated)
        text = f"{result.label}: cumulative incidence with 95 % bands, {place}; {curves[0].method}."
        figures.append(FigureView(name, drawn, scene.caption(text)))
        rows += [row for curve in curves for row in _incidence_rows(curve, place)]
    columns = [
        Column("group", "Patients and event"),
        Column("months", "Months", "right"),
        Column("incidence", "Incidence (95 % interval)", "right"),
        Column("n", "n", "right"),
        Column("events", "Events in all", "right", "By the end of the curve, not by the month of the row"),
    ]
    caption = f"{result.label}: cumulative incidence"
    shown = table(f"{key}-competing-table", columns, rows, caption=caption, group="place")
    return block(result, scene, "competing", Part(figures=figures, tables=[shown]))


_CURVE_COLUMNS = (
    Column("n", "n", "right"),
    Column("events", "Events", "right"),
    Column("median", "Median, months (95 % CI)", "right"),
    Column(
        "mean",
        "Event-free months (95 % CI) of the first",
        "right",
        "Restricted mean: the area under the curve up to the month given last",
    ),
)


def _curve_cells(curve: SurvivalCurve) -> dict[str, Any]:
    median = "not reached"
    if is_number(curve.median):
        upper = "not reached" if curve.median_upper is None else fixed(curve.median_upper, 1)
        lower = curve.median_lower
        median = fixed(curve.median, 1) + (f" ({fixed(lower, 1)}–{upper})" if lower is not None else "")
    mean = with_interval(curve.restricted_mean, curve.restricted_lower, curve.restricted_upper, 1)
    if curve.restricted_to is not None:
        mean += f" of {curve.restricted_to:.4g}"
    return {"n": f"{curve.n:,}", "events": f"{curve.events:,}", "median": median, "mean": mean}


def _cut(group: GroupComparison) -> str:
    scale = risk_scale(group.model)
    return f"{group.cut:.4g}" + (f" ({scale})" if scale else "")


def _sentence(note: str) -> str:
    return f" {note[:1].upper()}{note[1:].rstrip('.')}." if note else ""


def _followed(found: CohortSurvival) -> str:
    return with_interval(found.follow_up, found.follow_up_lower, found.follow_up_upper, 1)


def _group_row(group: GroupComparison, index: int, scene: Scene) -> dict[str, Any]:
    curve = group.curves[index]
    expected = group.expected[index] if index < len(group.expected) else None
    tested = is_number(group.logrank_p)
    return {
        "place": place_label(group.split, group.cohort),
        "split": group.split,
        "model": model_label(group.model),
        "group": curve.label,
        "expected": "" if expected is None else fixed(expected, 1),
        "chisq": fixed(group.logrank_chisq, 2),
        "p": p_value(group.logrank_p),
        "test": (group.test or "log-rank") if tested else "",
        "note": group.note,
        "m": scene.marks(group.model),
    } | _curve_cells(curve)


def _groups(result: EndpointResult, rows: Sequence[dict[str, Any]], key: str) -> Markup:
    first, *others = _CURVE_COLUMNS
    columns = [Column("model", "Model"), Column("group", "Group"), first, others[0]]
    columns += [Column("expected", "Expected", "right", "Events expected if all groups shared one hazard")]
    columns += [*others[1:], Column("chisq", "χ²", "right"), Column("p", "P", "right")]
    columns += [Column("test", "Test", "wide"), Column("note", "Note", "wide")]
    shown = [row for here in _by_place(rows) for row in _shared_note(here)]
    used = [
        c for c in columns if c.key in ("model", "group") or any(row[c.key] not in ("", MISSING) for row in shown)
    ]
    grey = [i for i, row in enumerate(shown) if row["split"] == "apparent"]
    caption = f"{result.label}: risk groups"
    return table(key, used, shown, caption=caption, group="place", muted=grey, models="m")


def _by_place(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    ordered = sorted(rows, key=lambda row: (split_rank(row["split"]), row["place"]))
    return [list(here) for _, here in groupby(ordered, key=lambda row: row["place"])]


def _shared_note(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say a note that all rows of a place have in their heading."""
    (note, *others) = dict.fromkeys(row["note"] for row in rows)
    if not note or others or len(rows) < 3:
        return rows
    return [{**row, "place": f"{row['place']}.{_sentence(note)}", "note": ""} for row in rows]


def _incidence_rows(curve: IncidenceCurve, place: str) -> list[dict[str, Any]]:
    """Values at whole parts of the curve's time, after the last step before each."""
    rows = []
    for months in month_marks(float(curve.times[-1]) if len(curve.times) else 0.0)[1:]:
        at = int(np.searchsorted(curve.times, months, side="right")) - 1
        low, value, high = (
            100 * float(v[at]) if at >= 0 else 0.0 for v in (curve.lower, curve.incidence, curve.upper)
        )
        rows.append(
            {
                "place": place,
                "group": f"{curve.label}: {curve.cause}" if curve.label else curve.cause,
                "months": f"{months:g}",
                "incidence": f"{value:.1f} %" + (f" ({interval(low, high, 1)})" if value else ""),
                "n": f"{curve.n:,}",
                "events": f"{curve.events:,}",
            }
        )
    return rows
