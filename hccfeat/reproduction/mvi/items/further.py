"""Items 64 to 68, 71 and 72: what the paper lacks, what it cost, and what the paper leaves open."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from hccfeat.config import GRADES
from hccfeat.report.formatting import MISSING, fixed, significant
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, NotRunError, Table
from hccfeat.reproduction.mvi.clinical import ABOUT
from hccfeat.reproduction.mvi.context import MviContext
from hccfeat.reproduction.mvi.figures import LossLine, grades_figure, loss_figure
from hccfeat.reproduction.mvi.items.comparison import TEACHER_NOTE
from hccfeat.reproduction.mvi.rows import comparison_table, detail_table, grade_table, method_name
from hccfeat.reproduction.mvi.scores import METRICS
from hccfeat.training.mri_learner import TERMS
from hccfeat.training.mri_methods import OURS, TEACHER

NO_TEACHER = "S-pre-hbp"
LOSS_ABLATIONS = ("ours-w/o-class-KL", "ours-w/o-feature-KL")
MATRICES = (OURS, NO_TEACHER, TEACHER)
TERM_NAMES = {
    "focal": "focal", "class_kl": "class-level KL", "feature_kl": "feature-level KL", "similarity": "similarity",
    "items": "items", "total": "total",
}  # fmt: skip
OPEN_POINTS = (
    (
        "Folds",
        "19, 20",
        "stratified five folds by patient; epochs are fixed and nothing is chosen on a judged fold",
    ),
    ("Size, spacing and place of the volumes", "10", "of the recipe; PRE and HBP are not registered to each other"),
    ("Optimiser, epochs, batch", "18", "of the recipe; the paper gives none, so a gap may be one of training"),
    ("Spread behind ±", "21", "SD over the folds, divisor folds - 1; the paper calls its spread variance"),
    ("Test behind P", "22", "paired t test on the fold AUCs; with Nadeau and Bengio's correction and a bootstrap"),
    ("F1 and AUC", "23, 24", "macro F1; AUC of each pair of grades, averaged"),
    ("KD_ours and SP_ours", "25", "ours with Hinton's class-level loss alone; ours with the similarity loss"),
    ("w/o-pre and w/o-hbp", "27, 29", "as Table 2 has them; the phase is taken from teacher and student"),
    ("Lost cells of Table 2", "28", "values of the text; the SD of F1 and AUC of two rows cannot be read"),
    ("The sarcasm data set of the conclusion", "30", "out of scope: no number of it is printed anywhere"),
    ("The 52 items", "31", "ours, for the paper names none"),
)


def bounds(context: MviContext) -> list[Block]:
    """Item 64: the teacher's own score and models of the items alone."""
    known = context.preset.clinical
    shown = [name for name in (TEACHER, *known, OURS, NO_TEACHER) if name in context.scores]
    if TEACHER not in shown and not known:
        raise NotRunError("The preset has neither the teacher nor a model of the items.")
    text = (
        f"{TEACHER_NOTE} Models of the items alone see no image and are given the items of the judged patients too."
    )
    models = [Note(f"{method_name(name)}: {ABOUT[name]}.") for name in known]
    pairs = [(TEACHER, OURS), (TEACHER, NO_TEACHER), (OURS, NO_TEACHER), *((OURS, name) for name in known)]
    return [
        Note(text),
        *models,
        detail_table(context, shown, "Teacher, items alone, and the students"),
        comparison_table(context, pairs, "How far apart they are", METRICS),
    ]


def losses(context: MviContext) -> list[Block]:
    """Item 65: without either distillation loss."""
    shown = [name for name in (OURS, *LOSS_ABLATIONS, NO_TEACHER) if name in context.scores]
    if not set(LOSS_ABLATIONS) & set(shown):
        raise NotRunError("The preset has no method without a loss.")
    pairs = [(OURS, name) for name in (*LOSS_ABLATIONS, NO_TEACHER)]
    return [
        detail_table(context, shown, "Without the class-level or the feature-level KL, and without a teacher"),
        comparison_table(context, pairs, "Ours minus each of them", METRICS),
    ]


def matrices(context: MviContext) -> list[Block]:
    """Item 66: confusion matrices over all folds."""
    names = [name for name in MATRICES if name in context.scores]
    if not names:
        raise NotRunError("The preset has none of these methods.")
    tables = [(name, context.scores.confusion(name)) for name in names]
    title = "Observed and predicted grades, all folds together"

    def draw(key: str, simulated: bool) -> Markup:
        return grades_figure(key, tables, title=title, simulated=simulated)

    data = [
        {"method": name, "observed": observed}
        | {f"predicted_{g}": int(n) for g, n in zip(GRADES, row, strict=True)}
        for name in context.scores.probabilities
        for observed, row in zip(GRADES, context.scores.confusion(name), strict=True)
    ]
    caption = "Confusion matrices: counts and share of the observed grade; the file has every method"
    return [Figure(draw, caption, data)]


def by_grade(context: MviContext) -> list[Block]:
    """Item 67: AUC of each grade against the others, every method."""
    return [grade_table(context, "AUC of each grade against the others (the paper prints none)")]


def loss_curves(context: MviContext) -> list[Block]:
    """Item 68: every loss term of ours and of its teacher by epoch, averaged over the folds."""
    names = [name for name in (OURS, TEACHER) if name in context.preset.methods]
    if not names:
        raise NotRunError("The preset has neither ours nor its teacher.")
    panels = [(name, _lines(context, name)) for name in names]

    def draw(key: str, simulated: bool) -> Markup:
        return loss_figure(key, panels, title="Training loss by epoch, mean of the folds", simulated=simulated)

    data = [
        {"method": name, "epoch": epoch, "term": line.label, "loss": value}
        for name, lines in panels
        for line in lines
        for epoch, value in enumerate(line.values, start=1)
    ]
    rows = [
        {"method": name, "term": line.label, "first": _loss(line.values[0]), "last": _loss(line.values[-1])}
        for name, lines in panels
        for line in lines
    ]
    columns = [
        Column("term", "Term"), Column("first", "First epoch", "right"), Column("last", "Last epoch", "right"),
    ]  # fmt: skip
    caption = (
        "Loss terms before their weights, on the training patients as they learn; a term of weight 0 is shown too"
    )
    return [Figure(draw, caption, data), Table(columns, rows, "First and last epoch", group="method")]


def cost(context: MviContext) -> list[Block]:
    """Item 71: size of every network, and how long its cells took."""
    by_family: dict[str, list[float | None]] = {}
    for cell in context.cells:
        by_family.setdefault(", ".join(cell.methods), []).append(cell.seconds)
    parameters = {
        name: int(found.facts["parameters"]) for cell in context.cells for name, found in cell.methods.items()
    }
    data: list[dict[str, Any]] = [
        {"family": family, "networks": family.count(",") + 1, "folds": len(seconds)}
        | {"seconds": _sum(seconds), "parameters": max(parameters[name] for name in family.split(", "))}
        for family, seconds in by_family.items()
    ]
    rows = [
        {
            "family": row["family"],
            "parameters": f"{row['parameters']:,}",
            "folds": str(row["folds"]),
            "seconds": fixed(row["seconds"], 1),
        }
        for row in data
    ]
    columns = [
        Column("family", "Trained together"),
        Column("parameters", "Parameters of the largest", "right"),
        Column("folds", "Folds", "right"),
        Column("seconds", "Seconds, all folds", "right", "of one core or one GPU, as they were first trained"),
    ]
    total = _sum([row["seconds"] for row in data])
    training = context.recipe.training
    text = (
        f"{training.epochs} epochs, batch {training.batch_size}, Adam {training.learning_rate:g}, "
        f"{training.precision} precision. All cells together took {fixed(total, 0)} s of computing; finished cells "
        "are kept and a second run trains nothing. Methods that share a teacher share its forward pass."
    )
    return [Note(text), Table(columns, rows, "What training cost", data=data)]


def open_points(context: MviContext) -> list[Block]:
    """Item 72: how the paper was read where it leaves something open."""
    del context
    rows = [{"what": what, "reading": number, "taken": taken} for what, number, taken in OPEN_POINTS]
    columns = [Column("what", "Open in the paper"), Column("reading", "P2 reading"), Column("taken", "Taken here")]
    caption = "Readings that decide these tables; docs/methods-mri.md lists all"
    return [Table(columns, rows, caption, data=rows)]


def _lines(context: MviContext, method: str) -> list[LossLine]:
    histories = [cell.methods[method].facts["history"] for cell in context.cells if method in cell.methods]
    lines = []
    for term in TERMS:
        folds = [[row[term] for row in history] for history in histories]
        if all(value is not None for values in folds for value in values):
            lines.append(LossLine(TERM_NAMES[term], np.mean(folds, axis=0).tolist()))
    return lines if len(lines) > 2 else lines[:1]  # one term is its own total


def _loss(value: float | None) -> str:
    return MISSING if value is None else significant(value, 3)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


ITEMS = (
    Item(64, "Added: teacher", "The teacher's own score, and clinical items alone", bounds),
    Item(65, "Added: losses", "Without either distillation loss", losses),
    Item(66, "Added: confusion", "Confusion matrices", matrices),
    Item(67, "Added: grades", "AUC of each grade", by_grade),
    Item(68, "Added: loss curves", "Loss terms by epoch", loss_curves),
    Item(71, "Added: cost", "What training cost", cost),
    Item(72, "Open points", "What the paper leaves open, and what is out of scope", open_points),
)
