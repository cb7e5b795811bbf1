"""What every patch encoder is: RGB in, logits and an embedding out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hccfeat.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)


class EncoderOutput(NamedTuple):
    """Result of one forward pass, all float32.

    Attributes
    ----------
    logits : Tensor
        (B, n_classes), never probabilities.
    embedding : Tensor
        (B, embedding_dim): what is stored for a patch (CNN-SASM: the PPS).
    pooled : Tensor
        (B, trunk channels): the vector in front of the head.
    """

    logits: Tensor
    embedding: Tensor
    pooled: Tensor


class Encoder(nn.Module, ABC):
    """Base class of the encoders.

    Inputs are RGB in 0..1; their normalisation is part of the module, as constants that are neither
    parameters nor stored weights. What comes after the trunk runs in float32 even under autocast: the PPS
    varies between images far less than bfloat16 resolves.

    Parameters
    ----------
    input_px : int
        Side of the square patches, pixels.
    embedding_dim : int
        Length of the stored vector.
    mean, sd : three floats
        Normalisation of RGB in 0..1; ImageNet's by default.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self,
        *,
        input_px: int,
        embedding_dim: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        sd: Sequence[float] = IMAGENET_SD,
    ) -> None:
        super().__init__()
        if input_px < 32:
            raise ConfigError("input_px", f"is {input_px}, less than 32", "Use patches of at least 32 px.")
        self.input_px = input_px
        self.embedding_dim = embedding_dim
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(sd).view(1, 3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> EncoderOutput:
        """Embed a batch of patches.

        Parameters
        ----------
        rgb : Tensor
            (B, 3, S, S) float, 0..1, with S the ``input_px`` of the module.

        Raises
        ------
        ConfigError
            If the patches have another shape.
        """
        expected = (3, self.input_px, self.input_px)
        if rgb.ndim != 4 or tuple(rgb.shape[1:]) != expected:
            raise ConfigError(
                "patches",
                f"have shape {tuple(rgb.shape)}, the encoder takes (n, {', '.join(map(str, expected))})",
                "Use the feature-set recipe that the encoder was made with.",
            )
        maps = self.feature_maps((rgb - self.mean) / self.sd)
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            pooled = self.pool(maps.float())
            embedding = self.embed(pooled)
            return EncoderOutput(self.classify(embedding), embedding, pooled)

    @abstractmethod
    def feature_maps(self, normalised: Tensor) -> Tensor:
        """Run the trunk: (B, 3, S, S) to (B, C, h, w); the only part that may run in bfloat16."""

    @abstractmethod
    def pool(self, maps: Tensor) -> Tensor:
        """Reduce feature maps (B, C, h, w), float32, to (B, C)."""

    @abstractmethod
    def embed(self, pooled: Tensor) -> Tensor:
        """Turn pooled vectors (B, C) into embeddings (B, embedding_dim)."""

    @abstractmethod
    def classify(self, embedding: Tensor) -> Tensor:
        """Turn embeddings (B, embedding_dim) into logits (B, n_classes)."""
