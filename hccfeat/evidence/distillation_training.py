"""Training of the stand-in's arms: student and teacher jointly, by the losses of the real pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hccfeat.config import GRADES, PHASES, MriTrainingRecipe
from hccfeat.evidence.distillation_networks import StackedNetwork
from hccfeat.evidence.settings import DistillationStandIn
from hccfeat.training.mri_learner import learning_rate
from hccfeat.training.mri_losses import class_kl, feature_kl, focal_loss

Floats = NDArray[np.float64]
ORDER, PERMUTATION = 41, 42
"""Codes of streams of random numbers."""


@dataclass(frozen=True)
class Arm:
    """Who is trained.

    Attributes
    ----------
    title : str
    phases : tuple of int
        Of the student, and of its teacher.
    teacher : {"real", "permuted", "image", "exact"} or None
        Given the items, those of another patient, none; or no network but the true probabilities of the grades.
    staged : bool
        The teacher is trained first, for as many epochs, and frozen.
    """

    title: str
    phases: tuple[int, ...] = (0, 1)
    teacher: Literal["real", "permuted", "image", "exact"] | None = None
    staged: bool = False

    @property
    def learns(self) -> bool:
        """Whether it has a teacher that learns."""
        return self.teacher is not None and self.teacher != "exact"


ARMS = {
    "real": Arm("real teacher", teacher="real"),
    "permuted": Arm("teacher with permuted items", teacher="permuted"),
    "image": Arm("image-only teacher", teacher="image"),
    "none": Arm("no teacher"),
    "pre": Arm("no teacher, PRE only", (PHASES.index("pre"),)),
    "hbp": Arm("no teacher, HBP only", (PHASES.index("hbp"),)),
}
LATER = {
    "staged": Arm("real teacher, trained first and frozen", teacher="real", staged=True),
    "staged_permuted": Arm(
        "teacher with permuted items, trained first and frozen", teacher="permuted", staged=True
    ),
    "exact": Arm("the true probabilities in place of a teacher's", teacher="exact"),
}
"""Added after the results of the others had been seen."""


@dataclass(frozen=True, eq=False)
class Cohorts:
    """R cohorts of equal size; the first ``train`` patients of each are trained on.

    Attributes
    ----------
    seeds : sequence of int
        (R,).
    images : float32 (R, n, phases, features)
    items : float32 (R, n, items)
        Standardised, nothing missing.
    grades : int64 (R, n)
    exact : float32 (R, n, classes)
        Logarithms of the grades' probabilities given S, I and K.
    train : int
    """

    seeds: Sequence[int]
    images: Tensor
    items: Tensor
    grades: Tensor
    exact: Tensor
    train: int


def train_arm(arm: Arm, cohorts: Cohorts, study: DistillationStandIn) -> tuple[Floats, Floats | None]:
    """Train an arm on every cohort and score the patients who were not trained on.

    Initial weights of the student and the batches are the same in every arm. The teacher's own score is that with
    the patients' real items, whatever it was trained with.

    Returns
    -------
    (float64 (R, held out, classes), the same or None)
        Probabilities of the student, and of the teacher where there is one.
    """
    student, teacher = _network(arm, cohorts, study), None
    if arm.learns:
        width = 0 if arm.teacher == "image" else cohorts.items.shape[2]
        teacher = _network(arm, cohorts, study, items=width, teacher=True)
    given = replace(cohorts, items=_permuted(cohorts)) if arm.teacher == "permuted" else cohorts
    if arm.staged and teacher is not None:
        _fit(_Lesson(None, teacher), given, study.training)
    lesson = _Lesson(student, teacher, frozen=arm.staged, exact=arm.teacher == "exact")
    _fit(lesson, given, study.training)
    held_out = cohorts.images[:, cohorts.train :], cohorts.items[:, cohorts.train :]
    return _probabilities(student, *held_out), None if teacher is None else _probabilities(teacher, *held_out)


def _network(
    arm: Arm, cohorts: Cohorts, study: DistillationStandIn, *, items: int = 0, teacher: bool = False
) -> StackedNetwork:
    return StackedNetwork(
        arm.phases, cohorts.images.shape[3], items, hidden=study.hidden, stream=study.stream, classes=len(GRADES),
        seeds=[2 * seed + teacher for seed in cohorts.seeds], deep_head=teacher,
    )  # fmt: skip


@dataclass(frozen=True)
class _Lesson:
    """What is trained beside each other, and what the student is told."""

    student: StackedNetwork | None
    teacher: StackedNetwork | None
    frozen: bool = False
    exact: bool = False

    def learning(self) -> list[Tensor]:
        """Weights that change."""
        networks = (self.student, None if self.frozen else self.teacher)
        return [weight for network in networks if network is not None for weight in network.parameters()]

    def loss(self, cohorts: Cohorts, rows: Tensor, recipe: MriTrainingRecipe) -> Tensor:
        """Mean over the networks of the loss of a batch (P2 equation 6)."""
        own = torch.arange(len(cohorts.seeds))[:, None]
        images, labels = cohorts.images[own, rows], cohorts.grades[own, rows].flatten()
        terms, told = [], None
        if self.teacher is not None:
            with torch.set_grad_enabled(not self.frozen):
                told = self.teacher(images, cohorts.items[own, rows])
            terms += [] if self.frozen else [focal_loss(told.logits, labels, gamma=recipe.gamma)]
        if self.student is not None:
            shown = self.student(images, None)
            terms.append(focal_loss(shown.logits, labels, gamma=recipe.gamma))
            if told is not None:
                terms.append(recipe.lambda_class * class_kl(shown.logits, told.logits))
                terms.append(recipe.beta_feature * feature_kl(shown.streams, told.streams))
            if self.exact:
                exact = cohorts.exact[own, rows].flatten(0, 1)
                terms.append(recipe.lambda_class * class_kl(shown.logits, exact))
        return torch.stack(terms).sum()


def _fit(lesson: _Lesson, cohorts: Cohorts, recipe: MriTrainingRecipe) -> None:
    optimiser = torch.optim.Adam(
        lesson.learning(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    batches = -(-cohorts.train // recipe.batch_size)
    draws = [np.random.default_rng([seed, ORDER]) for seed in cohorts.seeds]
    for epoch in range(recipe.epochs):
        optimiser.param_groups[0]["lr"] = learning_rate(recipe, epoch)
        order = torch.from_numpy(np.stack([draw.permutation(cohorts.train) for draw in draws]))
        for rows in order.tensor_split(batches, dim=1):
            optimiser.zero_grad()
            # The sum over networks, so that each gets the gradient of its own mean.
            (len(cohorts.seeds) * lesson.loss(cohorts, rows, recipe)).backward()
            optimiser.step()


def _permuted(cohorts: Cohorts) -> Tensor:
    """Give each training patient the items of another, the next in a random ring, once for all epochs."""
    items = cohorts.items.clone()
    for row, seed in enumerate(cohorts.seeds):
        ring = np.random.default_rng([seed, PERMUTATION]).permutation(cohorts.train)
        items[row, ring] = cohorts.items[row, np.roll(ring, -1)]
    return items


@torch.no_grad()
def _probabilities(network: StackedNetwork, images: Tensor, items: Tensor) -> Floats:
    logits = network(images, items).logits
    probabilities = logits.double().softmax(dim=1).reshape(*images.shape[:2], -1)
    return np.asarray(probabilities.numpy())
