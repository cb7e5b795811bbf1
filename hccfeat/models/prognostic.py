"""The prognostic nets of stage 2 (P1): image-level PPS to the logits of recurrence."""

from torch import Tensor, nn

from hccfeat.errors import ConfigError

VARIANTS = ("released", "paper")


class PrognosticNet(nn.Module):
    """Small multilayer perceptron on a standardised PPS.

    Parameters
    ----------
    inputs : int
        Length of the PPS.
    variant : {"released", "paper"}
        ``released``: 128-256-128-2 with batch normalisation and dropout 0.5, 66,946 parameters, as the released
        code; ``paper``: 128-128-2 with dropout 0.3, "similar to" the head of CNN-SASM (P1 reading 25).

    Raises
    ------
    ConfigError
        If the variant is unknown.
    """

    def __init__(self, inputs: int = 128, variant: str = "released") -> None:
        super().__init__()
        if variant == "released":
            self.layers = nn.Sequential(*_block(inputs, 256), *_block(256, 128), nn.Linear(128, 2))
        elif variant == "paper":
            self.layers = nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 2))
        else:
            raise ConfigError("prognostic.variant", f"is {variant!r}", f"Use {' or '.join(VARIANTS)}.")

    def forward(self, pps: Tensor) -> Tensor:
        """Give the logits (n, 2) of standardised PPS (n, inputs)."""
        return self.layers(pps)


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(0.5)]
