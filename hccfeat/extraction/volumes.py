"""MRI exams of a study, prepared, with their grades and clinical items: what networks are trained on and judge."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.items import ItemSet, item_matrix
from hccfeat.config import GRADES, MriRecipe
from hccfeat.errors import FailureKind, HccfeatError, InputError, VolumeError
from hccfeat.extraction.exam_sources import ExamSource, VolumeSource, exam_sources
from hccfeat.extraction.executors import run_tasks
from hccfeat.extraction.outcomes import Outcome, failure_kind
from hccfeat.extraction.volume_cache import load_prepared, prepared_paths
from hccfeat.progress import progress_bar
from hccfeat.store.catalog import query
from hccfeat.training.mri_data import Exam

__all__ = [
    "ExamSource",
    "VolumeSource",
    "clinical_items",
    "exam_sources",
    "exams_with_labels",
    "load_prepared",
    "prepare_exams",
    "prepared_paths",
]

LABEL = "mvi_grade"
"""Column of table ``clinical`` that trains."""

OnFailure = Callable[[ExamSource, HccfeatError], None]


def prepare_exams(
    study: Path,
    sources: Sequence[ExamSource],
    recipe: MriRecipe,
    on_failure: OnFailure | None = None,
    *,
    workers: int = 0,
) -> list[tuple[ExamSource, tuple[Path, Path]]]:
    """Prepare many exams, with a progress bar; what is prepared already costs next to nothing.

    Parameters
    ----------
    study, recipe
        As :func:`hccfeat.extraction.volume_cache.prepared_paths`.
    sources : sequence of ExamSource
        Any.
    on_failure : callable, optional
        Told of an exam that cannot be prepared; the others go on. Without it the error is raised.
    workers : int
        0 works in this process, one exam at a time; more start that many processes.

    Returns
    -------
    list of (ExamSource, tuple of Path)
        The exams that could be prepared, in the order given.
    """
    prepared: dict[str, tuple[Path, Path]] = {}
    tasks = [_PrepareTask(study, source, recipe) for source in sources]
    lost: set[str] = set()
    with progress_bar("Preparing MRI volumes", len(sources)) as advance:
        if workers:
            for outcome in run_tasks(_prepare, tasks, workers):
                if outcome.failure is not None and outcome.failure.kind is FailureKind.WORKER_LOST:
                    lost.add(outcome.image_id)
                advance()
        for task in tasks:
            try:
                prepared[task.image_id] = _prepared(task, lost)
            except HccfeatError as error:
                if on_failure is None:
                    raise
                on_failure(task.source, error)
            if not workers:
                advance()
    return [(source, prepared[source.exam_id]) for source in sources if source.exam_id in prepared]


@dataclass(frozen=True)
class _PrepareTask:
    study: Path
    source: ExamSource
    recipe: MriRecipe

    @property
    def image_id(self) -> str:
        return self.source.exam_id


def _prepare(task: _PrepareTask) -> Outcome:
    """Prepare one exam in a worker; the error of one that fails is met again by the parent, which asks for it."""
    try:
        _prepared(task)
    except HccfeatError as error:
        return Outcome.failed(task.image_id, error)
    return Outcome(task.image_id, None, None)


def _prepared(task: _PrepareTask, lost: Collection[str] = ()) -> tuple[Path, Path]:
    if task.image_id in lost:
        problem, remedy = "the process that prepared it died twice", "Look at its files, or free memory."
        raise VolumeError(FailureKind.WORKER_LOST, task.image_id, problem, remedy)
    try:
        return prepared_paths(task.study, task.source, task.recipe)
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        problem = f"could not be prepared ({type(error).__name__}: {error})"
        remedy = "Make room on the disk or in memory, or look at its files, and run the command again."
        raise VolumeError(failure_kind(error), task.image_id, problem, remedy) from error


def exams_with_labels(
    study: Path,
    sources: Sequence[ExamSource],
    recipe: MriRecipe,
    items: ItemSet | None,
    on_failure: OnFailure | None = None,
    *,
    workers: int = 0,
) -> list[Exam]:
    """Exams with their prepared volumes, MVI grades and clinical items.

    Parameters
    ----------
    study, sources, recipe, on_failure, workers
        As :func:`prepare_exams`.
    items : ItemSet or None
        Clinical items that a teacher is given; None gives none.

    Returns
    -------
    list of Exam
        ``label`` is None where the grade is not known.

    Raises
    ------
    InputError
        If an exam's patient is in no clinical table.
    """
    prepared = prepare_exams(study, sources, recipe, on_failure, workers=workers)
    patients = [source.patient_id for source, _ in prepared]
    clinical = _clinical(study, patients)
    grades = clinical[LABEL].to_list() if LABEL in clinical.columns else [None] * clinical.height
    matrix = None if items is None else item_matrix(clinical, items, load_dictionary(study))
    return [
        Exam(
            exam_id=source.exam_id,
            patient_id=source.patient_id,
            label=None if grade is None else GRADES.index(grade),
            volumes=paths,
            clinical=None if matrix is None else matrix[place],
        )
        for place, ((source, paths), grade) in enumerate(zip(prepared, grades, strict=True))
    ]


def clinical_items(study: Path, patients: list[str], items: ItemSet) -> NDArray[np.float64]:
    """Clinical items of some patients, in their order: (n, C), NaN where missing.

    Raises
    ------
    InputError
        If a patient is in no clinical table.
    """
    return item_matrix(_clinical(study, patients), items, load_dictionary(study))


def _clinical(study: Path, patients: list[str]) -> pl.DataFrame:
    """Rows of table ``clinical`` for some patients, in their order."""
    table = query(study, "SELECT * FROM clinical")
    absent = sorted(set(patients) - set(table["patient_id"]))
    if absent:
        raise InputError(absent[0], "has an MRI exam but no clinical values", "Ingest its cohort again.")
    wanted = pl.DataFrame({"patient_id": patients}, schema={"patient_id": pl.String})
    return wanted.join(table, on="patient_id", how="left", maintain_order="left", validate="m:1")
