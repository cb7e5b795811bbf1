"""Items 48 to 63: both tables of the paper, its claims and its P values."""

from typing import Any

from markupsafe import Markup

from hccfeat.report.formatting import MISSING
from hccfeat.report.prognosis_figures import ScoreRow, scores_figure
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Table
from hccfeat.reproduction.judged import signed
from hccfeat.reproduction.mvi.context import MviContext
from hccfeat.reproduction.mvi.rows import (
    NOT_RUN,
    TABLE1,
    TABLE2,
    against_ours,
    compact_table,
    comparison_table,
    detail_table,
    difference_text,
    identity,
    printed_score,
)
from hccfeat.reproduction.mvi.scores import AUC, METRICS, Metric
from hccfeat.reproduction.printed import difference, printed
from hccfeat.training.mri_methods import OURS, TEACHER

ORDERINGS = (
    ("S-pre-hbp", "S-hbp"), ("S-hbp", "S-pre"), (OURS, "ours-w/o-pre"), ("ours-w/o-pre", "ours-w/o-hbp"),
    (OURS, "ours-w/o-CA"),
)  # fmt: skip
"""Claimed: the first has the higher AUC (P2, Table 2)."""
BEST_COMPETITOR = "KD_ours"
HOW_READ = (
    "Every score is computed in each fold, on patients who did not train, and averaged over the folds. The printed "
    "spreads are smaller than the sampling SD of a fold of 54 patients (about 5.8 points of AUC), so neither they "
    "nor gaps of half a point can be expected again (P2 reading 21)."
)
HOW_TESTED = (
    "Three P values stand side by side. The paired t test on the fold values is how the paper's can have been made "
    "(P2 reading 22); it takes folds for independent although they share training patients, so it finds "
    "differences too often. Nadeau and Bengio's variance, 1/k + n_test/n_train in place of 1/k, allows for that. "
    "The bootstrap resamples patients within fold and grade, all methods together; it takes the trained networks "
    "as they are."
)
TEACHER_NOTE = (
    "The teacher is given the clinical items of the judged patients and needs them: no competitor, it says "
    "what there was to teach. After few epochs it can know less than its student. No student is given any item."
)


def table1(context: MviContext) -> list[Block]:
    """Items 48 to 55, Table 1: CMD-Net against other methods."""
    return _table(context, TABLE1, "Table 1: methods")


def table2(context: MviContext) -> list[Block]:
    """Items 56 to 61, Table 2: ablations."""
    return _table(context, TABLE2, "Table 2: ablations")


def claims(context: MviContext) -> list[Block]:
    """Item 62: claimed gains and orderings beside what was found here."""
    rows: list[dict[str, Any]] = []
    data: list[dict[str, Any]] = []
    pairs: list[tuple[str, str, Metric, float | None]] = [
        (OURS, BEST_COMPETITOR, metric, round(float(printed("gains", metric.key, paper="mvi")) / 100, 6))
        for metric in METRICS
    ]
    pairs += [
        (first, second, AUC, difference(printed_score(first, "auc"), printed_score(second, "auc")))
        for first, second in ORDERINGS
    ]
    for first, second, metric, known in pairs:
        rows.append(
            {"claim": f"{first} > {second}", "metric": metric.short}
            | _claim_cells(context, first, second, metric, known)
        )
        if first in context.scores and second in context.scores:
            found = context.scores.compare(first, second, metric).difference
            data.append(
                identity(context, f"{first} minus {second}", f"{metric.name}_difference")
                | {"estimate": found.estimate.value, "lower": found.estimate.lower, "upper": found.estimate.upper}
                | {"n": found.estimate.n, "events": found.estimate.events, "p": found.p, "printed": known}
                | {"method": found.estimate.method}
            )
    columns = [
        Column("claim", "Claim"), Column("metric", "Score"), Column("printed", "Printed gain, points", "right"),
        Column("found", "Here, points (95 % interval)", "right"), Column("verdict", "What can be said"),
    ]  # fmt: skip
    text = "The interval resamples patients within fold and grade for both methods together."
    if context.simulated:
        text += " On simulated patients agreement does not support the paper, and a difference does not refute it."
    return [Note(text), Table(columns, rows, "Claimed gains and orderings", data=data)]


def p_values(context: MviContext) -> list[Block]:
    """Item 63: ours against every other method, three scores, three P values."""
    others = [name for name in dict.fromkeys((*TABLE1, *TABLE2)) if name != OURS]
    every = [*others, *(name for name in context.scores.probabilities if name not in (OURS, *others))]
    rows = [
        ScoreRow(
            name,
            context.scores.estimate(name, AUC),
            [value for value in context.scores.values(name, AUC) if value is not None],
            name == OURS,
        )
        for name in [OURS, *every]
        if name in context.scores
    ]

    def draw(key: str, simulated: bool) -> Markup:
        return scores_figure(key, rows, title="All methods", axis=AUC.label, chance=0.5, simulated=simulated)

    data = [
        {"method": row.label, "auc": row.estimate.value, "lower": row.estimate.lower, "upper": row.estimate.upper}
        for row in rows
    ]
    caption = "AUC of every method: box over the folds, diamond and line the mean with its 95 % interval"
    table = comparison_table(context, against_ours(every), "Ours minus every other method", METRICS)
    return [Note(HOW_TESTED), table, Figure(draw, caption, data)]


def _table(context: MviContext, methods: tuple[str, ...], what: str) -> list[Block]:
    shown = (*methods, TEACHER)
    return [
        Note(f"{HOW_READ} {TEACHER_NOTE}"),
        compact_table(context, shown, f"{what}, as the paper prints them"),
        detail_table(context, shown, f"{what}, with variance, interval and difference from the printed value"),
        comparison_table(context, against_ours(methods), f"{what}: ours minus each other, AUC"),
    ]


def _claim_cells(
    context: MviContext, first: str, second: str, metric: Metric, known: float | None
) -> dict[str, str]:
    said = signed(None if known is None else 100 * known, 2)
    if first not in context.scores or second not in context.scores:
        return {"printed": said, "found": NOT_RUN, "verdict": MISSING}
    found = context.scores.compare(first, second, metric)
    return {
        "printed": said,
        "found": difference_text(found),
        "verdict": verdict(
            found.difference.estimate.value, found.difference.estimate.lower, found.difference.estimate.upper
        ),
    }


def verdict(value: float | None, lower: float | None, upper: float | None) -> str:
    """Say what an interval of a difference allows to say about its sign, and no more."""
    if value is None:
        return "cannot be told: there is no difference to look at"
    direction = "same direction" if value > 0 else "no difference" if value == 0 else "opposite direction"
    if lower is None or upper is None:
        return f"{direction}; no interval"
    excluded = lower > 0 or upper < 0
    return f"{direction}; the interval {'excludes' if excluded else 'includes'} 0"


ITEMS = (
    Item(48, "Table 1", "CMD-Net against other methods", table1, last=55),
    Item(56, "Table 2", "Ablations", table2, last=61),
    Item(62, "Claims", "Claimed gains and orderings", claims),
    Item(63, "P values", "Ours against every other method", p_values),
)
