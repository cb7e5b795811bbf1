"""Items 46, 47 and 70: who is in the study, how CMD-Net is built, and what the volumes are like."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from hccfeat.config import GRADES, PHASES
from hccfeat.extraction.volumes import load_prepared
from hccfeat.mri.preprocess import PreparedVolume
from hccfeat.mri.preview import preview_png
from hccfeat.report.diagram import Box, diagram
from hccfeat.report.formatting import MISSING, fixed
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Picture, Table
from hccfeat.reproduction.mvi.context import MviContext
from hccfeat.reproduction.printed import difference, printed
from hccfeat.stats.estimate import count
from hccfeat.store.catalog import query
from hccfeat.training.mri_data import Exam

TOTAL = "all folds"


def data_set(context: MviContext) -> list[Block]:
    """Item 46: patients by grade and fold, and the clinical items."""
    items, cohort = context.items, context.cohort
    matrix = np.stack([exam.clinical for exam in cohort.exams if exam.clinical is not None])
    missing = float(np.isnan(matrix).mean())
    blocks: list[Block] = [_counts(context), _folds(context)]
    text = (
        f"The teacher is given {len(items.items)} clinical items ({items.title or items.name}; the paper "
        f"{printed('cohort', 'items', paper='mvi')}); {100 * missing:.1f} % of their values are missing. "
        "Imputation and scaling are learnt in the training folds."
    )
    blocks.append(Note(text))
    if context.without_grade:
        lost = count(context.without_grade, "readable exam")
        blocks.append(Note(f"Left out: {lost} of patients without a recorded grade.", "caution"))
    if context.failures:
        kinds = "; ".join(sorted(set(context.failures)))
        text = f"Left out: {count(len(context.failures), 'exam')} that cannot be prepared ({kinds})."
        blocks.append(Note(text, "caution"))
    return blocks


def network(context: MviContext) -> list[Block]:
    """Item 47, Fig 1: CMD-Net at the size of this run."""
    recipe = context.recipe
    shape = " x ".join(map(str, recipe.volumes.shape))
    widths = ", ".join(map(str, recipe.network.channels))
    stream, training = recipe.network.stream_dim, recipe.training
    together = "trained first, then frozen" if training.staged else "trained together with the student"
    rows = (
        (
            Box(
                "Inputs",
                (
                    f"PRE and HBP volumes of {shape} voxels, not registered: own branches for each",
                    f"{len(context.items.items)} clinical items, imputed and scaled: for the teacher only",
                ),
                0,
            ),
        ),
        (
            Box(
                "Teacher: fusion branches",
                (
                    f"blocks of {widths} channels",
                    "times the clinical vectors",
                    f"Z of {stream} per phase",
                ),
                1,
            ),
            Box("Cross attention", (_attention(context), f"{2 * stream} together"), 1),
            Box("Two-layer head", (f"{2 * stream} to {recipe.network.hidden} to 3", "focal loss"), 1),
        ),
        (
            Box(
                "Teacher, detached",
                (
                    f"{together}; no gradient flows back to it",
                    f"class-level KL x {training.lambda_class:g} on the grades, "
                    f"feature-level KL x {training.beta_feature:g} on Z of each phase",
                ),
                3,
            ),
        ),
        (
            Box(
                "Student: MRI branches", (f"blocks of {widths} channels", "no clinical input", f"Z of {stream}"), 2
            ),
            Box("Cross attention", (_attention(context), f"{2 * stream}: the stored vector"), 2),
            Box("One-layer head", (f"{2 * stream} to 3: M0, M1, M2", "focal loss"), 2),
        ),
    )

    def draw(key: str, simulated: bool) -> Markup:
        return diagram(key, rows, title="CMD-Net: teacher and student", simulated=simulated)

    caption = "CMD-Net as run here: both networks learn together, the student from the detached teacher; drawn anew"
    return [Figure(draw, caption)]


def volumes(context: MviContext) -> list[Block]:
    """Item 70: what the volumes are like, as ingested and as prepared."""
    names = [source.exam_id for source in context.sources]
    frame = query(context.study, "SELECT * FROM volume WHERE cohort = ?", [context.cohort.name])
    rejected = frame.filter(pl.col("status") != "ok")
    used = frame.filter(pl.col("image_id").is_in(names))
    blocks: list[Block] = [_volume_table(context, used)]
    if rejected.height:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(rejected["status"].to_list()).items()))
        blocks.append(Note(f"Volumes that cannot be used: {kinds}; `hccfeat status` says why.", "caution"))
    return blocks + _previews(context)


def _counts(context: MviContext) -> Table:
    labels = context.cohort.labels
    found = {"patients": len(labels)} | {grade: int((labels == k).sum()) for k, grade in enumerate(GRADES)}
    data = [
        {"what": name, "n": n, "printed": printed("cohort", name, paper="mvi")}
        | {"difference": difference(n, printed("cohort", name, paper="mvi"))}
        for name, n in found.items()
    ]
    rows = [
        {
            "what": row["what"] if row["what"] == "patients" else f"with grade {row['what']}",
            "n": f"{row['n']:,}",
            "printed": str(row["printed"]),
            "difference": f"{row['difference']:+d}",
        }
        for row in data
    ]
    columns = [
        Column("what", "Patients"), Column("n", "n", "right"), Column("printed", "Printed", "right"),
        Column("difference", "Difference", "right"),
    ]  # fmt: skip
    caption = f"Patients of cohort {context.cohort.name} with a grade and both phases"
    return Table(columns, rows, caption, data=data)


def _folds(context: MviContext) -> Table:
    labels, folds = context.cohort.labels, context.cohort.folds
    data: list[dict[str, Any]] = []
    for fold in [*np.unique(folds), None]:
        inside = np.ones(len(labels), dtype=bool) if fold is None else folds == fold
        counts = {grade: int((labels[inside] == k).sum()) for k, grade in enumerate(GRADES)}
        data.append({"fold": TOTAL if fold is None else int(fold), "judged": int(inside.sum()), **counts})
    for row in data:
        row["training"] = None if row["fold"] == TOTAL else len(labels) - row["judged"]
    rows = [{key: MISSING if value is None else str(value) for key, value in row.items()} for row in data]
    columns = [Column("fold", "Fold"), Column("judged", "Judged", "right")]
    columns += [Column(grade, grade, "right") for grade in GRADES] + [Column("training", "Training", "right")]
    caption = f"The {context.preset.folds} folds of patients, stratified by grade, seed {context.preset.seed}"
    return Table(columns, rows, caption, data=data)


def _attention(context: MviContext) -> str:
    recipe = context.recipe.network
    how = "softmax" if recipe.ca_softmax else "no softmax"
    return f"{recipe.attention} mode, {how}{', residual' if recipe.ca_residual else ''}"


def _volume_table(context: MviContext, used: pl.DataFrame) -> Table:
    data: list[dict[str, Any]] = []
    for place, phase in enumerate(PHASES):
        of_phase = used.filter(pl.col("phase") == phase)
        centres = Counter(_prepared(exam, place).centred_on for exam in context.cohort.exams)
        data.append(
            {"phase": phase, "volumes": of_phase.height}
            | {"formats": _counted(of_phase["format"].to_list()), "centred_on": _counted(centres.elements())}
            | {f"spacing_{axis}_mm": _range(of_phase[f"spacing_{axis}_mm"]) for axis in "xyz"}
            | {"slices": _range(of_phase["slices"]), "missing_slices": int(of_phase["missing_slices"].sum() or 0)}
            | {
                "intensity_low": _range(of_phase["intensity_low"]),
                "intensity_high": _range(of_phase["intensity_high"]),
            }
            | {"phase_order": _counted(of_phase["phase_order"].to_list())}
        )
    labels = {
        "volumes": "Volumes", "formats": "Format", "spacing_x_mm": "Spacing x, mm", "spacing_y_mm": "Spacing y, mm",
        "spacing_z_mm": "Spacing z, mm", "slices": "Slices", "missing_slices": "Missing slices",
        "intensity_low": "1st percentile of intensity", "intensity_high": "99th percentile of intensity",
        "phase_order": "Order of the phases", "centred_on": "Crop centred on",
    }  # fmt: skip
    rows = [{"what": label} | {str(row["phase"]): str(row[key]) for row in data} for key, label in labels.items()]
    columns = [Column("what", "Quality control"), *(Column(phase, phase.upper(), "right") for phase in PHASES)]
    return Table(columns, rows, "Volumes of the judged exams: median (lowest to highest) or counts", data=data)


def _previews(context: MviContext) -> list[Block]:
    """One prepared volume of each grade and phase: the first exam of the grade that trains fold 1."""
    blocks: list[Block] = []
    cohort = context.cohort
    for grade, name in enumerate(GRADES):
        exam = cohort.exams[int(np.flatnonzero(cohort.labels == grade)[0])]
        for place, phase in enumerate(PHASES):
            caption = f"{name}, {phase.upper()}: prepared volume, axial, coronal and sagittal middle plane"
            blocks.append(Picture(preview_png(_prepared(exam, place)), caption))
    return blocks


def _prepared(exam: Exam, place: int) -> PreparedVolume:
    return load_prepared(Path(str(exam.volumes[place])))


def _counted(values: Any) -> str:
    counts = Counter(MISSING if value is None else str(value) for value in values)
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _range(values: pl.Series) -> str:
    known = values.drop_nulls().cast(pl.Float64)
    if known.is_empty():
        return MISSING
    low, middle, high = (float(v) for v in np.quantile(known.to_numpy(), [0, 0.5, 1]))
    decimals = 0 if values.dtype.is_integer() else 1
    if low == high:
        return fixed(middle, decimals)
    return f"{fixed(middle, decimals)} ({fixed(low, decimals)} to {fixed(high, decimals)})"


ITEMS = (
    Item(46, "Data set", "Patients, grades, folds and clinical items", data_set),
    Item(47, "Fig 1", "CMD-Net, drawn from this run", network),
    Item(70, "Added: volumes", "Quality control of the volumes", volumes),
)
