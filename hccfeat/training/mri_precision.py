"""bfloat16 for the convolutions of MRI networks, where the processor's library computes it right."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

SMALL_SIDE = 2
"""Voxels. On maps with a side of no more, oneDNN's bfloat16 convolutions read and write memory that is not theirs:
the weights' gradient at a depth of 2 and at a width of 1 with stride 2, the result of one channel at a depth of 1
(torch 2.15, AVX512-BF16). They are a small part of the work."""


class SmallConvolutionsInFloat32(TorchFunctionMode):
    """Inside it, 3-D convolutions of small maps leave autocast; for processors only."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, in float32 if it is such a convolution."""
        del types
        if func is functional.conv3d and min(args[0].shape[2:]) <= SMALL_SIDE:
            single: list[Any] = [arg.float() if isinstance(arg, Tensor) else arg for arg in args]
            with torch.autocast("cpu", enabled=False):
                return func(*single, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


@contextmanager
def convolution_precision(device: torch.device, *, lower: bool) -> Iterator[None]:
    """Run networks inside the block with convolutions in bfloat16, if ``lower``."""
    small = SmallConvolutionsInFloat32() if lower and device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=lower), small:
        yield
