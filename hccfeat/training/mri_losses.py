"""The losses of P2 and of its comparators; all of them are float32 means over the batch.

Call them outside autocast. A teacher's values are targets: they are detached here, so that no caller can forget it.
"""

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss(
    logits: Tensor, labels: Tensor, *, gamma: float = 2.0, class_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy in which an exam counts the less the surer the network is of its class (P2 reading 16).

    Parameters
    ----------
    logits : Tensor
        (B, classes).
    labels : Tensor
        (B,) int64.
    gamma : float
        0 gives cross-entropy.
    class_weights : Tensor, optional
        (classes,) factors of the exams of each class; the mean stays one over exams, not over weights.

    Returns
    -------
    Tensor
        () mean of ``-w (1 - p)^gamma log p`` with p the probability of the exam's class.
    """
    log_probability = logits.float().log_softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
    # expm1 keeps the digits of 1 - p where p is all but 1; at 0 the power would have an infinite slope if gamma < 1
    others = (-torch.expm1(log_probability)).clamp(min=torch.finfo(torch.float32).tiny)
    loss = -(others**gamma) * log_probability
    if class_weights is not None:
        loss = loss * class_weights[labels]
    return loss.mean()


def class_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """KL divergence of class probabilities, the teacher's as the target (P2 equation 4, reading 13).

    Parameters
    ----------
    student, teacher : Tensor
        (B, classes) logits; the teacher's are detached.
    temperature : float
        Divides the logits; the loss is multiplied by its square, so that gradients keep their size (Hinton).
    """
    divergence = _softmax_kl(student / temperature, teacher / temperature)
    return temperature**2 * divergence.mean()


def feature_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of the softmax of Z, summed over the phases (P2 equation 5, reading 12).

    Parameters
    ----------
    student, teacher : Tensor
        (B, S, D) Z of each phase; the teacher's are detached.
    """
    return _softmax_kl(student, teacher).sum(dim=1).mean()


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Similarity-preserving loss of Tung and Mori: exams alike for the teacher shall be alike for the student.

    Parameters
    ----------
    student, teacher : Tensor
        (B, ...) features, flattened to (B, E); the teacher's are detached.

    Returns
    -------
    Tensor
        () squared Frobenius norm of the difference of the Gram matrices, whose rows have length 1, over B squared.
    """
    difference = _gram(student) - _gram(teacher.detach())
    return difference.square().mean()


def item_loss(predicted: Tensor, items: Tensor, known: Tensor) -> Tensor:
    """Squared error of reconstructed clinical items over the known ones (P2 reading 15).

    Parameters
    ----------
    predicted, items : Tensor
        (B, C) reconstruction and standardised items; the latter are detached.
    known : Tensor
        (B, C) bool: False where the item is missing, whatever stands there.

    Returns
    -------
    Tensor
        () mean over the known items of the batch; 0 where there is none.
    """
    error = (predicted.float() - items.detach().float()).masked_fill(~known, 0.0)
    return error.square().sum() / known.sum().clamp(min=1)


def _softmax_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) over the last axis."""
    target = teacher.detach().float().log_softmax(dim=-1)
    logs = student.float().log_softmax(dim=-1)
    return functional.kl_div(logs, target, reduction="none", log_target=True).sum(dim=-1)


def _gram(features: Tensor) -> Tensor:
    flat = features.float().flatten(1)
    return functional.normalize(flat @ flat.T, dim=1)
