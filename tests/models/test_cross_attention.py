"""Cross attention: P2's equations 2 and 3 against examples worked by hand, and what the modes have in common."""

from math import log, sqrt

import pytest
import torch
from torch import Tensor

from hccfeat.errors import ConfigError
from hccfeat.models.cross_attention import CrossAttention


def with_projections(module: CrossAttention, x: list[float], y: list[float]) -> CrossAttention:
    """Make Q, K and V of each phase the given numbers (Q, then K, then V), whatever the input."""
    for layer, numbers in ((module.qkv_x, x), (module.qkv_y, y)):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor(numbers, dtype=torch.float32)
    return module


def test_the_printed_equation_by_hand() -> None:
    module = with_projections(
        CrossAttention(2, softmax=False, residual=False),
        [1, 2, 3, -1, 2, 1],  # Q_x = (1, 2), K_x = (3, -1), V_x = (2, 1)
        [0, 1, 1, 4, -1, 3],  # Q_y = (0, 1), K_y = (1, 4), V_y = (-1, 3)
    )
    x_hat, y_hat = module(torch.zeros(1, 2), torch.zeros(1, 2))
    # Q_x K_x^T = [[3, -1], [6, -2]]: V_x times it = (2 * 3 + 1 * 6, 2 * -1 + 1 * -2) = (12, -4)
    # Q_x K_y^T = [[1, 4], [2, 8]]: V_y times it = (-1 * 1 + 3 * 2, -1 * 4 + 3 * 8) = (5, 20)
    assert x_hat.tolist() == [[17, 16]]
    # Q_y K_x^T = [[0, 0], [3, -1]]: V_x times it = (3, -1); Q_y K_y^T = [[0, 0], [1, 4]]: V_y times it = (3, 12)
    assert y_hat.tolist() == [[6, 11]]


def test_with_the_softmax_by_hand() -> None:
    module = with_projections(
        CrossAttention(2, softmax=True, residual=False),
        [0, sqrt(2) * log(3), 1, 0, 2, 6],  # Q_x, K_x, V_x
        [0, 0, 0, 1, 4, 0],  # Q_y, K_y, V_y
    )
    x_hat, y_hat = module(torch.zeros(1, 2), torch.zeros(1, 2))
    # scaled scores of Q_x with K_x: [[0, 0], [log 3, 0]], weights [[1/2, 1/2], [3/4, 1/4]], mixed (2, 6): (4, 3)
    # with K_y: [[0, 0], [0, log 3]], weights [[1/2, 1/2], [1/4, 3/4]], mixed (4, 0): (2, 1)
    torch.testing.assert_close(x_hat, torch.tensor([[6.0, 4.0]]))
    # Q_y asks nothing in particular: the means of (2, 6) and (4, 0)
    torch.testing.assert_close(y_hat, torch.tensor([[6.0, 6.0]]))


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("shape", [(3, 6), (3, 10, 6)], ids=["vector", "map"])
def test_against_the_score_maps_written_out(softmax: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    module = CrossAttention(6, softmax=softmax, residual=False)
    x, y = torch.randn(shape), torch.randn(shape)

    def projected(layer: torch.nn.Linear, tokens: Tensor) -> list[Tensor]:
        parts = layer(tokens).split(6, dim=-1)
        return [part[..., None] if part.ndim == 2 else part for part in parts]  # columns of d x 1, or N x C

    of_x, of_y = projected(module.qkv_x, x), projected(module.qkv_y, y)
    for found, (query, _, _) in zip(module(x, y), (of_x, of_y), strict=True):
        expected = torch.zeros_like(query)
        for _, key, value in (of_x, of_y):
            scores = query @ key.mT
            if softmax:
                expected += torch.softmax(scores / sqrt(6), dim=-1) @ value
            else:
                expected += (value.mT @ scores).mT
        torch.testing.assert_close(found, expected.view(shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("softmax", [True, False])
def test_a_vector_is_a_map_of_one_channel_whose_voxels_are_its_places(softmax: bool) -> None:
    places, weights, biases = 7, torch.tensor([0.5, -1.5, 2.0]), torch.tensor([0.1, 0.2, -0.3])
    vector, voxels = CrossAttention(places, softmax=softmax), CrossAttention(1, softmax=softmax)
    for mine, theirs in ((vector.qkv_x, voxels.qkv_x), (vector.qkv_y, voxels.qkv_y)):
        theirs.weight.data, theirs.bias.data = weights[:, None].clone(), biases.clone()
        mine.weight.data = torch.cat([weight * torch.eye(places) for weight in weights])
        mine.bias.data = biases.repeat_interleave(places)
    voxels.scale = vector.scale
    x, y = torch.randn(2, 4, places, generator=torch.Generator().manual_seed(2))
    for of_vector, of_map in zip(vector(x, y), voxels(x[..., None], y[..., None]), strict=True):
        torch.testing.assert_close(of_vector, of_map[..., 0])


def test_without_softmax_a_vector_becomes_a_multiple_of_the_keys() -> None:
    """(V . Q) K: what P2 reading 2 says against the equation as printed."""
    torch.manual_seed(3)
    module = CrossAttention(5, softmax=False, residual=False)
    x, y = torch.randn(1, 5), torch.randn(1, 5)
    query, key_x, value_x = module.qkv_x(x)[0].split(5)
    _, key_y, value_y = module.qkv_y(y)[0].split(5)
    expected = (value_x @ query) * key_x + (value_y @ query) * key_y
    torch.testing.assert_close(module(x, y)[0][0], expected)


def test_the_residual_is_added() -> None:
    torch.manual_seed(4)
    x, y = torch.randn(2, 3, 8)
    module = CrossAttention(8)
    with_it = module(x, y)
    module.residual = False
    for kept, own, alone in zip(with_it, (x, y), module(x, y), strict=True):
        torch.testing.assert_close(kept, own + alone)


def test_the_paper_size_has_six_layers_of_512() -> None:
    assert sum(parameter.numel() for parameter in CrossAttention(512).parameters()) == 6 * 262_656 == 1_575_936


def test_phases_of_two_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="one shape"):
        CrossAttention(4)(torch.zeros(2, 4), torch.zeros(2, 3, 4))
