"""Where an encoder looks: Grad-CAM of its last feature maps, and gradient x activation of them, of CSA and of SSA.

A map says which places of a patch moved the logit of recurrence of this encoder; not which tissue causes it.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hccfeat.errors import ConfigError, InputError
from hccfeat.models import Encoder
from hccfeat.models.attention import TokenAttention
from hccfeat.models.timm_encoder import TimmEncoder
from hccfeat.training.embed import to_unit_range

RECURRENCE = 1
"""Index of the explained logit."""
BATCH = 32
AttentionName = Literal["csa", "ssa"]
Layer = Literal["maps", "csa", "ssa"]


class MappedEncoder(nn.Module):
    """An encoder as logits, its last feature maps passing through a module of their own, which captum can hook.

    Attributes
    ----------
    maps : nn.Identity
        What it passes on is (B, C, h, w).

    Raises
    ------
    ConfigError
        In the forward pass, if the encoder's features are tokens and no maps.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder.eval()
        self.maps = nn.Identity()

    def forward(self, rgb: Tensor) -> Tensor:
        """Give the logits (B, n_classes) of RGB patches (B, 3, S, S) in 0..1."""
        encoder = self.encoder
        maps = encoder.feature_maps((rgb - encoder.mean) / encoder.sd).float()
        if maps.ndim != 4:
            raise ConfigError(
                f"encoder {type(encoder).__name__}", "gives tokens, not feature maps", "Explain another encoder."
            )
        if not maps.requires_grad:  # a frozen backbone
            maps = maps.detach().requires_grad_()
        last = isinstance(encoder, TimmEncoder) and getattr(encoder.trunk, "output_fmt", None) == "NHWC"
        maps = self.maps(maps.permute(0, 3, 1, 2) if last else maps)
        return encoder.classify(encoder.embed(encoder.pool(maps.permute(0, 2, 3, 1) if last else maps)))


def grad_cam(encoder: Encoder, patches: NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
    """Grad-CAM of the last feature maps for the logit of recurrence (P1, Fig 3A; P1 reading 37).

    The maps are weighted by the mean of their gradients over the positions, summed over channels, cut at zero and
    enlarged to the patch. Where a LayerNorm over the positions follows the maps, as in CSA, the gradient through
    it has mean zero by construction: the weights then hold only what passes through the attention itself, and
    :func:`gradient_map` of ``maps``, which takes no mean, says more.

    Parameters
    ----------
    encoder : Encoder
        Put into evaluation mode on ``device``.
    patches : uint8, (N, S, S, 3)
        Patches as the encoder is fed: stain-normalised, of its input size.
    device : str
        Where to compute.

    Returns
    -------
    float32, (N, S, S)
        At least 0; to be compared within a patch only.

    Raises
    ------
    ConfigError
        If the encoder has no feature maps.
    InputError
        If there is no patch.
    """
    model = MappedEncoder(encoder)
    cam = LayerGradCam(model, model.maps)

    def attribute(rgb: Tensor) -> Tensor:
        return cam.attribute(rgb, target=RECURRENCE, relu_attributions=True)[:, 0]

    return _enlarged(_by_batch(encoder, patches, device, attribute), encoder.input_px)


def gradient_map(
    encoder: Encoder, layer: Layer, patches: NDArray[np.uint8], *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Gradient x activation of a layer, by position (P1, Figure S5; P1 reading 37).

    The last feature maps and the output of CSA have a value per channel and position, the output of SSA one per
    position and channel. Their product with the gradient of the logit of recurrence is summed over the channels and
    enlarged to the patch; it keeps its sign, for where all places speak against recurrence, a cut at zero would
    leave nothing.

    Parameters
    ----------
    encoder : Encoder
        For CSA and SSA, of the CNN-SASM family.
    layer : {"maps", "csa", "ssa"}
        Which layer's output.
    patches : uint8, (N, S, S, 3)
        As for :func:`grad_cam`.
    device : str
        Where to compute.

    Returns
    -------
    float32, (N, S, S)
        Above 0 where a place raises the logit, to first order; below 0 where it lowers it.

    Raises
    ------
    ConfigError
        If the encoder has no such layer, or its spatial tokens are no positions (``layout = "reshape"``).
    InputError
        If there is no patch.
    """
    if layer == "ssa" and getattr(encoder, "layout", "transpose") == "reshape":
        raise ConfigError(
            "encoder.options.layout",
            "is reshape, with which a token of SSA is no position of the patch",
            "Explain its feature maps or CSA, or train with layout transpose.",
        )
    products = _gradient_x_activation(encoder, layer, patches, device)
    by_position = products.sum(axis=2 if layer == "ssa" else 1)
    if layer != "maps":
        side = int(np.sqrt(by_position.shape[1]))
        by_position = by_position.reshape(len(patches), side, -1)
    return _enlarged(by_position, encoder.input_px)


def channel_contributions(
    encoder: Encoder, patches: NDArray[np.uint8], *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Gradient x activation at the output of CSA, summed over positions (P1 reading 37).

    Returns
    -------
    float32, (N, C)
        What each channel adds to the logit of recurrence, to first order; of either sign.

    Raises
    ------
    ConfigError
        If the encoder has no CSA.
    """
    return np.asarray(_gradient_x_activation(encoder, "csa", patches, device).sum(axis=2))


def attention_module(encoder: Encoder, name: AttentionName) -> TokenAttention:
    """Give the channel (``csa``) or spatial (``ssa``) attention of an encoder.

    Raises
    ------
    ConfigError
        If it has none.
    """
    module = getattr(encoder, name, None)
    if not isinstance(module, TokenAttention):
        raise ConfigError(
            f"encoder {type(encoder).__name__}",
            f"has no {name.upper()} module to explain",
            "Use an encoder of the CNN-SASM family, or ask for the Grad-CAM of its feature maps.",
        )
    return module


def _gradient_x_activation(
    encoder: Encoder, layer: Layer, patches: NDArray[np.uint8], device: str
) -> NDArray[np.float32]:
    model = MappedEncoder(encoder)
    explained = LayerGradientXActivation(model, model.maps if layer == "maps" else attention_module(encoder, layer))

    def attribute(rgb: Tensor) -> Tensor:
        return explained.attribute(rgb, target=RECURRENCE)

    return _by_batch(encoder, patches, device, attribute)


def _by_batch(
    encoder: Encoder, patches: NDArray[np.uint8], device: str, attribute: Callable[[Tensor], Tensor]
) -> NDArray[np.float32]:
    if len(patches) == 0:
        raise InputError("patches", "are none", "Give at least one patch to explain.")
    encoder.to(torch.device(device)).eval()
    parts = []
    for start in range(0, len(patches), BATCH):
        batch = torch.from_numpy(np.array(patches[start : start + BATCH])).to(device)
        with torch.enable_grad():
            parts.append(attribute(to_unit_range(batch)).detach().float().cpu().numpy())
    return np.concatenate(parts)


def _enlarged(maps: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Bilinear enlargement of maps (N, h, w) to (N, side, side)."""
    tensor = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float32))[:, None]
    return functional.interpolate(tensor, (side, side), mode="bilinear", align_corners=False)[:, 0].numpy()
