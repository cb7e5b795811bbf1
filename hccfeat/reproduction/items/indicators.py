"""Items 25-27 and 43: the PPS risk against clinical indicators (P1, Fig 6, S10)."""

import statistics
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.indicators import Concordance, FoldedScore, concordances, five_fold, model_risks
from hccfeat.analysis.models import CLINICAL, COLOUR, INTEGRATED, PPS, XGBOOST
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.report.formatting import fixed, interval, model_label, with_interval
from hccfeat.report.prognosis_figures import ScoreRow, scores_figure
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.items.indicator_hazards import forest
from hccfeat.reproduction.items.indicator_strata import strata_curves
from hccfeat.reproduction.judged import (
    ESTIMATE,
    INDICATOR_HORIZONS,
    JudgedHorizon,
    columns,
    estimate_cells,
    everywhere,
    printed_number,
    signed,
    triple,
)

LABELS = {PPS: "PPS risk", CLINICAL: "Clinical LR", INTEGRATED: "Integrated LR"}
FIXED = (
    "The encoder, the PPS risk and the indicators are fixed before these patients are looked at; higher indicators "
    "mean higher risk. Only the two logistic models (LR) learn here, in the other folds of the same patients (P1 "
    "reading 34): with so few patients they start behind. The second table has the same models fitted on the "
    "training patients, as `hccfeat analyze` does; that comparison is the fairer one."
)


def _labels(context: Context) -> dict[str, str]:
    """Names of indicators and models as they are shown."""
    return {name: variable.label for name, variable in load_dictionary(context.study).variables.items()} | LABELS


def _unrecorded(context: Context, found: list[JudgedHorizon]) -> list[Note]:
    dictionary = load_dictionary(context.study)
    names = set(found[0].data.indicator_names)
    lacking = [dictionary.variables[name].label for name in dictionary.indicators if name not in names]
    return [Note(f"Recorded for too few patients to be compared: {', '.join(lacking)}.", "info")] if lacking else []


def _five_fold(context: Context) -> list[Block]:
    """AUROC of indicators, logistic models and PPS over five folds of the judges (Fig 6A)."""
    found, notes = everywhere(context, INDICATOR_HORIZONS)
    labels = _labels(context)
    rows, data = [], []
    figures: list[Block] = []
    for judged in found:
        scores = five_fold(judged.judges, context.config.analysis)
        figures.append(_boxes(judged, scores, labels))
        for score in scores:
            cells, numbers = _fold_cells(judged, score)
            rows.append({"score": labels.get(score.name, score.name), **cells})
            data.append(numbers)
    shown = columns(
        ("score", "Score"),
        numbers=(
            ("folds", "Folds"),
            ("median", "Median of folds"),
            ("mean", "Mean of folds (95 % interval)"),
            *(("value", "All patients") if key == "value" else (key, label) for key, label in ESTIMATE),
            ("lead", "PPS ahead by (95 % interval)"),
        ),
    ) + columns(("method", "Method, all patients"))
    caption = "AUROC over five stratified folds of the judges; a fold of one class has none"
    table = Table(shown, rows, caption, group="place", data=data)
    return [table, *figures, _trained_elsewhere(found), Note(FIXED), *_unrecorded(context, found), *notes]


def _fold_cells(judged: JudgedHorizon, score: FoldedScore) -> tuple[dict[str, Any], dict[str, Any]]:
    value = None
    if score.name == PPS:
        value = printed_number("prognosis", judged.printed_place, judged.endpoint)
    cells, numbers = estimate_cells(score.pooled, value)
    median = statistics.median(score.values) if score.values else None
    mean, lead = score.mean, score.lead
    limits = (lead.value, lead.lower, lead.upper) if lead else (None, None, None)
    shown = {
        "place": f"{judged.judges.label}, {judged.where}",
        "folds": f"{len(score.values)} of {len(score.folds)}",
        "median": fixed(median),
        "mean": with_interval(mean.value, mean.lower, mean.upper, 3),
        **cells,
        "lead": _signed(*limits),
    }
    data = {
        **judged.identity(score.name, "auroc_all_folds"),
        **{f"fold_{number}": fold.value for number, fold in enumerate(score.folds, start=1)},
        "median_of_folds": median,
        **triple("mean_of_folds", mean.value, mean.lower, mean.upper),
        **numbers,
        **(
            triple("pps_ahead", lead.value, lead.lower, lead.upper)
            if lead
            else triple("pps_ahead", None, None, None)
        ),
    }
    return shown, data


def _signed(value: float | None, lower: float | None, upper: float | None) -> str:
    limits = interval(lower, upper)
    return f"{signed(value)} ({limits})" if limits else signed(value)


def _boxes(judged: JudgedHorizon, scores: list[FoldedScore], labels: dict[str, str]) -> Figure:
    rows = [
        ScoreRow(labels.get(score.name, score.name), score.pooled, tuple(score.values), score.name == PPS)
        for score in scores
    ]

    def draw(key: str, simulated: bool) -> Markup:
        title = f"{judged.judges.label}, {judged.judges.patients.cohort}"
        return scores_figure(key, rows, title=title, axis="AUROC", chance=0.5, simulated=simulated)

    caption = (
        f"{judged.judges.label}, {judged.where}: boxes over the five folds with the median, whiskers to the lowest "
        "and highest; diamonds: all patients at once with the 95 % interval of DeLong."
    )
    return Figure(draw, caption)


def _trained_elsewhere(found: list[JudgedHorizon]) -> Table:
    rows, data = [], []
    for judged in found:
        for model in (PPS, CLINICAL, INTEGRATED, XGBOOST, COLOUR):
            estimate = judged.estimate("auroc", model)
            if estimate is None:
                continue
            value = printed_number("prognosis", judged.printed_place, judged.endpoint) if model == PPS else None
            cells, numbers = estimate_cells(estimate, value)
            rows.append({"model": model_label(model), "place": f"{judged.judges.label}, {judged.where}", **cells})
            data.append({**judged.identity(model, "auroc"), **numbers})
    shown = columns(("model", "Model"), numbers=ESTIMATE) + columns(("method", "Method"))
    return Table(shown, rows, "AUROC of models that were fitted on training patients", group="place", data=data)


def _concordance(context: Context) -> list[Block]:
    """Harrell's C of the PPS risk, of each indicator and of the logistic models (Fig S10)."""
    found, notes = everywhere(context, INDICATOR_HORIZONS)
    labels = _labels(context)
    rows, data = [], []
    figures: list[Block] = []
    for judged in found:
        scores = concordances(judged.judges, model_risks(judged.judges, judged.result), context.config.analysis)
        figures.append(_dots(judged, scores, labels))
        for score in scores:
            cells, numbers = estimate_cells(score.c_index)
            lead = score.lead
            limits = (lead.value, lead.lower, lead.upper) if lead else (None, None, None)
            shown = {"score": labels.get(score.name, score.name), "place": f"{judged.judges.label}, {judged.where}"}
            rows.append({**shown, **cells, "lead": _signed(*limits)})
            data.append({**judged.identity(score.name, "c_index"), **numbers, **triple("pps_ahead", *limits)})
    shown_columns = columns(
        ("score", "Score"), numbers=(*ESTIMATE[:4], ("lead", "PPS ahead by (95 % interval)"))
    ) + columns(("method", "Method"))
    caption = "Harrell's C, times cut at the horizon; logistic models (LR) were fitted on training patients"
    note = Note(
        "The paper prints these values in a figure only. An indicator counts patients of equal value as half; each "
        "row has the patients who have the score, and PPS is compared on the same ones."
    )
    table = Table(shown_columns, rows, caption, group="place", data=data)
    return [table, *figures, note, *_unrecorded(context, found), *notes]


def _dots(judged: JudgedHorizon, scores: list[Concordance], labels: dict[str, str]) -> Figure:
    rows = [
        ScoreRow(labels.get(score.name, score.name), score.c_index, emphasis=score.name == PPS) for score in scores
    ]

    def draw(key: str, simulated: bool) -> Markup:
        title = f"{judged.judges.label}, {judged.judges.patients.cohort}"
        return scores_figure(key, rows, title=title, axis="Harrell's C", chance=0.5, simulated=simulated)

    return Figure(draw, f"{judged.judges.label}, {judged.where}: C with its patient-bootstrap interval.")


ITEMS: tuple[Item, ...] = (
    Item(25, "Fig 6A", "AUROC of PPS risk, indicators and logistic models over five folds", _five_fold),
    Item(26, "Fig 6B", "Kaplan-Meier curves inside strata of vascular invasion and tumour size", strata_curves),
    Item(27, "Fig 6C", "Hazard ratios of PPS risk and indicators, alone and adjusted", forest),
    Item(43, "S10", "C-index of PPS risk and clinical factors", _concordance),
)
