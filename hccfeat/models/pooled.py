"""Baselines of P1's Table 2: a backbone, the mean over positions, and a linear layer."""

from torch import Tensor, nn

from hccfeat.errors import ConfigError
from hccfeat.models.base import Encoder
from hccfeat.models.registry import register
from hccfeat.models.trunk import TRUNK_CHANNELS, resnet18_trunk, timm_trunk

DENSENET121 = "densenet121.tv_in1k"
DENSENET121_CHANNELS = 1024
SWIN_BASE = "swin_base_patch4_window7_224.ms_in22k_ft_in1k"
SWIN_BASE_CHANNELS = 1024


class PooledEncoder(Encoder):
    """A trunk whose embedding is the mean of its last maps over the positions.

    Parameters
    ----------
    trunk : nn.Module
        Maps (B, 3, S, S) to maps (B, C, h, w), or (B, h, w, C) with ``channels_last``.
    channels : int
        C.
    input_px : int
        Side of the patches, pixels.
    n_classes : int
        Number of logits.
    channels_last : bool
        Whether the trunk's maps end with the channels.
    """

    def __init__(
        self, trunk: nn.Module, channels: int, *, input_px: int, n_classes: int, channels_last: bool = False
    ) -> None:
        super().__init__(input_px=input_px, embedding_dim=channels)
        self.channels_last = channels_last
        self.trunk = trunk
        self.classifier = nn.Linear(channels, n_classes)

    def feature_maps(self, normalised: Tensor) -> Tensor:
        """Run the trunk."""
        maps = self.trunk(normalised)
        return maps.permute(0, 3, 1, 2) if self.channels_last else maps

    def pool(self, maps: Tensor) -> Tensor:
        """Mean over positions."""
        return maps.mean(dim=(2, 3))

    def embed(self, pooled: Tensor) -> Tensor:
        """Return the pooled vector itself."""
        return pooled

    def classify(self, embedding: Tensor) -> Tensor:
        """Give the logits of a pooled vector."""
        return self.classifier(embedding)


@register("resnet18")
class ResNet18(PooledEncoder):
    """ResNet18 with a linear head: 11,177,538 parameters; the embedding is the 512-d mean of the last maps.

    Parameters
    ----------
    input_px : int
        Side of the patches, pixels.
    trunk_weights : str
        See :func:`hccfeat.models.trunk.timm_trunk`.
    n_classes : int
        Number of logits.
    """

    def __init__(self, *, input_px: int = 224, trunk_weights: str = "none", n_classes: int = 2) -> None:
        super().__init__(resnet18_trunk(trunk_weights), TRUNK_CHANNELS, input_px=input_px, n_classes=n_classes)


@register("densenet121")
class DenseNet121(PooledEncoder):
    """DenseNet121 with a linear head: 6,955,906 parameters; the embedding is the 1024-d mean of the last maps.

    Parameters: as of :class:`ResNet18`.
    """

    def __init__(self, *, input_px: int = 224, trunk_weights: str = "none", n_classes: int = 2) -> None:
        trunk = timm_trunk(DENSENET121, trunk_weights, global_pool="")
        super().__init__(trunk, DENSENET121_CHANNELS, input_px=input_px, n_classes=n_classes)


@register("swin_base")
class SwinBase(PooledEncoder):
    """Swin-Base (patches of 4, windows of 7) with a linear head: 86,745,274 parameters at 224 px.

    The embedding is the 1024-d mean of the last maps. The released code keeps the 1000-class ImageNet head, takes
    its logits for the embedding and adds a layer from 1000 to 2; here the head is left out.

    Parameters
    ----------
    input_px : int
        Side of the patches, pixels; the windows of stages smaller than ``window_size`` shrink to the stage, and
        ImageNet's tables of relative positions are interpolated.
    window_size : int
        Side of the attention windows, in tokens. Maps that it does not divide are padded: 4 fits 64 px better.
    trunk_weights, n_classes
        As of :class:`ResNet18`.
    """

    def __init__(
        self, *, input_px: int = 224, window_size: int = 7, trunk_weights: str = "none", n_classes: int = 2
    ) -> None:
        if window_size < 1:
            raise ConfigError("window_size", f"is {window_size}", "Use 7 as published, or another positive number.")
        trunk = timm_trunk(SWIN_BASE, trunk_weights, global_pool="", img_size=input_px, window_size=window_size)
        super().__init__(trunk, SWIN_BASE_CHANNELS, input_px=input_px, n_classes=n_classes, channels_last=True)
