"""Which channels CSA attends to, over patches and patients (P1, Figure S5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hccfeat.errors import InputError
from hccfeat.explanation.cam import attention_module
from hccfeat.models import Encoder
from hccfeat.training.embed import to_unit_range

BATCH = 8
"""At 224 px the attention maps of one patch take 7 MB."""


@dataclass(frozen=True)
class ChannelRanking:
    """Channels of one encoder by their mean weight.

    Attributes
    ----------
    order : int64, (C,)
        Channel numbers, counted from 0, the highest mean first; ties by number.
    mean : float64, (C,)
        Mean over patients of each patient's mean over patches, by channel number.
    sd : float64 (C,), or None
        Standard deviation of the patients' means; None for a single patient.
    patients, patches : int
        How many.
    """

    order: NDArray[np.int64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64] | None
    patients: int
    patches: int

    def rank(self, channel: int) -> int:
        """Place of a channel, 1 for the highest."""
        return int(np.flatnonzero(self.order == channel)[0]) + 1


def attention_weights(encoder: Encoder, patches: NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
    """Attention that each channel receives in CSA: mean of its column over heads and queries (P1 reading 37).

    Parameters
    ----------
    encoder : Encoder
        With a CSA; put into evaluation mode on ``device``.
    patches : uint8, (N, S, S, 3)
        Patches as the encoder is fed.
    device : str
        Where to compute.

    Returns
    -------
    float32, (N, C)
        Each row sums to 1; 1 / C is the weight of a channel that nothing singles out.

    Raises
    ------
    ConfigError
        If the encoder has no CSA.
    """
    module = attention_module(encoder, "csa")
    encoder.to(torch.device(device)).eval()
    columns: list[NDArray[np.float32]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        columns.append(module.attention_weights(inputs[0]).mean(dim=(1, 2)).cpu().numpy())

    handle = module.register_forward_pre_hook(keep)
    try:
        with torch.inference_mode():
            for start in range(0, len(patches), BATCH):
                encoder(to_unit_range(torch.from_numpy(np.array(patches[start : start + BATCH])).to(device)))
    finally:
        handle.remove()
    return np.concatenate(columns)


def rank_channels(weights: NDArray[np.floating], patients: Sequence[str]) -> ChannelRanking:
    """Rank channels by their mean weight, every patient counting once.

    Parameters
    ----------
    weights : float, (N, C)
        One row per patch.
    patients : sequence of str, (N,)
        Patient of each patch.

    Raises
    ------
    InputError
        If the lengths differ or there is no patch.
    """
    if len(weights) != len(patients) or not len(weights):
        raise InputError(
            "channel weights", f"of {len(weights)} patches for {len(patients)} patients' names", "Give one each."
        )
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    totals = np.zeros((len(names), weights.shape[1]))
    np.add.at(totals, owner, weights.astype(np.float64))
    means = totals / np.bincount(owner)[:, None]
    mean = means.mean(axis=0)
    sd = means.std(axis=0, ddof=1) if len(names) > 1 else None
    return ChannelRanking(np.argsort(-mean, kind="stable"), mean, sd, len(names), len(weights))
