"""How large an encoder is: parameters, and MiB of float32 weights, which P1's Table 2 calls M."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hccfeat.models.pooled import SWIN_BASE_CHANNELS
from hccfeat.models.registry import create
from hccfeat.models.trunk import TRUNK_CHANNELS

BYTES_PER_PARAMETER = 4
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Size:
    """Size of a network.

    Attributes
    ----------
    parameters : int
        Learned numbers, frozen ones included; running statistics are none.
    """

    parameters: int

    @property
    def mib(self) -> float:
        """Float32 weights in units of 2**20 bytes."""
        return self.parameters * BYTES_PER_PARAMETER / 2**20


def size_of(module: nn.Module) -> Size:
    """Count the parameters of a network."""
    return Size(sum(parameter.numel() for parameter in module.parameters()))


def encoder_size(name: str, /, *, table2_accounting: bool = False, **options: Any) -> Size:
    """Size of an encoder, without allocating its weights.

    Parameters
    ----------
    name : str
        One of :func:`hccfeat.models.names`.
    table2_accounting : bool
        Count what the released code also counts for two baselines of P1's Table 2: the ImageNet classifier that its
        ResNet18 keeps without using it, and that of its Swin with the layer from 1000 classes to 2 behind it. The
        other encoders have one size.
    **options
        As for :func:`hccfeat.models.create`.

    Raises
    ------
    ConfigError
        As :func:`hccfeat.models.create`.
    """
    with torch.device("meta"):
        encoder = create(name, **options)
    count = size_of(encoder).parameters
    if table2_accounting:
        classes = options.get("n_classes", 2)
        if name == "resnet18":
            count += _linear(TRUNK_CHANNELS, IMAGENET_CLASSES)
        elif name == "swin_base":
            head = _linear(SWIN_BASE_CHANNELS, IMAGENET_CLASSES) + _linear(IMAGENET_CLASSES, classes)
            count += head - _linear(SWIN_BASE_CHANNELS, classes)
    return Size(count)


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
