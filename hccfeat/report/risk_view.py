"""The parts of an endpoint about predicted risks: calibration, their distribution, and decision curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from hccfeat.analysis.results import DecisionCurve, EndpointResult
from hccfeat.report.blocks import Block, FigureView, Part, Scene, block, by_place, place_label, short_place
from hccfeat.report.curve_figures import calibration_figure, decision_figure, distribution_figure
from hccfeat.report.formatting import fixed, metric_label, model_label
from hccfeat.report.summary import HELP, estimate_cell
from hccfeat.report.tables import Column, table

CALIBRATION = ("calibration_slope", "calibration_intercept", "ici", "e50", "e90", "brier", "brier_scaled")
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Where the table of decision curves reads the net benefit."""


def calibration(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Calibration curves of all models, one figure per cohort, split and time, and their numbers."""
    figures: dict[bool, list[FigureView]] = {False: [], True: []}
    for (split, cohort), here in by_place(_judged_or_all(result.calibrations)):
        for months, curves in _by_months(here):
            name = f"{key}-calibration-{len(figures[False]) + len(figures[True])}"
            when = _when(result, months)
            title = f"{short_place(split, cohort)}, {when}"
            drawn = calibration_figure(name, curves, scene.styles, title=title, simulated=scene.simulated)
            place = place_label(split, cohort)
            text = f"{result.label}: calibration with 95 % bands, {place}, {when}; {curves[0].method}."
            figures[split == "apparent"].append(FigureView(name, drawn, scene.caption(text)))
    shown = _numbers(result, scene, f"{key}-calibration-table")
    return block(result, scene, "calibration", Part(figures=figures[False], apparent=figures[True], tables=[shown]))


def distribution(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Histograms of the risk by outcome, one figure per cohort and split."""
    figures: dict[bool, list[FigureView]] = {False: [], True: []}
    for i, ((split, cohort), found) in enumerate(by_place(_judged_or_all(result.distributions))):
        name, title = f"{key}-risk-{i}", short_place(split, cohort)
        drawn = distribution_figure(name, found, scene.styles, title=title, simulated=scene.simulated)
        how = f"; {found[0].method}" if found[0].method else ""
        text = f"{result.label}: distribution of the predicted risk, {place_label(split, cohort)}{how}."
        figures[split == "apparent"].append(FigureView(name, drawn, scene.caption(text)))
    return block(result, scene, "distribution", Part(figures=figures[False], apparent=figures[True]))


def decision(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Decision curves of all models, one figure per cohort, split and time, and net benefit at some thresholds."""
    figures: dict[bool, list[FigureView]] = {False: [], True: []}
    tables = []
    for (split, cohort), here in by_place(_judged_or_all(result.decisions)):
        for months, curves in _by_months(here):
            i = len(figures[False]) + len(figures[True])
            name, when = f"{key}-decision-{i}", _when(result, months)
            title = f"{short_place(split, cohort)}, {when}"
            drawn = decision_figure(name, curves, scene.styles, title=title, simulated=scene.simulated)
            text = f"{result.label}: decision curves, {place_label(split, cohort)}, {when}; {curves[0].method}."
            figures[split == "apparent"].append(FigureView(name, drawn, scene.caption(text)))
            averaged = ", each patient's out-of-fold probability" if "out-of-fold" in curves[0].method else ""
            tables += _benefit_rows(curves, scene, f"{place_label(split, cohort)}, {when}{averaged}")
    shown = _benefit(result, tables, f"{key}-decision-table")
    return block(result, scene, "decision", Part(figures=figures[False], apparent=figures[True], tables=[shown]))


def _judged_or_all(curves: Sequence[Any]) -> list[Any]:
    """Leave out curves of training patients where there are others: they stay in the data files."""
    judged = [curve for curve in curves if curve.split != "apparent"]
    return judged or list(curves)


def _by_months(curves: Sequence[Any]) -> list[tuple[float | None, list[Any]]]:
    """Group the curves of one place by their time, that of the label last."""
    found: dict[float | None, list[Any]] = {}
    for curve in curves:
        found.setdefault(curve.months, []).append(curve)
    return sorted(found.items(), key=lambda one: float("inf") if one[0] is None else one[0])


def _when(result: EndpointResult, months: float | None) -> str:
    if months is not None:
        return f"at {months:g} months"
    return "labelled patients" if result.horizon_months is not None else "by the label"


def _numbers(result: EndpointResult, scene: Scene, key: str) -> Markup:
    present = [name for name in CALIBRATION if any(m.metric == name for m in result.metrics)]
    columns = [Column("model", "Model")]
    columns += [Column(name, metric_label(name), "right", HELP.get(metric_label(name), "")) for name in present]
    columns += [Column("n", "n", "right"), Column("events", "Events", "right")]
    rows: list[dict[str, Any]] = []
    muted = []
    for (split, cohort), here in by_place([m for m in result.metrics if m.metric in present]):
        for model in dict.fromkeys(m.model for m in here):
            mine = {m.metric: m for m in here if m.model == model}
            muted += [len(rows)] if split == "apparent" else []
            first = next(iter(mine.values()))
            rows.append(
                {"place": place_label(split, cohort), "model": model_label(model), "m": scene.marks(model)}
                | {name: estimate_cell(metric) for name, metric in mine.items()}
                | {"n": f"{first.n:,}", "events": f"{first.events:,}"}
            )
    caption = f"{result.label}: calibration; of cross-validated models means over folds"
    caption = caption if any(m.split == "cross_validation" for m in result.metrics) else caption.partition(";")[0]
    return table(key, columns, rows if present else [], caption=caption, group="place", muted=muted, models="m")


def _benefit_rows(curves: Sequence[DecisionCurve], scene: Scene, place: str) -> list[dict[str, Any]]:
    rows = []
    for curve in sorted(curves, key=lambda curve: curve.model not in scene.styles):
        row: dict[str, Any] = {"place": place, "model": model_label(curve.model), "m": scene.marks(curve.model)}
        for threshold in THRESHOLDS:
            at = np.flatnonzero(np.isclose(curve.thresholds, threshold, atol=1e-6))
            row[f"{threshold:g}"] = fixed(float(curve.net_benefit[at[0]])) if len(at) else ""
        rows.append(row | {"n": f"{curve.n:,}", "events": f"{curve.events:,}"})
    return rows


def _benefit(result: EndpointResult, rows: list[dict[str, Any]], key: str) -> Markup:
    used = [f"{threshold:g}" for threshold in THRESHOLDS if any(row[f"{threshold:g}"] for row in rows)]
    columns = [Column("model", "Decision by")]
    columns += [
        Column(name, f"{float(name):.0%}".replace("%", " %"), "right", f"Net benefit at {name}") for name in used
    ]
    columns += [Column("n", "n", "right"), Column("events", "Events", "right")]
    caption = f"{result.label}: net benefit at threshold risks"
    return table(key, columns, rows if used else [], caption=caption, group="place", models="m")
