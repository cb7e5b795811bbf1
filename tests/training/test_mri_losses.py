"""Losses of the MRI networks, against hand-worked numbers and other implementations."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn import functional

from hccfeat.training.mri_losses import class_kl, feature_kl, focal_loss, item_loss, similarity_loss

Loss = Callable[[Tensor, Tensor], Tensor]
DISTILLATION: dict[str, Loss] = {
    "class": class_kl,
    "class, temperature 4": lambda student, teacher: class_kl(student, teacher, temperature=4.0),
    "feature": lambda student, teacher: feature_kl(student[:, None], teacher[:, None]),
    "similarity": similarity_loss,
}
logits = arrays(np.float32, (4, 3), elements=st.floats(-8, 8, width=32)).map(torch.from_numpy)


def test_focal_loss_of_a_hand_worked_batch() -> None:
    # probabilities 3/4 and 1/2 of the right class
    values = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    loss = focal_loss(values, torch.tensor([0, 1]))
    assert float(loss) == pytest.approx((math.log(4 / 3) / 16 + math.log(2) / 4) / 2, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(logits)
def test_focal_loss_without_focus_is_cross_entropy(values: Tensor) -> None:
    labels = torch.tensor([0, 1, 2, 1])
    expected = functional.cross_entropy(values, labels)
    assert float(focal_loss(values, labels, gamma=0.0)) == pytest.approx(float(expected), rel=1e-5, abs=1e-7)
    assert float(focal_loss(values, labels)) <= float(expected) + 1e-6


@pytest.mark.parametrize("weights", [None, [0.7, 1.0, 1.8]])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_equals_that_of_monai(gamma: float, weights: list[float] | None) -> None:
    from monai.losses import FocalLoss

    values = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(16) % 3
    other = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=gamma, weight=weights, reduction="none")
    ours = focal_loss(values, labels, gamma=gamma, class_weights=None if weights is None else torch.tensor(weights))
    assert float(ours) == pytest.approx(float(other(values, labels[:, None]).sum()) / 16, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_has_finite_gradients_where_the_network_is_sure(gamma: float) -> None:
    values = torch.tensor([[80.0, 0.0, 0.0], [-80.0, 0.0, 80.0]], requires_grad=True)
    focal_loss(values, torch.tensor([0, 0]), gamma=gamma).backward()
    assert values.grad is not None
    assert values.grad.isfinite().all()


@pytest.mark.parametrize("name", DISTILLATION)
@settings(max_examples=40, deadline=None)
@given(student=logits, teacher=logits)
def test_distillation_is_zero_at_equality_and_else_not_negative(
    name: str, student: Tensor, teacher: Tensor
) -> None:
    loss = DISTILLATION[name]
    assert abs(float(loss(teacher.clone(), teacher))) < 1e-6
    assert float(loss(student, teacher)) > -1e-6


@settings(max_examples=40, deadline=None)
@given(student=logits, teacher=logits)
def test_kl_is_positive_where_the_probabilities_differ(student: Tensor, teacher: Tensor) -> None:
    distance = float((student.softmax(1) - teacher.softmax(1)).abs().sum(dim=1).mean())
    # Pinsker's inequality; the bound of a mean of squares by the square of the mean is Jensen's
    assert float(class_kl(student, teacher)) >= distance**2 / 2 - 1e-6


@pytest.mark.parametrize("name", DISTILLATION)
def test_gradients_reach_the_student_but_never_the_teacher(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    student, teacher = (torch.randn(4, 3, generator=generator).requires_grad_() for _ in range(2))
    DISTILLATION[name](student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert float(student.grad.abs().sum()) > 0


def test_class_kl_of_a_hand_worked_batch() -> None:
    teacher = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    student = torch.zeros(2, 2)
    # the second exam agrees; the first has 3/4, 1/4 against 1/2, 1/2
    by_hand = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
    assert float(class_kl(student, teacher)) == pytest.approx(by_hand, rel=1e-6)
    backwards = (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)) / 2
    assert float(class_kl(teacher, student)) == pytest.approx(backwards, rel=1e-6)


def test_temperature_softens_and_keeps_the_size_of_gradients() -> None:
    teacher, student = torch.tensor([[math.log(81.0), 0.0]]), torch.zeros(1, 2)
    # at temperature 4 the odds of 81 become those of 3
    by_hand = 16 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert float(class_kl(student, teacher, temperature=4.0)) == pytest.approx(by_hand, rel=1e-6)


def test_feature_kl_is_the_sum_over_phases_of_equation_5() -> None:
    generator = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(4, 2, 7, generator=generator) for _ in range(2))
    phases = [class_kl(student[:, phase], teacher[:, phase]) for phase in (0, 1)]
    assert float(feature_kl(student, teacher)) == pytest.approx(float(sum(phases)), rel=1e-6)


def test_similarity_loss_of_a_hand_worked_batch() -> None:
    teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # Gram rows (1, 0) and (0, 1)
    student = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # Gram rows (1, 1) / sqrt(2), twice
    half = 1 / math.sqrt(2)
    by_hand = (2 * (1 - half) ** 2 + 2 * half**2) / 4
    assert float(similarity_loss(student, teacher)) == pytest.approx(by_hand, rel=1e-6)


def test_similarity_loss_accepts_features_of_another_width() -> None:
    student, teacher = torch.eye(3, 8).view(3, 2, 4), torch.eye(3, 5)
    assert float(similarity_loss(student, teacher)) == pytest.approx(0.0, abs=1e-7)


def test_missing_items_are_left_out() -> None:
    predicted = torch.tensor([[1.0, 5.0], [2.0, 3.0]], requires_grad=True)
    items = torch.tensor([[0.0, float("nan")], [0.0, 1.0]])
    loss = item_loss(predicted, items, ~items.isnan())
    assert loss.item() == pytest.approx((1 + 4 + 4) / 3)
    loss.backward()
    assert predicted.grad is not None
    assert predicted.grad.tolist() == [[pytest.approx(2 / 3), 0.0], [pytest.approx(4 / 3), pytest.approx(4 / 3)]]
    nothing = item_loss(predicted, torch.full((2, 2), torch.nan), torch.zeros(2, 2, dtype=torch.bool))
    assert nothing.item() == 0.0


def test_losses_of_bfloat16_are_float32() -> None:
    student, teacher = (torch.randn(4, 2, 3).to(torch.bfloat16) for _ in range(2))
    found = [
        focal_loss(student[:, 0], torch.tensor([0, 1, 2, 0])),
        class_kl(student[:, 0], teacher[:, 0]),
        feature_kl(student, teacher),
        similarity_loss(student, teacher),
    ]
    assert {loss.dtype for loss in found} == {torch.float32}
