"""Item 24: the PPS risk against encoders trained end to end on raw labels (P1, Table 3)."""

from typing import Any

from hccfeat.analysis.end_to_end import (
    LITERAL,
    METRICS,
    RAW_LABELS,
    Comparison,
    RiskModel,
    compare,
    literal_model,
    pps_model,
    raw_label_model,
)
from hccfeat.analysis.models import PPS
from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.extraction.cells import Cell, CellSpec
from hccfeat.report.formatting import MISSING, fixed, metric_label, p_value, with_interval
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Item, Note, NotRunError, Table
from hccfeat.reproduction.context import HORIZONS, Context
from hccfeat.reproduction.judged import estimate_cells, nothing_shown, signed
from hccfeat.reproduction.printed import difference, printed
from hccfeat.stats.estimate import count
from hccfeat.stats.threshold import Confusion
from hccfeat.training.protocol import WHOLE

FINAL_LABELS = "recurrence"
TRAINED_ON = {"1y": "1y", "2y": "2y", "final": FINAL_LABELS}
"""Labels of the encoder that is read literally, by horizon."""
NAMES = {
    PPS: "PPS risk",
    RAW_LABELS: "End to end, as the paper's code",
    LITERAL: "End to end, read literally",
}
PRINTED_AS = {PPS: "pps", RAW_LABELS: "end_to_end"}
"""Rows of Table 3; the literal reading is not printed."""
EXPLAINED = (
    "AUPR of a useless model is the share of recurrences. Where a number or its interval is missing, the data file "
    "says why"
)


def table3(context: Context) -> list[Block]:
    """Item 24, Table 3: six metrics of three models at each horizon, on the same patients."""
    chosen = context.preset.chosen
    specs = {labels: CellSpec(chosen, "1/1", WHOLE, labels) for labels in TRAINED_ON.values()}
    if not all(context.cells.planned(spec) for spec in specs.values()):
        raise NotRunError("the encoders trained end to end on raw labels")
    notes: list[Note] = []
    cells = {labels: cell for labels, spec in specs.items() if (cell := _cell(context, spec, notes)) is not None}
    found: list[Comparison] = []
    for horizon in HORIZONS:
        try:
            found += compare(
                context.data(horizon), _models(context, horizon, cells, notes), context.config.analysis
            )
        except AnalysisError as error:
            notes.append(Note(f"{horizon}: {error}", "caution"))
    if not found:
        raise nothing_shown("Table 3", notes)
    blocks: list[Block] = [Note(_what(context)), *notes]
    for split, where in (("held_out", "held-out"), ("external", "external")):
        mine = [comparison for comparison in found if comparison.split == split]
        if mine:
            who = f"{where} untreated patients of cohort {mine[0].cohort}"
            blocks += [_metrics(mine, who), _confusions(mine, who), _gaps(mine, who)]
    return blocks


def _cell(context: Context, spec: CellSpec, notes: list[Note]) -> Cell | None:
    try:
        return context.cells.get(spec)
    except (AnalysisError, ConfigError) as error:
        notes.append(Note(str(error), "caution"))
        return None


def _models(context: Context, horizon: str, cells: dict[str, Cell], notes: list[Note]) -> list[RiskModel]:
    data = context.data(horizon)
    models = [pps_model(data, context.result(horizon))]
    raw, literal = cells.get(FINAL_LABELS), cells.get(TRAINED_ON[horizon])
    if raw is not None:
        try:
            models.append(raw_label_model(data, raw.images, raw.seen, context.recipe.prognostic))
        except AnalysisError as error:
            notes.append(Note(f"{horizon}, {NAMES[RAW_LABELS]}: {error}", "caution"))
    if literal is not None:
        models.append(literal_model(literal.images, literal.seen))
    return models


def _what(context: Context) -> str:
    return (
        f"Three models of the same network ({context.preset.chosen}) and training patients. {NAMES[PPS]}: encoder "
        f"trained on denoised labels (subset {context.recipe.training.subset}), then the prognostic network. "
        f"{NAMES[RAW_LABELS]}: encoder trained on the final recurrence status of all untreated training patients, "
        f"then the prognostic network; this is the comparator of Table 3. {NAMES[LITERAL]}: encoder trained on the "
        "label of the horizon, and a patient's risk is the mean over images of the mean patch probability; not "
        f"printed in the paper (P1 reading 33). Threshold {context.config.analysis.threshold:g} (P1 reading 29). "
        "The same patients judge all three. Intervals are at patient level: DeLong's for AUROC, Wilson's for "
        "accuracy, precision and recall, a bootstrap of patients for AUPR, F1 and differences in AUROC."
    )


def _metrics(found: list[Comparison], who: str) -> Table:
    models = _shown(found)
    rows: list[dict[str, Any]] = []
    data: list[dict[str, Any]] = []
    for comparison in found:
        for metric in METRICS:
            row: dict[str, Any] = {"metric": metric_label(metric), "group": _group(comparison)}
            row |= dict.fromkeys(models, MISSING)
            for score in comparison.scores:
                estimate = score.estimates[metric]
                value = _printed(comparison, score.model, metric)
                shown, numbers = estimate_cells(estimate, value)
                row[score.model] = with_interval(estimate.value, estimate.lower, estimate.upper, 3)
                row[f"{score.model}_printed"], row[f"{score.model}_gap"] = shown["printed"], shown["difference"]
                data.append(_identity(comparison, score.model) | {"metric": metric, **numbers})
            rows.append(row)
    columns = [Column("metric", "Metric")]
    for model in models:
        columns.append(Column(model, NAMES[model], "right", "with its 95 % interval"))
        if model in PRINTED_AS and found[0].split == "held_out":
            columns += [
                Column(f"{model}_printed", "Printed", "right"),
                Column(f"{model}_gap", "Difference", "right"),
            ]
    return Table(columns, rows, f"Table 3: three models, {who}. {EXPLAINED}", group="group", data=data)


def _confusions(found: list[Comparison], who: str) -> Table:
    rows, data = [], []
    for comparison in found:
        for score in comparison.scores:
            known = _printed_confusion(comparison, score.model)
            gaps = [difference(mine, value) for mine, value in zip(_counts(score.confusion), known, strict=True)]
            rows.append(
                {
                    "model": NAMES[score.model],
                    "group": _group(comparison),
                    **dict(zip(_CELLS, map(str, _counts(score.confusion)), strict=True)),
                    "n": str(score.confusion.n),
                    "printed": " / ".join(fixed(value, 0) for value in known) if any(known) else MISSING,
                    "difference": " / ".join(signed(gap, 0) for gap in gaps) if any(known) else MISSING,
                }
            )
            numbers = dict(zip(_CELLS, _counts(score.confusion), strict=True))
            old = {f"printed_{name}": value for name, value in zip(_CELLS, known, strict=True)}
            data.append(_identity(comparison, score.model) | numbers | old)
    columns = [Column("model", "Model"), *(Column(key, label, "right") for key, label in _CELLS.items())]
    columns.append(Column("n", "n", "right"))
    if found[0].split == "held_out":
        columns.append(Column("printed", "Printed", "right", "the only counts that give the printed rates"))
        columns.append(Column("difference", "Difference", "right"))
    return Table(columns, rows, f"Confusion matrices behind it, {who}", group="group", data=data)


def _gaps(found: list[Comparison], who: str) -> Table:
    rows, data = [], []
    for comparison in found:
        for gap in comparison.gaps:
            ours, theirs = (_printed(comparison, model, "auroc") for model in (PPS, gap.model))
            shown, numbers = estimate_cells(gap.difference, difference(ours, theirs))
            shown["value"] = signed(gap.difference.value)
            row = {"model": NAMES[gap.model], "group": _group(comparison), **shown, "p": p_value(gap.p)}
            row["printed"] = signed(difference(ours, theirs))
            rows.append(row)
            data.append(_identity(comparison, gap.model) | numbers | {"delong_p": gap.p})
    columns = [
        Column("model", "PPS risk against"),
        Column("value", "Difference in AUROC", "right"),
        Column("limits", "95 % interval", "right"),
        Column("p", "P", "right", "DeLong's paired test"),
        Column("n", "n", "right"),
        Column("events", "Events", "right"),
        Column("printed", "Printed", "right", "difference of the printed AUROCs"),
        Column("difference", "Ours minus printed", "right"),
    ]
    if found[0].split != "held_out":
        columns = columns[:-2]
    columns.append(Column("method", "Method"))
    caption = f"AUROC of the PPS risk minus the comparators', {who}; patients resampled in pairs"
    return Table(columns, rows, caption, group="group", data=data)


_CELLS = {"tp": "True positive", "fp": "False positive", "fn": "False negative", "tn": "True negative"}


def _counts(table: Confusion) -> tuple[int, int, int, int]:
    return table.true_positive, table.false_positive, table.false_negative, table.true_negative


def _group(comparison: Comparison) -> str:
    text = f"{comparison.label}: {count(comparison.n, 'patient')}, {count(comparison.events, 'recurrence')}"
    return text + (f" ({comparison.left_out} more lack a risk)" if comparison.left_out else "")


def _identity(comparison: Comparison, model: str) -> dict[str, Any]:
    return {
        "endpoint": comparison.endpoint,
        "cohort": comparison.cohort,
        "split": comparison.split,
        "model": model,
    }


def _shown(found: list[Comparison]) -> list[str]:
    """Models that any horizon has, in the order of the table."""
    there = {score.model for comparison in found for score in comparison.scores}
    return [model for model in NAMES if model in there]


def _printed(comparison: Comparison, model: str, metric: str) -> float | None:
    if comparison.split != "held_out" or model not in PRINTED_AS:
        return None
    values = printed("table3", PRINTED_AS[model], comparison.endpoint)
    return None if values is None else float(values[METRICS.index(metric)])


def _printed_confusion(comparison: Comparison, model: str) -> list[int | None]:
    if comparison.split != "held_out" or model not in PRINTED_AS:
        return [None] * 4
    return list(printed("table3", "confusion", PRINTED_AS[model], comparison.endpoint) or [None] * 4)


ITEMS = (Item(24, "Table 3", "PPS risk against encoders trained end to end", table3),)
