"""The encoders and judges of the subset study for its items, and how its scores are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.judges import NOT_RUN, Bench, make_judges
from hccfeat.analysis.subsets import Scored
from hccfeat.report.formatting import MISSING, fixed, with_interval
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.judged import ESTIMATE, columns, estimate_cells, printed_number, signed
from hccfeat.reproduction.printed import difference
from hccfeat.store.catalog import query
from hccfeat.training.labels import SUBSETS

MODEL_NAMES = {
    "resnet18": "ResNet18",
    "densenet121": "DenseNet121",
    "swin_base": "Swin",
    "cnn_sasm": "CNN-SASM",
    "cnn_selfattn": "CNN-SelfAttn",
    "cnn_selfattn_attn": "CNN-SelfAttn-Attn",
    "cnn_csa": "CNN-CSA",
    "cnn_ssa": "CNN-SSA",
}
NO_EXTERNAL = "The study has no external cohort, so nothing is judged from outside."


@dataclass(frozen=True)
class Entry:
    """A row of :func:`scores_table`: heading of its group, its own label, the score and what the paper prints."""

    group: str
    label: str
    scored: Scored
    printed: float | None = None


@dataclass(frozen=True)
class ScoreLine:
    """A group of rows of :func:`wide_table`.

    Attributes
    ----------
    group, what : str
        Heading of the group, and name of the score.
    scores : dict
        Score by column.
    printed : dict or None
        The paper's value by column; None where the paper prints none of them.
    more : dict
        Further cells: row heading -> column -> text.
    """

    group: str
    what: str
    scores: dict[str, Scored]
    printed: dict[str, float | None] | None = None
    more: dict[str, dict[str, str]] = field(default_factory=dict)


def bench_of(context: Context) -> Bench:
    """Finished encoders and judges of a study.

    Held-out and external patients carry the label of the endpoint ``final``, as in the other items.
    """
    data = context.data("final")
    months = query(context.study, "SELECT patient_id, months FROM outcome WHERE outcome = 'os' ORDER BY patient_id")
    judges = make_judges(
        context.cells.protocol,
        data.patients,
        dict(zip(months["patient_id"], months["months"], strict=True)),
        set() if data.images is None else set(data.images["patient_id"]),
        context.preset.external_per_class,
    )
    settings = context.config.analysis
    return Bench(
        context.cells,
        judges,
        settings.bootstraps,
        settings.seed,
        settings.threshold,
        context.internal,
        context.external or "external",
    )


def by_subset(make: Callable[[str], Scored]) -> dict[str, Scored]:
    """A score for every training subset."""
    return {subset: make(subset) for subset in SUBSETS}


def model_name(label: str) -> str:
    """The paper's name of a model; a model that the paper does not have keeps its label."""
    return MODEL_NAMES.get(label, label)


def models(context: Context) -> list[str]:
    """Labels of the preset's models, those of Table 2 in its order first."""
    labels = [entry.label for entry in context.preset.models]
    return [label for label in MODEL_NAMES if label in labels] + [
        name for name in labels if name not in MODEL_NAMES
    ]


def table2(model: str, column: str) -> float | None:
    """A number printed in Table 2."""
    return printed_number("table2", model, column)


def table2_row(model: str) -> dict[str, float | None]:
    """The AUROCs that Table 2 prints for a model, and their mean."""
    return {name: table2(model, name) for name in (*SUBSETS, "mean")}


def score_text(scored: Scored) -> str:
    """A score with its interval, or why there is none; its method shows when it is pointed at."""
    if scored.estimate is None:
        return scored.reason
    found = scored.estimate
    text = MISSING if found.value is None else with_interval(found.value, found.lower, found.upper, 3)
    return Markup('<abbr title="{}">{}</abbr>').format("; ".join(filter(None, [found.method, scored.reason])), text)


def counts_text(scored: Scored) -> str:
    """Patients, of them relapsed, and the folds that were run."""
    if scored.estimate is None:
        return ""
    folds = f"; {len(scored.folds)}" if scored.folds else ""
    return f"{scored.estimate.n} ({scored.estimate.events}){folds}"


def wide_table(lines: Sequence[ScoreLine], caption: str, more: Sequence[Column] = ()) -> Table:
    """Scores side by side, one column per training subset, one group of rows per line.

    Parameters
    ----------
    lines : sequence of ScoreLine
        Groups from top to bottom; all with the same columns.
    caption : str
        Of the table.
    more : sequence of Column
        Further columns, which the lines' ``more`` fill.
    """
    rows, data = [], []
    for line in lines:
        texts: dict[str, dict[str, str]] = {
            f"{line.what} (95 % interval)": {name: score_text(scored) for name, scored in line.scores.items()}
        }
        folded = any(scored.folds for scored in line.scores.values())
        if folded:
            texts["SD over folds"] = {name: _sd(scored) for name, scored in line.scores.items()}
        counted = "Patients (relapsed); folds" if folded else "Patients (relapsed)"
        texts[counted] = {name: counts_text(scored) for name, scored in line.scores.items()}
        if line.printed is not None and any(value is not None for value in line.printed.values()):
            texts["Printed"] = {name: fixed(line.printed.get(name)) for name in line.scores}
            texts["Difference"] = {
                name: signed(difference(scored.value, line.printed.get(name)))
                for name, scored in line.scores.items()
            }
        rows += [
            {"group": line.group, "what": what, **cells, **line.more.get(what, {})} for what, cells in texts.items()
        ]
        for name, scored in line.scores.items():
            value = None if line.printed is None else line.printed.get(name)
            data.append(
                {
                    "group": line.group,
                    **scored.row(),
                    "printed": value,
                    "difference": difference(scored.value, value),
                }
            )
    names = list(lines[0].scores) if lines else []
    shown = [Column("what", "Training subset"), *(Column(name, name, "right") for name in names), *more]
    blank = {column.key: "" for column in shown}
    return Table(shown, [blank | row for row in rows], caption, group="group", data=data)


def _sd(scored: Scored) -> str:
    return "" if scored.estimate is None or not scored.folds else fixed(scored.sd)


def scores_table(
    entries: Sequence[Entry], heading: str, caption: str, extra: Sequence[dict[str, Any]] | None = None
) -> Table:
    """One row per score: estimate, interval, patients, events, folds, printed value and difference.

    Parameters
    ----------
    entries : sequence of Entry
        Rows of one group are neighbours.
    heading, caption : str
        Of the first column and of the table.
    extra : sequence of dict, optional
        Further cells of each row, by the heading of their column; equal keys in every row.
    """
    rows, data = [], []
    more = list(extra[0]) if extra else []
    for place, entry in enumerate(entries):
        cells: dict[str, Any] = {key: "" for key, _ in ESTIMATE}
        if entry.scored.estimate is None:
            cells |= {"value": entry.scored.reason or NOT_RUN, "printed": fixed(entry.printed)}
        else:
            cells |= estimate_cells(entry.scored.estimate, entry.printed)[0]
        cells |= {"group": entry.group, "label": entry.label, "folds": str(len(entry.scored.folds) or "")}
        if entry.scored.estimate is not None:
            cells["method"] = "; ".join(filter(None, [entry.scored.estimate.method, entry.scored.reason]))
        further = dict(extra[place]) if extra else {}
        rows.append({**cells, **further})
        data.append(
            {
                **entry.scored.row(),
                "printed": entry.printed,
                "difference": difference(entry.scored.value, entry.printed),
            }
        )
    unused = set() if any(entry.printed is not None for entry in entries) else {"printed", "difference"}
    shown = [Column("label", heading), *columns(numbers=[pair for pair in ESTIMATE if pair[0] not in unused])]
    shown += [Column("folds", "Folds", "right")] if any(entry.scored.folds for entry in entries) else []
    shown += [Column(name, name, "right") for name in more]
    return Table([*shown, Column("method", "Method")], rows, caption, group="group", data=data)
