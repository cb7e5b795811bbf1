"""The encoders that a subset study asks for, one cell each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hccfeat.config import Recipe, SubsetName
from hccfeat.training.protocol import FINAL, WHOLE, fold_part

RECURRENCE = "recurrence"
END_TO_END_LABELS = (RECURRENCE, "1y", "2y")
"""Of the end-to-end comparators: recurrence at the last contact, and by each horizon."""


@dataclass(frozen=True)
class CellSpec:
    """One encoder of the subset study.

    Attributes
    ----------
    model : str
        Label of the preset's model.
    subset : str
        ``1/4`` ... ``1/1``: how much of the training patients' labels is kept.
    part : str
        ``fold1`` ... (the other folds train), ``final`` (all folds train), ``whole`` (all untreated training
        patients of the frozen split train).
    labels : str
        ``recurrence``, or an endpoint whose labels train; then the subset is ``1/1``.
    """

    model: str
    subset: SubsetName
    part: str
    labels: str = RECURRENCE

    def __str__(self) -> str:
        part = self.part.replace("fold", "fold ")
        return f"{self.model} {self.subset} {part}" + ("" if self.labels == RECURRENCE else f" on {self.labels}")


class ModelCells(Protocol):
    """What cells ask of a preset's model."""

    @property
    def label(self) -> str:
        """Name in every table."""
        ...

    @property
    def subsets(self) -> Sequence[SubsetName]:
        """Subsets it is run on."""
        ...

    @property
    def folds(self) -> Sequence[int]:
        """Folds it is run on, counted from 1."""
        ...

    @property
    def final(self) -> bool:
        """Whether it is also trained on all folds."""
        ...


class StudyPreset(Protocol):
    """What cells ask of a preset of the reproduction."""

    @property
    def name(self) -> str:
        """Of the preset."""
        ...

    @property
    def models(self) -> Sequence[ModelCells]:
        """Every model, in the order of the tables."""
        ...

    @property
    def chosen(self) -> str:
        """Label of the model that the study is about."""
        ...

    @property
    def folds(self) -> int:
        """Folds of the cross-validation inside the subsets."""
        ...

    @property
    def test_fraction(self) -> float:
        """Share of the subsets held out once."""
        ...

    @property
    def seed(self) -> int:
        """Of the parts and of the patches drawn from external slides."""
        ...

    @property
    def external_patches(self) -> int:
        """Most patches judged of an external slide."""
        ...

    @property
    def end_to_end(self) -> bool:
        """Whether the end-to-end comparators are run."""
        ...

    def cell_recipe(self, label: str, subset: SubsetName, study: Path, study_recipe: str) -> Recipe:
        """Recipe of one encoder."""
        ...


def planned_cells(preset: StudyPreset) -> list[CellSpec]:
    """Every cell that a preset asks for: the chosen model first, its comparators, then the other models."""
    models = sorted(preset.models, key=lambda entry: entry.label != preset.chosen)
    specs: list[CellSpec] = []
    for entry in models:
        parts = [fold_part(number) for number in entry.folds if number <= preset.folds]
        parts += [FINAL] if entry.final else []
        specs += [CellSpec(entry.label, subset, part) for subset in entry.subsets for part in parts]
        if entry.label == preset.chosen and preset.end_to_end:
            specs += [CellSpec(entry.label, "1/1", WHOLE, labels) for labels in END_TO_END_LABELS]
    return specs
