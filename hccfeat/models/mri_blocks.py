"""The 3-D branch of CMD-Net: four blocks of two convolutions, with or without clinical items multiplied in (P2)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions with BatchNorm and ReLU; the second halves the volume (P2 reading 7).

    A side of one voxel stays one voxel. The convolutions have no bias: BatchNorm follows.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm3d(outputs)
        self.second = nn.Conv3d(outputs, outputs, 3, stride=2, padding=1, bias=False)
        self.second_norm = nn.BatchNorm3d(outputs)

    def forward(self, maps: Tensor, weights: Tensor | None = None) -> Tensor:
        """Run the block.

        Parameters
        ----------
        maps : Tensor
            (B, inputs, D, H, W).
        weights : Tensor, optional
            (B, outputs): multiplied channel by channel into what the second convolution gives (P2 equation 1).

        Returns
        -------
        Tensor
            (B, outputs, ceil(D / 2), ceil(H / 2), ceil(W / 2)).
        """
        maps = self.second(self.first_norm(self.first(maps)).relu())
        if weights is not None:
            maps = maps * weights.to(maps.dtype)[:, :, None, None, None]
        return self.second_norm(maps).relu()


class ClinicalPath(nn.Module):
    """Chained layers items -> 64 -> 128 -> 256 -> 256, a vector for each block (P2 reading 8).

    110,528 parameters at 52 items and these widths.

    Parameters
    ----------
    items : int
        Clinical items, standardised.
    channels : sequence of int
        Widths, those of the blocks.
    dropout : float
        After each ReLU.
    """

    def __init__(self, items: int, channels: Sequence[int], dropout: float) -> None:
        super().__init__()
        widths = [items, *channels]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.dropout = nn.Dropout(dropout)

    def forward(self, items: Tensor) -> list[Tensor]:
        """Give a vector (B, channels of the block) for each block from standardised items (B, C)."""
        vectors = []
        for layer in self.layers:
            items = self.dropout(layer(items).relu())
            vectors.append(items)
        return vectors


class MriBranch(nn.Module):
    """One phase from its volume to Z: blocks, a convolution, the mean over voxels, a linear layer (P2 reading 9).

    With ``items`` it is the MRI-clinical fusion module, without the MRI-only module (P2 readings 7, 8, 11).

    Parameters
    ----------
    channels : sequence of int
        Of the blocks.
    stream_dim : int
        Length of Z.
    inputs : int
        Channels of the input, 1 for a phase.
    items : int, optional
        Clinical items of the fusion module.
    clinical_dropout : float
        See :class:`ClinicalPath`.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        stream_dim: int,
        inputs: int = 1,
        items: int | None = None,
        clinical_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        widths = [inputs, *channels]
        last = channels[-1]
        self.blocks = nn.ModuleList(ConvBlock(before, after) for before, after in pairwise(widths))
        self.last = nn.Conv3d(last, last, 3, padding=1, bias=False)
        self.last_norm = nn.BatchNorm3d(last)
        self.projection = nn.Linear(last, stream_dim)
        self.clinical = None if items is None else ClinicalPath(items, channels, clinical_dropout)

    def maps(self, volume: Tensor, items: Tensor | None = None) -> Tensor:
        """Last maps (B, C, d, h, w) of a volume (B, inputs, D, H, W), in the precision of the convolutions.

        ``items`` (B, C), standardised, go to a branch made for them and to no other.
        """
        vectors: Sequence[Tensor | None] = [None] * len(self.blocks)
        if self.clinical is not None and items is not None:
            with torch.autocast(device_type=items.device.type, enabled=False):
                vectors = self.clinical(items.float())
        maps = volume.contiguous(memory_format=torch.channels_last_3d)
        for block, vector in zip(self.blocks, vectors, strict=True):
            maps = block(maps, vector)
        return self.last_norm(self.last(maps)).relu()

    def stream(self, maps: Tensor) -> Tensor:
        """Z (B, stream_dim), float32, of last maps."""
        with torch.autocast(device_type=maps.device.type, enabled=False):
            return self.projection(maps.float().mean(dim=(2, 3, 4)))

    def forward(self, volume: Tensor, items: Tensor | None = None) -> Tensor:
        """Z (B, stream_dim), float32, of a volume (B, inputs, D, H, W)."""
        return self.stream(self.maps(volume, items))


def two_layer_head(inputs: int, hidden: int, classes: int) -> nn.Sequential:
    """Linear, ReLU, linear: (B, inputs) to logits (B, classes)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
