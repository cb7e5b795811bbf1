"""What every item of paper 2 may ask for; computed once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hccfeat.cohort.items import ItemSet
from hccfeat.config import MriRecipe
from hccfeat.extraction.volumes import ExamSource
from hccfeat.reproduction.mvi.cell import CellResult, CellTask
from hccfeat.reproduction.mvi.cells import Cohort, run_cells
from hccfeat.reproduction.mvi.clinical import clinical_probabilities
from hccfeat.reproduction.mvi.presets import ClinicalModel, MviPreset
from hccfeat.reproduction.mvi.scores import Scores


@dataclass
class MviContext:
    """The cohort, the plan and what has been computed so far.

    Attributes
    ----------
    study : Path
        Study folder.
    preset : MviPreset
        How much is run.
    recipe : MriRecipe
        Of every network.
    items : ItemSet
        Clinical items that the teacher is given.
    cohort : Cohort
        Who trains and is judged.
    sources : list of ExamSource
        Where the exams of ``cohort`` lie, in its order.
    without_grade : int
        Readable exams whose patient has no grade.
    failures : list of str
        Why an exam could not be prepared, one text each.
    tasks : list of CellTask
        Every cell of the study.
    simulated : bool
        Whether the cohort is simulated.
    workers : int or None
        See :func:`hccfeat.reproduction.mvi.cells.run_cells`.
    """

    study: Path
    preset: MviPreset
    recipe: MriRecipe
    items: ItemSet
    cohort: Cohort
    sources: list[ExamSource]
    without_grade: int
    failures: list[str]
    tasks: list[CellTask]
    simulated: bool
    workers: int | None = field(default=None, repr=False)

    @cached_property
    def cells(self) -> list[CellResult]:
        """Every cell of the preset, trained as far as it is missing."""
        return run_cells(self.tasks, self.workers)

    @cached_property
    def scores(self) -> Scores:
        """Scores of every method, networks and models of the items alone."""
        found = {name: self._out_of_fold(name) for name in self.preset.methods}
        found |= {name: self._clinical(name) for name in self.preset.clinical}
        return Scores(
            self.cohort.labels,
            self.cohort.folds,
            found,
            resamples=self.preset.bootstraps,
            seed=self.preset.seed,
        )

    def _out_of_fold(self, method: str) -> NDArray[np.float64]:
        rows = {exam.exam_id: row for row, exam in enumerate(self.cohort.exams)}
        probabilities = np.full((len(rows), 3), np.nan)
        for cell in self.cells:
            if method in cell.methods:
                places = [rows[exam_id] for exam_id in cell.exam_ids]
                probabilities[places] = cell.methods[method].probabilities
        return probabilities

    def _clinical(self, name: ClinicalModel) -> NDArray[np.float64]:
        probabilities = np.full((len(self.cohort.exams), 3), np.nan)
        for fold in np.unique(self.cohort.folds):
            judged = np.flatnonzero(self.cohort.folds == fold)
            train = np.flatnonzero(self.cohort.folds != fold)
            exams = self.cohort.exams
            probabilities[judged] = clinical_probabilities(
                name, [exams[i] for i in train], [exams[i] for i in judged], self.preset.seed
            )
        return probabilities
