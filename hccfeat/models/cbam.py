"""The gates of CBAM, the "conventional attention" that one ablation of P1 puts in place of the softmaxes."""

import torch
from torch import Tensor, nn

REDUCTION = 16
KERNEL = 7


class ChannelGate(nn.Module):
    """Weigh each channel by a sigmoid of its mean and its maximum over the positions.

    Parameters
    ----------
    channels : int
        Number of channels; both pooled vectors pass channels - channels / 16 - channels, shared, without biases.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.shared = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False)
        )

    def forward(self, channels: Tensor) -> Tensor:
        """Gate channel tokens (B, C, P)."""
        gate = self.shared(channels.mean(dim=2)) + self.shared(channels.amax(dim=2))
        return channels * gate.sigmoid().unsqueeze(2)


class PositionGate(nn.Module):
    """Weigh each position by a sigmoid of a 7 x 7 convolution of its mean and maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, KERNEL, padding=KERNEL // 2, bias=False)

    def forward(self, positions: Tensor, side: int) -> Tensor:
        """Gate position tokens (B, P, C), P = side * side in rows."""
        summary = torch.stack([positions.mean(dim=2), positions.amax(dim=2)], dim=1)
        gate = self.convolution(summary.unflatten(2, (side, side))).sigmoid()
        return positions * gate.flatten(1).unsqueeze(2)
