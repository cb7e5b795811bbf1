"""An encoder whose trunk computes in bfloat16."""

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hccfeat.models.base import Encoder


def lowered(encoder: Encoder) -> Encoder:
    """Copy an encoder for embedding with its trunk in bfloat16, under autocast.

    The batch normalisations of a ResNet are folded into its convolutions in float32 first, so that nothing is
    rounded between the two; weights are bfloat16 and channels last. Of any other trunk autocast alone lowers the
    precision, and the encoder itself is returned, as is one that is lowered already. What follows the trunk is
    float32 in any case.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode; left as it is.

    Returns
    -------
    Encoder
    """
    from timm.models.resnet import ResNet  # slow to import, and this is asked of trained encoders only

    trunk = getattr(encoder, "trunk", None)
    if not isinstance(trunk, ResNet) or next(trunk.parameters()).dtype == torch.bfloat16:
        return encoder
    encoder = copy.deepcopy(encoder)
    trunk = encoder.get_submodule("trunk")
    for module in list(trunk.modules()):
        _fold(module)
    trunk.to(torch.bfloat16).to(memory_format=torch.channels_last)
    return encoder


def _fold(module: nn.Module) -> None:
    """Fold each batch normalisation of a module into the convolution that stands right before it."""
    for (name, convolution), (after, norm) in pairwise(list(module.named_children())):
        if isinstance(convolution, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, after, nn.Identity())
