"""CMD-Net: the teacher that sees clinical items, and the student that never does (P2)."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from hccfeat.models.cross_attention import CrossAttention
from hccfeat.models.item_scaler import ItemScaler
from hccfeat.models.mri_base import PHASES, MriNetwork, MriOutput, phases_of
from hccfeat.models.mri_blocks import MriBranch, two_layer_head

Attention = Literal["vector", "map", "none"]


class PhaseStreams(nn.Module):
    """A branch for each phase, none shared (P2 reading 11), and the cross attention between them.

    Parameters
    ----------
    phases : sequence of str
        One phase has nothing to attend to: the cross attention is left out (P2 reading 29).
    channels, stream_dim, items, clinical_dropout
        See :class:`~hccfeat.models.mri_blocks.MriBranch`.
    attention : {"vector", "map", "none"}
        Between the Z vectors, between the last maps before they are pooled, or left out (P2 reading 1).
    ca_softmax, ca_residual : bool
        See :class:`~hccfeat.models.cross_attention.CrossAttention`.
    """

    def __init__(
        self,
        *,
        phases: Sequence[str],
        channels: Sequence[int],
        stream_dim: int,
        attention: Attention = "vector",
        ca_softmax: bool = True,
        ca_residual: bool = True,
        items: int | None = None,
        clinical_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.phases = tuple(phases)
        self.embedding_dim = len(self.phases) * stream_dim
        self.branches = nn.ModuleList(
            MriBranch(channels=channels, stream_dim=stream_dim, items=items, clinical_dropout=clinical_dropout)
            for _ in self.phases
        )
        self.on_maps = attention == "map"
        self.attention: CrossAttention | None = None
        if attention != "none" and len(self.phases) == 2:
            width = channels[-1] if self.on_maps else stream_dim
            self.attention = CrossAttention(width, softmax=ca_softmax, residual=ca_residual)

    def forward(self, volumes: Tensor, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed exams.

        Parameters
        ----------
        volumes : Tensor
            (B, 2, D, H, W).
        items : Tensor, optional
            (B, C), standardised, of streams made for them.

        Returns
        -------
        tuple of Tensor
            Z before the cross attention (B, S, D), and the concatenation after it (B, S * D); float32.
        """
        branches = cast("Sequence[MriBranch]", self.branches)
        maps = [
            branch.maps(volume, items)
            for branch, volume in zip(branches, phases_of(volumes, self.phases), strict=True)
        ]
        with torch.autocast(device_type=volumes.device.type, enabled=False):
            streams = [branch.stream(last) for branch, last in zip(branches, maps, strict=True)]
            return torch.stack(streams, dim=1), torch.cat(self._attend(branches, maps, streams), dim=1)

    def _attend(
        self, branches: Sequence[MriBranch], maps: list[Tensor], streams: list[Tensor]
    ) -> tuple[Tensor, ...] | list[Tensor]:
        if self.attention is None:
            return streams
        if not self.on_maps:
            return self.attention(*streams)
        attended = self.attention(*(last.float().flatten(2).mT for last in maps))
        return [
            branch.stream(tokens.mT.unflatten(2, last.shape[2:]))
            for branch, tokens, last in zip(branches, attended, maps, strict=True)
        ]


class CmdStudent(MriNetwork):
    """MRI-only branches, cross attention, and one linear layer (P2 readings 5 and 11).

    Parameters
    ----------
    phases, channels, stream_dim, attention, ca_softmax, ca_residual
        See :class:`PhaseStreams`.
    classes : int
        Number of logits.
    hidden : int, optional
        Width of a two-layer head, as the teacher's: the student's body then is a teacher without clinical items.
    reconstructed : int, optional
        Clinical items that a further head reconstructs from the embedding (P2 reading 15).
    """

    def __init__(
        self,
        *,
        phases: Sequence[str] = PHASES,
        channels: Sequence[int] = (64, 128, 256, 256),
        stream_dim: int = 512,
        classes: int = 3,
        attention: Attention = "vector",
        ca_softmax: bool = True,
        ca_residual: bool = True,
        hidden: int | None = None,
        reconstructed: int | None = None,
    ) -> None:
        body = PhaseStreams(
            phases=phases,
            channels=channels,
            stream_dim=stream_dim,
            attention=attention,
            ca_softmax=ca_softmax,
            ca_residual=ca_residual,
        )
        super().__init__(phases=phases, embedding_dim=body.embedding_dim)
        self.body = body
        width = body.embedding_dim
        self.head = nn.Linear(width, classes) if hidden is None else two_layer_head(width, hidden, classes)
        self.reconstruction = None if reconstructed is None else nn.Linear(width, reconstructed)

    def forward(self, volumes: Tensor) -> MriOutput:
        """Run the network on volumes (B, 2, D, H, W)."""
        streams, embedding = self.body(volumes)
        with torch.autocast(device_type=volumes.device.type, enabled=False):
            items = None if self.reconstruction is None else self.reconstruction(embedding)
            return MriOutput(self.head(embedding), embedding, streams, items=items)


class CmdTeacher(nn.Module):
    """MRI-clinical fusion branches, cross attention, and two layers (P2 readings 5, 7, 8).

    Parameters
    ----------
    items : int
        Clinical items.
    hidden : int
        Of the head.
    phases, channels, stream_dim, classes, attention, ca_softmax, ca_residual
        See :class:`CmdStudent`.
    clinical_dropout : float
        See :class:`~hccfeat.models.mri_blocks.ClinicalPath`.

    Attributes
    ----------
    scaler : ItemScaler
        To be fitted on the training patients before the first forward pass.
    """

    def __init__(
        self,
        *,
        items: int = 52,
        hidden: int = 256,
        phases: Sequence[str] = PHASES,
        channels: Sequence[int] = (64, 128, 256, 256),
        stream_dim: int = 512,
        classes: int = 3,
        attention: Attention = "vector",
        ca_softmax: bool = True,
        ca_residual: bool = True,
        clinical_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.phases = tuple(phases)
        self.scaler = ItemScaler(items)
        self.body = PhaseStreams(
            phases=phases,
            channels=channels,
            stream_dim=stream_dim,
            attention=attention,
            ca_softmax=ca_softmax,
            ca_residual=ca_residual,
            items=items,
            clinical_dropout=clinical_dropout,
        )
        self.embedding_dim = self.body.embedding_dim
        self.head = two_layer_head(self.embedding_dim, hidden, classes)

    def forward(self, volumes: Tensor, items: Tensor) -> MriOutput:
        """Run the teacher.

        Parameters
        ----------
        volumes : Tensor
            (B, 2, D, H, W).
        items : Tensor
            (B, C), raw as recorded, NaN where missing; ``scaler`` imputes and standardises them.
        """
        streams, embedding = self.body(volumes, self.scaler(items))
        with torch.autocast(device_type=volumes.device.type, enabled=False):
            return MriOutput(self.head(embedding), embedding, streams)
