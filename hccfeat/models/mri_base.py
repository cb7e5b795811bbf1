"""What every network of MRI exams is: volumes of both phases in, logits and an embedding out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from hccfeat.errors import ConfigError

PHASES = ("pre", "hbp")
"""Order of the phases in every batch of volumes."""


class MriOutput(NamedTuple):
    """Result of one forward pass, all float32.

    Attributes
    ----------
    logits : Tensor
        (B, classes), never probabilities.
    embedding : Tensor
        (B, E): what the head is given; of the student the 1,024-vector that is stored.
    streams : Tensor
        (B, S, D): Z of each phase of the network, before the cross attention (equation 5).
    stage_logits : Tensor or None
        (B, S, classes): heads of single phases, where a network has them; each is trained by a loss of its own.
    items : Tensor or None
        (B, C): reconstruction of the standardised clinical items, where the network has that head.
    """

    logits: Tensor
    embedding: Tensor
    streams: Tensor
    stage_logits: Tensor | None = None
    items: Tensor | None = None


def phases_of(volumes: Tensor, phases: Sequence[str]) -> list[Tensor]:
    """Split a batch of exams into its phases.

    Parameters
    ----------
    volumes : Tensor
        (B, 2, D, H, W) float, phases in the order of ``PHASES``.
    phases : sequence of str
        Which of them.

    Returns
    -------
    list of Tensor
        (B, 1, D, H, W) each.

    Raises
    ------
    ConfigError
        If the batch has another shape.
    """
    if volumes.ndim != 5 or volumes.shape[1] != len(PHASES):
        raise ConfigError(
            "volumes",
            f"have shape {tuple(volumes.shape)}, a network of MRI exams takes (n, {len(PHASES)}, z, y, x)",
            "Give both phases, one channel each.",
        )
    return [volumes[:, PHASES.index(phase)].unsqueeze(1) for phase in phases]


class MriNetwork(nn.Module, ABC):
    """Base class; subclasses see volumes only, so none of them can be given clinical items by mistake.

    Under autocast only the convolutions run in bfloat16: what follows them, and every output, is float32.

    Parameters
    ----------
    phases : sequence of str
        Phases that the network uses, a subset of ``PHASES`` in that order.
    embedding_dim : int
        Length of ``MriOutput.embedding``.
    """

    def __init__(self, *, phases: Sequence[str], embedding_dim: int) -> None:
        super().__init__()
        self.phases = tuple(phases)
        self.embedding_dim = embedding_dim

    @abstractmethod
    def forward(self, volumes: Tensor) -> MriOutput:
        """Run the network on volumes (B, 2, D, H, W), float, phases in the order of ``PHASES``."""
