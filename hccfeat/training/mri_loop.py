"""The loop over epochs and batches in which networks learn beside each other, and its checkpoint."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hccfeat.config import MriTrainingRecipe
from hccfeat.errors import AnalysisError
from hccfeat.files import write_atomically
from hccfeat.models.mri_base import MriOutput
from hccfeat.progress import progress_bar
from hccfeat.training.mri_data import Batch, ExamBatches, batch_order
from hccfeat.training.mri_learner import Learner, Moment, run_network
from hccfeat.training.mri_precision import convolution_precision

SECONDS_BETWEEN_CHECKPOINTS = 15.0
"""A kill loses no more than this, and the epoch it falls into."""


@dataclass(frozen=True)
class Course:
    """Networks that learn from the same batches.

    Attributes
    ----------
    students : sequence of Learner
        Networks to be trained, with or without a teacher.
    teacher : Learner or None
        One that learns too, before each batch is shown to the students.
    frozen : nn.Module or None
        One that no longer learns, in evaluation mode.
    recipe : MriTrainingRecipe
        Settings.
    batches : ExamBatches
        Training exams.
    device : torch.device
        Where the networks are.
    lower : bool
        Whether convolutions compute in bfloat16.
    checkpoint : Path
        File of the unfinished training.
    """

    students: Sequence[Learner]
    teacher: Learner | None
    frozen: nn.Module | None
    recipe: MriTrainingRecipe
    batches: ExamBatches
    device: torch.device
    lower: bool
    checkpoint: Path

    @property
    def learners(self) -> list[Learner]:
        """Everything that learns."""
        return [*([self.teacher] if self.teacher else []), *self.students]


def run_course(course: Course, *, title: str, progress: bool) -> None:
    """Train to the last epoch, from the checkpoint if there is one of this very training.

    Raises
    ------
    AnalysisError
        If a loss stops being a number.
    VolumeError
        If a volume cannot be read.
    """
    epochs, exams = course.recipe.epochs, len(course.batches.exams)
    done = _restore(course)
    steps = len(batch_order(exams, course.recipe.batch_size, course.recipe.seed, 0))
    published, note = time.monotonic(), ""
    with progress_bar(title, steps * epochs if progress else 0) as advance:
        advance(steps * done)
        for epoch in range(done, epochs):
            for learner in course.learners:
                learner.start_epoch(epoch)
            order = batch_order(exams, course.recipe.batch_size, course.recipe.seed, epoch)
            for number, indices in enumerate(order):
                _learn(course, course.batches[indices].to(course.device), Moment(epoch, number))
                advance(1, note=f"epoch {epoch + 1} of {epochs}{note}")
            loss = _finish_epoch(course, epoch, sum(len(indices) for indices in order))
            note = f", loss {loss:.4f}"
            if time.monotonic() - published >= SECONDS_BETWEEN_CHECKPOINTS:
                _publish(course, epoch + 1)
                published = time.monotonic()


def _learn(course: Course, batch: Batch, moment: Moment) -> None:
    target: MriOutput | None = None
    if course.frozen is not None:
        with torch.no_grad(), convolution_precision(course.device, lower=course.lower):
            target = run_network(course.frozen, batch)
    elif course.teacher is not None:
        target = course.teacher.step(batch, None, moment, lower=course.lower)
    for student in course.students:
        student.step(batch, target, moment, lower=course.lower)


def _finish_epoch(course: Course, epoch: int, exams: int) -> float:
    """Write the history; give the loss of the last network."""
    loss = math.nan
    for learner in course.learners:
        loss = learner.finish_epoch(epoch, exams)
        if not math.isfinite(loss):
            raise AnalysisError(
                f"training of {learner.name}",
                f"the loss is not finite in epoch {epoch + 1}",
                "Lower training.learning_rate, or set training.precision to float32.",
            )
    return loss


def _publish(course: Course, done: int) -> None:
    state = {"done": done, "learners": {learner.name: learner.state() for learner in course.learners}}
    write_atomically(course.checkpoint, lambda path: torch.save(state, path))


def _restore(course: Course) -> int:
    """Take up the checkpoint, which may hold more networks than are still needed; give the epochs done."""
    if not course.checkpoint.is_file():
        return 0
    state: dict[str, Any] = torch.load(course.checkpoint, map_location=course.device, weights_only=True)
    kept = state["learners"]
    if any(kept.get(learner.name, {}).get("identity") != learner.identity for learner in course.learners):
        return 0
    for learner in course.learners:
        learner.restore(kept[learner.name])
    return int(state["done"])
