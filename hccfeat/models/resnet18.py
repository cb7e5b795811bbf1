"""The plain ResNet18 baseline."""

from torch import Tensor, nn

from hccfeat.models.base import Encoder
from hccfeat.models.registry import register
from hccfeat.models.trunk import TRUNK_CHANNELS, resnet18_trunk


@register("resnet18")
class ResNet18(Encoder):
    """ResNet18 with a linear head: 11,177,538 parameters; the embedding is the 512-d mean of the last maps.

    Parameters
    ----------
    input_px : int
        Side of the patches, pixels.
    trunk_weights : str
        See :func:`hccfeat.models.trunk.resnet18_trunk`.
    n_classes : int
        Number of logits.
    """

    def __init__(self, *, input_px: int = 224, trunk_weights: str = "none", n_classes: int = 2) -> None:
        super().__init__(input_px=input_px, embedding_dim=TRUNK_CHANNELS)
        self.trunk = resnet18_trunk(trunk_weights)
        self.classifier = nn.Linear(TRUNK_CHANNELS, n_classes)

    def feature_maps(self, normalised: Tensor) -> Tensor:
        """Run the ResNet18 trunk."""
        return self.trunk(normalised)

    def pool(self, maps: Tensor) -> Tensor:
        """Mean over positions."""
        return maps.mean(dim=(2, 3))

    def embed(self, pooled: Tensor) -> Tensor:
        """Return the pooled vector itself."""
        return pooled

    def classify(self, embedding: Tensor) -> Tensor:
        """Give the logits of a pooled vector."""
        return self.classifier(embedding)
