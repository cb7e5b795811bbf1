"""Items 6, 7 and 37: scores by subset, the generalisation curve, the softmax ablation."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from markupsafe import Markup

from hccfeat.analysis.judges import GROUPS, NOT_RUN, Bench, Group, Level
from hccfeat.analysis.subsets import (
    EqualSize,
    Scored,
    cross_validated,
    difference_between,
    equal_size,
    final_score,
)
from hccfeat.report.formatting import interval
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.printed import difference
from hccfeat.reproduction.subset_bench import (
    NO_EXTERNAL,
    Entry,
    ScoreLine,
    bench_of,
    by_subset,
    model_name,
    models,
    scores_table,
    table2,
    table2_row,
    wide_table,
)
from hccfeat.reproduction.subset_figures import Panel, line_of, subset_figure
from hccfeat.stats.clustered import NAMES, Score
from hccfeat.training.labels import SUBSETS

COMPARED = ("resnet18", "densenet121", "swin_base")
WITHOUT_SOFTMAX = "cnn_selfattn"
LEVELS: tuple[Level, ...] = ("patch", "image")
SCORE_NAMES: dict[Score, str] = {"auroc": "AUROC", "accuracy": "Accuracy"}


def against_baselines(context: Context) -> list[Block]:
    """Item 6, Fig 2A: the chosen model and the three baselines by subset, cross-validated, patch level."""
    bench, chosen = bench_of(context), context.preset.chosen
    compared = [chosen, *(model for model in COMPARED if model in models(context) and model != chosen)]
    lines = [_cross_validated(bench, model, "patch", "auroc", table2_row(model)) for model in compared]
    title = "Cross-validated AUROC by subset, patch level"
    return [_figure([("Patches of the held-out folds", lines)], title, "auroc"), wide_table(lines, title)]


def generalisation(context: Context) -> list[Block]:
    """Item 7, Fig 2B-C: scores by subset inside, on the held-out part and on the strict external subset."""
    bench = bench_of(context)
    blocks: list[Block] = [_strict_note(context, bench)]
    shown = [context.preset.chosen]
    baseline = context.preset.baseline
    if any(bench.cell(baseline, subset, "final") != NOT_RUN for subset in SUBSETS):
        shown.append(baseline)
    scores: tuple[Score, ...] = ("auroc", "accuracy")
    for model in shown:
        for score in scores:
            blocks += _curves(context, bench, model, score)
    return [*blocks, *_equal_sizes(bench, context.preset.chosen)]


def softmax_ablation(context: Context) -> list[Block]:
    """Item 37, S4: the chosen model against the one without softmax, and accuracy by subset."""
    bench, chosen = bench_of(context), context.preset.chosen
    compared = [chosen, *(model for model in (WITHOUT_SOFTMAX,) if model in models(context))]
    panels, entries = [], []
    for level in LEVELS:
        panels.append((_titled(level), [_cross_validated(bench, model, level, "auroc") for model in compared]))
        for model in compared[1:]:
            for subset in SUBSETS:
                scored = difference_between(bench, chosen, model, subset, level)
                reference = difference(table2(chosen, subset), table2(model, subset)) if level == "patch" else None
                entries.append(Entry(_titled(level), subset, scored, reference))
    blocks: list[Block] = [_figure(panels, "Softmax ablation: cross-validated AUROC by subset", "auroc")]
    if entries:
        caption = f"{model_name(chosen)} minus {model_name(WITHOUT_SOFTMAX)}, paired difference in AUROC"
        blocks.append(scores_table(entries, "Subset", caption))
    accuracies = [
        (_titled(level), [_cross_validated(bench, model, level, "accuracy") for model in compared])
        for level in LEVELS
    ]
    title = f"Cross-validated accuracy by subset at threshold {bench.threshold:g}"
    named = [replace(line, group=f"{line.group}, {panel.lower()}") for panel, lines in accuracies for line in lines]
    return [*blocks, _figure(accuracies, title, "accuracy"), wide_table(named, title)]


def _curves(context: Context, bench: Bench, model: str, score: Score) -> list[Block]:
    groups: tuple[Group, ...] = ("test", "strict") if context.external is not None else ("test",)
    panels = []
    for level in LEVELS:
        reference = table2_row(model) if level == "patch" and score == "auroc" else None
        inner = _cross_validated(bench, model, level, score, reference)
        lines = [replace(inner, group="Cross-validation")]
        for group in groups:
            scores = by_subset(partial(_final, bench, model, group, level, score))
            lines.append(ScoreLine(GROUPS[group].capitalize(), SCORE_NAMES[score], scores))
        panels.append((_titled(level), lines))
    title = f"{model_name(model)}: {NAMES[score]} by subset, inside and outside"
    named = [replace(line, group=f"{line.group}, {panel.lower()}") for panel, lines in panels for line in lines]
    return [_figure(panels, title, score), wide_table(named, title)]


def _cross_validated(
    bench: Bench, model: str, level: Level, score: Score, printed: dict[str, float | None] | None = None
) -> ScoreLine:
    scores = by_subset(lambda subset: cross_validated(bench, model, subset, level, score))
    return ScoreLine(model_name(model), SCORE_NAMES[score], scores, printed)


def _final(bench: Bench, model: str, group: Group, level: Level, score: Score, subset: str) -> Scored:
    return final_score(bench, model, subset, group, level, score)


def _titled(level: Level) -> str:
    return f"{level.capitalize()} level"


def _strict_note(context: Context, bench: Bench) -> Note:
    if context.external is None:
        return Note(NO_EXTERNAL, "caution")
    judges = bench.judges
    sick = sum(judges.relapsed[patient] for patient in judges.strict)
    return Note(
        f"Strict external subset: of {len(judges.external)} untreated patients of cohort {bench.external} with "
        f"images the {len(judges.strict) - sick} relapse-free who lived longest and the {sick} relapsed who died "
        f"soonest (paper: 7 and 7 of 78), at most {context.preset.external_patches} patches drawn from each slide "
        "(paper: 65). It is chosen by outcome and small; item 13 judges the same encoders on all external patients."
    )


def _figure(panels: Sequence[tuple[str, Sequence[ScoreLine]]], title: str, score: Score) -> Figure:
    drawn = [
        Panel(
            name,
            [line_of(line.group, [scored.estimate for scored in line.scores.values()]) for line in lines],
        )
        for name, lines in panels
    ]

    def draw(key: str, simulated: bool) -> Markup:
        return subset_figure(
            key,
            drawn,
            SUBSETS,
            title=title,
            ylabel=SCORE_NAMES[score],
            simulated=simulated,
            limits=(-0.02, 1.02),
            chance=0.5,
        )

    data = [
        {"panel": name, "line": line.group, **scored.row()}
        for name, lines in panels
        for line in lines
        for scored in line.scores.values()
    ]
    return Figure(draw, f"{title}; bars are 95 % intervals that resample patients; dotted: 0.5", data)


def _equal_sizes(bench: Bench, model: str) -> list[Block]:
    rows, data = [], []
    for level in LEVELS:
        for subset in SUBSETS:
            found = equal_size(bench, model, subset, level)
            rows.append(_equal_row(found, _titled(level)))
            data.append({"level": level, **{name: getattr(found, name) for name in _EQUAL_FIELDS}})
            data[-1]["images_by_fold"] = " ".join(str(count) for count in found.images)
    shown = [
        Column("subset", "Subset"),
        Column("mean", "Mean AUROC", "right"),
        Column("range", "95 % of draws", "right"),
        Column("images", "Images judged", "right", "in each fold, as many as subset 1/4 has there"),
        Column("n", "Patients (relapsed)", "right", "drawn from"),
        Column("draws", "Draws", "right", "with an AUROC, of those made"),
    ]
    text = (
        "Larger subsets are also judged on more images. As in the released code, every validation set is cut to "
        "the number of images that subset 1/4 has in the same fold, here drawn many times without replacement. The "
        "range is the spread of the draws; it says nothing about other patients."
    )
    caption = f"{model_name(model)}: cross-validated AUROC with validation sets of equal size"
    return [Note(text), Table(shown, rows, caption, group="group", data=data)]


_EQUAL_FIELDS = ("subset", "mean", "lower", "upper", "n", "events", "draws", "lost", "reason")


def _equal_row(found: EqualSize, group: str) -> dict[str, str]:
    return {
        "group": group,
        "subset": found.subset,
        "mean": found.reason if found.mean is None else f"{found.mean:.3f}",
        "range": interval(found.lower, found.upper),
        "images": ", ".join(str(count) for count in found.images),
        "n": f"{found.n} ({found.events})" if found.images else "",
        "draws": f"{found.draws - found.lost} of {found.draws}" if found.images else "",
    }
