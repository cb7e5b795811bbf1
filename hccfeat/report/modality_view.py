"""What the template needs to show modalities compared: a sentence, two tables and a figure per comparison."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.modality_models import RECIPE
from hccfeat.analysis.results import EndpointResult, Metric, ModalityComparison, ModalityGap
from hccfeat.report.formatting import count, fixed, interval, metric_label, p_value, with_interval
from hccfeat.report.prognosis_figures import ScoreRow, scores_figure
from hccfeat.report.summary import bar, estimate_cell, place_label, short_place
from hccfeat.report.tables import Column, table
from hccfeat.stats.estimate import Estimate

SHOWN = ("auroc", "c_index", "brier", "calibration_slope")
CHANCE = 0.5


def modality_views(result: EndpointResult, key: str, simulated: bool) -> list[dict[str, Any]]:
    """Return the template's views of an endpoint's comparisons of modalities.

    Parameters
    ----------
    result : EndpointResult
        What ``analyze`` found.
    key : str
        Beginning of the ids in the page.
    simulated : bool
        Marks the figures.
    """
    return [_view(result, found, f"{key}-modalities-{i}", simulated) for i, found in enumerate(result.modalities)]


def _view(result: EndpointResult, found: ModalityComparison, key: str, simulated: bool) -> dict[str, Any]:
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
        simulated=simulated,
    )
    marked = " SIMULATED DATA - not clinical evidence." if simulated else ""
    return {
        "place": place,
        "sentence": modality_sentence(found),
        "scores": _scores(result, found, f"{key}-scores"),
        "gaps": _gaps(result, found, f"{key}-gaps"),
        "figures": [
            {
                "id": f"{key}-figure",
                "svg": drawn,
                "caption": f"{result.label}: AUROC with 95 % intervals by modality, {place}, "
                f"{_judges(found)}; dotted: chance.{marked}",
            }
        ],
        "note": f"Each modality by {RECIPE}; {found.note}.",
    }


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
        f"{with_interval(gap.estimate, gap.lower, gap.upper, 3)}, P {p_value(gap.p)}."
    )


def _judges(found: ModalityComparison) -> str:
    return f"{count(found.n, 'patient')} ({count(found.events, 'event')}) with every modality"


def _shown(metric: Metric) -> str:
    return with_interval(metric.estimate, metric.lower, metric.upper, 3)


def _estimate(metric: Metric) -> Estimate:
    return Estimate(metric.estimate, metric.lower, metric.upper, metric.n, metric.events, metric.method)


def _scores(result: EndpointResult, found: ModalityComparison, key: str) -> Markup:
    present = [name for name in SHOWN if any(metric.metric == name for metric in found.metrics)]
    columns = [Column("model", "Model reads")]
    for name in present:
        columns.append(Column(name, metric_label(name), "right"))
        if name == "auroc":
            columns.append(Column("bar", "0 · 0.5 · 1", "center", "AUROC and its 95 % interval, drawn from 0 to 1"))
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
