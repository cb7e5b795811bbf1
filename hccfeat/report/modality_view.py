"""The part of an endpoint about modalities compared: a sentence, two tables and a figure per comparison."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.modality_models import RECIPE
from hccfeat.analysis.results import EndpointResult, Metric, ModalityComparison, ModalityGap
from hccfeat.report.blocks import Block, FigureView, Part, Scene, block, place_label, short_place
from hccfeat.report.comparison_view import comparisons_table
from hccfeat.report.formatting import fixed, interval, p_value, p_words, with_interval
from hccfeat.report.prognosis_figures import ScoreRow, scores_figure
from hccfeat.report.summary import BAR, bar, estimate_cell
from hccfeat.report.tables import Column, table
from hccfeat.stats.estimate import Estimate, count

SHOWN = ("auroc", "c_index", "brier", "calibration_slope", "calibration_intercept", "ici", "net_benefit")
CHANCE = 0.5


def modalities(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """An endpoint's comparisons of modalities, one part each."""
    parts = [_part(result, found, f"{key}-modalities-{i}", scene) for i, found in enumerate(result.modalities)]
    return block(result, scene, "modalities", *parts)


def _part(result: EndpointResult, found: ModalityComparison, key: str, scene: Scene) -> Part:
    place = place_label(found.split, found.cohort)
    areas = {metric.model: metric for metric in found.metrics if metric.metric == "auroc"}
    rows = [
        ScoreRow(found.labels[name], _estimate(areas[name]), emphasis=name == list(found.labels)[-1])
        for name in found.labels
    ]
    drawn = scores_figure(
        f"{key}-figure",
        rows,
        title=short_place(found.split, found.cohort),
        axis="AUROC",
        chance=CHANCE,
        simulated=scene.simulated,
    )
    text = f"{result.label}: AUROC with 95 % intervals by modality, {place}, {_judges(found)}; dotted: chance."
    caption = f"{result.label}: further differences between modalities, {place}"
    others = [row for row in found.differences if row.metric != "auroc"]
    further = comparisons_table(f"{key}-differences", others, scene, caption, found.labels)
    return Part(
        lead=modality_sentence(found),
        figures=[FigureView(f"{key}-figure", drawn, scene.caption(text))],
        tables=[_scores(result, found, scene, f"{key}-scores"), _gaps(result, found, f"{key}-gaps"), further],
        notes=[f"Each modality by {RECIPE}; {found.note}."],
    )


def modality_sentence(found: ModalityComparison) -> str:
    """Return what came out in one sentence, with n, events and intervals."""
    areas = {metric.model: metric for metric in found.metrics if metric.metric == "auroc"}
    union = list(found.labels)[-1]
    parts = [f"{found.labels[name]} {_shown(areas[name])}" for name in found.labels]
    text = f"AUROC in {place_label(found.split, found.cohort)}, on the {_judges(found)}: {'; '.join(parts)}"
    gap = next((gap for gap in found.gaps if (gap.model, gap.against) == (union, found.best)), None)
    if gap is None or gap.estimate is None:
        return f"{text}."
    return (
        f"{text}; all together minus the best single one, {found.labels[found.best]}: "
        f"{with_interval(gap.estimate, gap.lower, gap.upper, 3)}, {p_words(gap.p)}."
    )


def _judges(found: ModalityComparison) -> str:
    return f"{count(found.n, 'patient')} ({count(found.events, 'event')}) with every modality"


def _shown(metric: Metric) -> str:
    return with_interval(metric.estimate, metric.lower, metric.upper, 3)


def _estimate(metric: Metric) -> Estimate:
    return Estimate(metric.estimate, metric.lower, metric.upper, metric.n, metric.events, metric.method)


def _scores(result: EndpointResult, found: ModalityComparison, scene: Scene, key: str) -> Markup:
    present = [name for name in SHOWN if any(metric.metric == name for metric in found.metrics)]
    columns = [Column("model", "Model reads")]
    for name in present:
        columns.append(Column(name, scene.metric(result, name), "right"))
        if name == "auroc":
            columns.append(Column("bar", BAR, "center", "AUROC and its 95 % interval, drawn from 0 to 1"))
    columns += [Column("n", "n", "right", "Patients judged"), Column("events", "Events", "right")]
    rows = []
    for model, label in found.labels.items():
        mine: Mapping[str, Metric] = {metric.metric: metric for metric in found.metrics if metric.model == model}
        cells = {name: estimate_cell(mine[name]) for name in present}
        rows.append(
            {"model": label, **cells, "bar": bar(mine["auroc"]), "n": f"{found.n:,}", "events": f"{found.events:,}"}
        )
    place = place_label(found.split, found.cohort)
    return table(key, columns, rows, caption=f"{result.label}: modalities compared, {place}")


def _gaps(result: EndpointResult, found: ModalityComparison, key: str) -> Markup:
    columns = [
        Column("pair", "Difference in AUROC"),
        *(Column(name, label, "right") for name, label in (("estimate", "Estimate"), ("limits", "95 % interval"))),
        *(Column(name, label, "right") for name, label in (("p", "P (DeLong, paired)"), ("holm", "P (Holm)"))),
        *(Column(name, label, "right") for name, label in (("n", "n"), ("events", "Events"))),
    ]
    rows = [_gap_row(found, gap) for gap in found.gaps]
    place = place_label(found.split, found.cohort)
    return table(key, columns, rows, caption=f"{result.label}: paired differences, {place}")


def _gap_row(found: ModalityComparison, gap: ModalityGap) -> dict[str, Any]:
    best = " (best single)" if gap.against == found.best else ""
    return {
        "pair": f"{found.labels[gap.model]} − {found.labels[gap.against]}{best}",
        "estimate": fixed(gap.estimate, 3),
        "limits": interval(gap.lower, gap.upper, 3),
        "p": p_value(gap.p),
        "holm": p_value(gap.p_holm),
        "n": f"{gap.n:,}",
        "events": f"{gap.events:,}",
    }
