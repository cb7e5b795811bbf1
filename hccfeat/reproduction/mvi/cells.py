"""The cells of the study: planned from the folds, trained once, kept as one file each."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import MriRecipe
from hccfeat.errors import AnalysisError
from hccfeat.extraction.executors import available_cores
from hccfeat.progress import progress_bar
from hccfeat.reproduction.mvi.cell import CellResult, CellTask, cell_identity, make_cell, read_cell
from hccfeat.training.mri_data import Exam
from hccfeat.training.mri_methods import OURS, Method, families
from hccfeat.training.threads import pin_threads

KEPT_FOLD = 1
"""Fold whose weights of ``ours`` stay, for the saliency of patients that it judges."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Exams with a known grade and items, and the fold that judges each.

    ``labels`` and ``folds`` int64 (n,) in the order of ``exams``; folds count from 1.
    """

    name: str
    exams: tuple[Exam, ...]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]


def plan_cells(
    cohort: Cohort, methods: Sequence[Method], recipe: MriRecipe, device: str, folder: Path
) -> list[CellTask]:
    """Plan one cell per fold and family, by fold.

    Parameters
    ----------
    cohort : Cohort
        Everybody.
    methods : sequence of Method
        Networks of the preset.
    recipe : MriRecipe
        Of every network.
    device : str
        ``cpu`` or a GPU.
    folder : Path
        Of the finished cells.
    """
    tasks = []
    for fold in np.unique(cohort.folds):
        judged = tuple(exam for exam, of in zip(cohort.exams, cohort.folds, strict=True) if of == fold)
        train = tuple(exam for exam, of in zip(cohort.exams, cohort.folds, strict=True) if of != fold)
        for family in families(list(methods)):
            keep = OURS if fold == KEPT_FOLD and any(method.name == OURS for method in family) else None
            tasks.append(CellTask(int(fold), family, recipe, train, judged, device, folder, keep))
    return tasks


def run_cells(tasks: Sequence[CellTask], workers: int | None = None) -> list[CellResult]:
    """Train what is not finished and give every cell; a killed run continues where it stopped.

    Parameters
    ----------
    tasks : sequence of CellTask
        Of one device.
    workers : int, optional
        Processes of one thread each; 0 works in this one. By default one per core, and 0 on a GPU.

    Returns
    -------
    list of CellResult
        In the order of ``tasks``.

    Raises
    ------
    AnalysisError
        If a training fails, after the other cells are finished; or a worker process dies.
    StoreError
        If a finished cell is damaged.
    """
    known = [(task, cell_identity(task)) for task in tasks]
    todo = [(task, identity) for task, identity in known if read_cell(task, identity) is None]
    todo.sort(key=lambda pair: -pair[0].cost)
    if workers is None:
        workers = available_cores() if all(task.device == "cpu" for task in tasks) else 0
    with progress_bar("Training networks", len(todo)) as advance:
        made = _in_pool(todo, workers) if min(workers, len(todo)) > 1 else map(_attempt, todo)
        failed = []
        for task, error in made:
            failed += [] if error is None else [error]
            advance(note=task.name)
    if failed:
        raise failed[0]
    found = [read_cell(task, identity) for task, identity in known]
    return [cell for cell in found if cell is not None]


def _attempt(pair: tuple[CellTask, str]) -> tuple[CellTask, AnalysisError | None]:
    """Make a cell; a training that fails must not take the others along."""
    try:
        make_cell(*pair)
    except AnalysisError as error:
        return pair[0], error
    return pair[0], None


def _start_worker() -> None:
    """One thread for torch; and no worker outlives a killed run, whose successor makes the same cells."""
    pin_threads(1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_pool(todo: Sequence[tuple[CellTask, str]], workers: int) -> Iterator[tuple[CellTask, AnalysisError | None]]:
    """Make cells in processes of one thread each, in order of completion."""
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(todo))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker) as pool:
        try:
            for future in as_completed([pool.submit(_attempt, pair) for pair in todo]):
                yield future.result()
        except BrokenProcessPool as error:
            raise AnalysisError(
                "training of the networks",
                "a worker process died, probably for want of memory",
                "Free memory and run the same command again: finished cells are kept.",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
