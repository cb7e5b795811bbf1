"""Patches to vectors with a trained encoder."""

from contextlib import nullcontext
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hccfeat.cores import Shares, spread
from hccfeat.errors import is_out_of_memory
from hccfeat.models import Encoder
from hccfeat.models.lowered import lowered
from hccfeat.training.devices import resolve_precision

CPU_BATCH = 32
"""Patches per forward pass on a processor: larger batches leave its cache."""


def embed(
    module: nn.Module,
    patches: NDArray[np.uint8],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 256,
    precision: Literal["auto", "float32", "bf16"] = "float32",
    shares: Shares | None = None,
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
        Patches per forward pass; at most 32 on a processor, where idle cores take batches of their own.
    precision : {"float32", "auto", "bf16"}
        Of the trunk. bfloat16 is faster, but the between-image part of a PPS may be smaller than its rounding
        error, hence the default; :func:`hccfeat.training.precision.check_precision` tells.
    shares : Shares, optional
        Told of ``forward``.

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
    if lower:
        encoder = lowered(encoder)
    if target.type == "cpu":
        batch_size = min(batch_size, CPU_BATCH)
    vectors = np.empty((len(patches), encoder.embedding_dim), dtype=np.float32)
    probabilities = np.empty(len(patches), dtype=np.float32)

    def embed_part(part: slice) -> None:
        # both are of the thread that enters them
        lowering = torch.autocast(target.type, torch.bfloat16, enabled=lower)
        with torch.inference_mode(), lowering, shares.of("forward") if shares else nullcontext():
            output = encoder(to_unit_range(torch.from_numpy(np.array(patches[part])).to(target)))
            vectors[part] = output.embedding.float().cpu().numpy()
            probabilities[part] = output.logits.float().softmax(dim=1)[:, 1].cpu().numpy()

    def embed_batch(part: slice) -> None:
        try:
            embed_part(part)
            return
        except (MemoryError, RuntimeError) as error:
            if part.stop - part.start == 1 or not is_out_of_memory(error):
                raise
        middle = (part.start + part.stop) // 2
        embed_batch(slice(part.start, middle))
        embed_batch(slice(middle, part.stop))

    starts = range(0, len(patches), batch_size)
    spread(embed_batch, [slice(start, min(start + batch_size, len(patches))) for start in starts])
    return vectors, probabilities


def to_unit_range(patches: torch.Tensor) -> torch.Tensor:
    """Turn uint8 patches (N, S, S, 3) into float32 RGB (N, 3, S, S) in 0..1, channels last in memory."""
    return patches.permute(0, 3, 1, 2).float().div_(255)
