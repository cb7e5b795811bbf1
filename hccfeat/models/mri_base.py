"""What every network of MRI exams is: volumes of both phases in, logits and an embedding out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

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
        (B, S, classes): heads of single phases, where a network is trained in stages.
    items : Tensor or None
        (B, C): reconstruction of the standardised clinical items, where the network has that head.
    """

    logits: Tensor
    embedding: Tensor
    streams: Tensor
    stage_logits: Tensor | None = None
    items: Tensor | None = None


class MriNetwork(nn.Module, ABC):
    """Base class; subclasses see volumes only, so none of them can be given clinical items by mistake.

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
        self.channels_of_phases = tuple(PHASES.index(phase) for phase in phases)
        self.embedding_dim = embedding_dim

    def phase(self, volumes: Tensor, place: int) -> Tensor:
        """Volumes of the network's phase number ``place``: (B, 2, D, H, W) to (B, 1, D, H, W)."""
        chosen = volumes[:, self.channels_of_phases[place]].unsqueeze(1)
        return chosen.contiguous(memory_format=torch.channels_last_3d)

    @abstractmethod
    def forward(self, volumes: Tensor) -> MriOutput:
        """Run the network on volumes (B, 2, D, H, W), float, phases in the order of ``PHASES``."""
