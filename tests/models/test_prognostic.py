"""The prognostic nets (P1 reading 25)."""

import pytest
import torch

from hccfeat.errors import ConfigError
from hccfeat.models.prognostic import PrognosticNet


@pytest.mark.parametrize(
    ("variant", "count", "normalised"), [("released", 66_946, 2), ("paper", 128 * 128 + 128 + 258, 0)]
)
def test_sizes(variant: str, count: int, normalised: int) -> None:
    net = PrognosticNet(128, variant)
    assert sum(parameter.numel() for parameter in net.parameters()) == count
    assert sum(isinstance(module, torch.nn.BatchNorm1d) for module in net.modules()) == normalised
    assert net(torch.randn(4, 128)).shape == (4, 2)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prognostic\.variant: is 'mlp'"):
        PrognosticNet(128, "mlp")
