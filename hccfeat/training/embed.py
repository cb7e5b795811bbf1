"""Patches to vectors with a trained encoder."""

from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hccfeat.models import Encoder
from hccfeat.training.devices import resolve_precision


def embed(
    module: nn.Module,
    patches: NDArray[np.uint8],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 256,
    precision: Literal["auto", "float32", "bf16"] = "float32",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embed patches in evaluation mode.

    Parameters
    ----------
    module : Encoder
        Of :func:`hccfeat.models.create`; moved to ``device`` and put into evaluation mode.
    patches : uint8, (N, S, S, 3)
        RGB patches of the encoder's input size; may be empty, or a memory map.
    device : str or torch.device
        Where to compute.
    batch_size : int
        Patches per forward pass.
    precision : {"float32", "auto", "bf16"}
        Of the trunk. bfloat16 is faster, but the between-image part of a PPS may be smaller than its rounding
        error, hence the default.

    Returns
    -------
    vectors : float32, (N, embedding_dim)
        The embeddings (CNN-SASM: the PPS).
    probabilities : float32, (N,)
        Softmax probability of class 1.
    """
    encoder = cast("Encoder", module)
    target = torch.device(device)
    encoder.to(target).eval()
    lower = resolve_precision(precision, target) == "bf16"
    vectors = np.empty((len(patches), encoder.embedding_dim), dtype=np.float32)
    probabilities = np.empty(len(patches), dtype=np.float32)
    with torch.inference_mode(), torch.autocast(target.type, torch.bfloat16, enabled=lower):
        for start in range(0, len(patches), batch_size):
            part = slice(start, start + batch_size)
            batch = torch.from_numpy(np.array(patches[part])).to(target)
            output = encoder(to_unit_range(batch))
            vectors[part] = output.embedding.float().cpu().numpy()
            probabilities[part] = output.logits.float().softmax(dim=1)[:, 1].cpu().numpy()
    return vectors, probabilities


def to_unit_range(patches: torch.Tensor) -> torch.Tensor:
    """Turn uint8 patches (N, S, S, 3) into float32 RGB (N, 3, S, S) in 0..1, channels last in memory."""
    return patches.permute(0, 3, 1, 2).float().div_(255)
