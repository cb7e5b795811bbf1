"""Items 8 to 12, 39 and 40: the chosen model on the held-out part of its subset, and maps of its embeddings."""

from dataclasses import replace

import numpy as np
from markupsafe import Markup
from sklearn.metrics import precision_recall_curve

from hccfeat.analysis.judges import EVERYBODY, NOT_RUN, UNITS, Bench, Level
from hccfeat.analysis.prognosis import PrecisionRecall
from hccfeat.analysis.results import RocCurve
from hccfeat.analysis.subsets import Scored, final_score
from hccfeat.errors import AnalysisError
from hccfeat.report.figures import model_styles, roc_figure
from hccfeat.report.prognosis_figures import precision_recall_figure
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, NotRunError, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.items.embedding_maps import (
    chosen_external,
    chosen_internal,
    pca_by_subset,
    tsne_by_subset,
)
from hccfeat.reproduction.judged import printed_number
from hccfeat.reproduction.printed import printed
from hccfeat.reproduction.subset_bench import Entry, bench_of, model_name, scores_table
from hccfeat.reproduction.subset_figures import confusion_figure
from hccfeat.stats.clustered import Judged, Score, clustered
from hccfeat.stats.discrimination import roc_points
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.threshold import confusion

LEVELS: tuple[Level, ...] = ("patch", "image")
MOST_POINTS = 400


def confusion_matrix(context: Context) -> list[Block]:
    """Item 8, Fig 2D: counts at the fixed threshold, with accuracy, sensitivity and specificity."""
    bench, found = _judged(context)
    tables = [
        (f"{level.capitalize()} level", confusion(f.y, f.risk, bench.threshold)) for level, f in found.items()
    ]
    title = f"{_who(context)}: confusion at {bench.threshold:g}"

    def draw(key: str, simulated: bool) -> Markup:
        return confusion_figure(key, tables, title=title, simulated=simulated)

    rows = [
        {
            "level": name,
            "true positive": table.true_positive,
            "false positive": table.false_positive,
            "false negative": table.false_negative,
            "true negative": table.true_negative,
        }
        for name, table in tables
    ]
    shown = [Column(name, name.capitalize(), "left" if name == "level" else "right") for name in rows[0]]
    counts = [
        {name: f"{value:,}" if isinstance(value, int) else value for name, value in row.items()} for row in rows
    ]
    entries = []
    for level, judged in found.items():
        group = f"{level.capitalize()} level"
        reference = _printed(context, "accuracy") if level == "patch" else None
        entries.append(Entry(group, "Accuracy", _score(context, bench, level, "accuracy"), reference))
        entries += [
            Entry(group, name.capitalize(), scored) for name, scored in _rates(bench, context, level, judged)
        ]
    return [
        Note(_about(context)),
        Figure(draw, f"{title}; held-out part of the subset, rows are the observed status", rows),
        Table(shown, counts, "Counts of the confusion matrices", data=rows),
        scores_table(entries, "Rate", "Rates at the threshold"),
    ]


def roc(context: Context) -> list[Block]:
    """Item 9, Fig 2E: ROC curve at patch and image level."""
    bench, found = _judged(context)
    scores = {level: _score(context, bench, level, "auroc") for level in found}
    curves, limits = [], {}
    for level, judged in found.items():
        estimate = scores[level].estimate
        if estimate is None or estimate.value is None:
            continue
        x, y = roc_points(judged.y, judged.risk)
        name = UNITS[level]
        curves.append(RocCurve(name, bench.internal, "held_out", x, y, estimate.value))
        limits[name] = (estimate.lower, estimate.upper)
    title = f"{_who(context)}, held-out part"

    def draw(key: str, simulated: bool) -> Markup:
        styles = model_styles([curve.model for curve in curves])
        return roc_figure(key, curves, limits, styles, title=title, simulated=simulated)

    points = [
        {"level": curve.model, "false_positive_rate": float(curve.false_positive_rate[k])}
        | {"true_positive_rate": float(curve.true_positive_rate[k])}
        for curve in curves
        for k in _thin(len(curve.true_positive_rate))
    ]
    table = _area_table(context, scores, "auroc", "AUROC of the chosen model")
    figure = [Figure(draw, f"ROC curves, {title}; intervals resample patients", points)] if curves else []
    return [Note(_about(context)), *figure, table]


def precision_recall(context: Context) -> list[Block]:
    """Item 10, Fig 2F: precision-recall curve at patch and image level."""
    bench, found = _judged(context)
    scores = {level: _score(context, bench, level, "average_precision") for level in found}
    curves: list[tuple[PrecisionRecall, Estimate]] = []
    for level, judged in found.items():
        estimate = scores[level].estimate
        if estimate is None or estimate.value is None:
            continue
        precision, recall, _ = precision_recall_curve(judged.y, judged.risk)
        keep = _thin(len(recall))
        curve = PrecisionRecall(UNITS[level], recall[::-1][keep], precision[::-1][keep], float(judged.y.mean()))
        curves.append((curve, estimate))
    title = f"{_who(context)}, held-out part"

    def draw(key: str, simulated: bool) -> Markup:
        return precision_recall_figure(key, curves, title=title, simulated=simulated)

    points = [
        {"level": curve.label, "recall": float(x), "precision": float(y), "prevalence": curve.prevalence}
        for curve, _ in curves
        for x, y in zip(curve.recall, curve.precision, strict=True)
    ]
    table = _area_table(context, scores, "auprc", "Average precision of the chosen model")
    figure = (
        [Figure(draw, f"Precision-recall curves, {title}; intervals resample patients", points)] if curves else []
    )
    return [Note(_about(context)), *figure, table]


def _judged(context: Context) -> tuple[Bench, dict[Level, Judged]]:
    """Predictions of the chosen model's final encoder for the held-out part of its subset.

    Raises
    ------
    NotRunError
        If the preset leaves the encoder out.
    AnalysisError
        If it could not be trained, or nobody of its subset is held out.
    """
    bench, chosen, subset = bench_of(context), context.preset.chosen, context.recipe.training.subset
    found: dict[Level, Judged] = {}
    for level in LEVELS:
        judged = bench.of_final(chosen, subset, "test", level)
        if judged == NOT_RUN:
            raise NotRunError(f"the encoder of all folds of {model_name(chosen)} on subset {subset}")
        if isinstance(judged, str):
            raise AnalysisError(f"{model_name(chosen)} on subset {subset}", judged, "Add patients.")
        if not len(judged.y):
            raise AnalysisError(f"subset {subset}", "has no held-out patients with images", "Add patients.")
        found[level] = judged
    return bench, found


def _score(context: Context, bench: Bench, level: Level, score: Score) -> Scored:
    return final_score(bench, context.preset.chosen, context.recipe.training.subset, "test", level, score)


def _rates(bench: Bench, context: Context, level: Level, judged: Judged) -> list[tuple[str, Scored]]:
    """Sensitivity and specificity: the accuracy among the relapsed and among the others."""
    base = _score(context, bench, level, "accuracy")
    rates = []
    for name, keep in (("sensitivity", judged.y), ("specificity", ~judged.y)):
        found = clustered(
            judged.take(keep), "accuracy", resamples=bench.resamples, seed=bench.seed, threshold=bench.threshold
        )
        found = replace(found, method=found.method.replace("accuracy", name, 1))
        rates.append((name, replace(base, estimate=found, name=name)))
    return rates


def _area_table(context: Context, scores: dict[Level, Scored], key: str, caption: str) -> Table:
    entries = [
        Entry(
            "Held-out part", UNITS[level].capitalize(), scored, _printed(context, key) if level == "patch" else None
        )
        for level, scored in scores.items()
    ]
    return scores_table(entries, "Level", caption)


def _printed(context: Context, key: str) -> float | None:
    """Printed value of the chosen model, only where the study uses the subset that it belongs to."""
    return printed_number("chosen", key) if context.recipe.training.subset == printed("chosen", "subset") else None


def _who(context: Context) -> str:
    return f"{model_name(context.preset.chosen)}, subset {context.recipe.training.subset}"


def _about(context: Context) -> str:
    subset = context.recipe.training.subset
    text = (
        f"{_who(context)}: the encoder of all folds, judged once on the part of the subset that was held out (P1 "
        "readings 17, 18)."
    )
    if subset != EVERYBODY:
        text += " Its patients were chosen by outcome like the subset; item 13 judges it on unselected patients."
    if subset == printed("chosen", "subset"):
        return text + " The printed values stand beside the patch level."
    return (
        text + f" The paper prints values of subset {printed('chosen', 'subset')} only; none stands beside these."
    )


def _thin(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(np.int64))


ITEMS = (
    Item(8, "Fig 2D", "Confusion matrix of the chosen model", confusion_matrix),
    Item(9, "Fig 2E", "ROC curve of the chosen model", roc),
    Item(10, "Fig 2F", "Precision-recall curve of the chosen model", precision_recall),
    Item(11, "Fig 2G", "PCA and t-SNE, held-out part", chosen_internal),
    Item(12, "Fig 2H", "PCA and t-SNE, external", chosen_external),
    Item(39, "S6", "PCA of every subset's encoder", pca_by_subset),
    Item(40, "S7", "t-SNE of every subset's encoder", tsne_by_subset),
)
