"""bfloat16 convolutions on a processor."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hccfeat.training.mri_precision import convolution_precision

CPU = torch.device("cpu")


def convolve(shape: tuple[int, ...], outputs: int, stride: int, *, lower: bool) -> list[Tensor]:
    """Result, and gradients of input and weights, on memory full of what is no number."""
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(shape, generator=generator).to(memory_format=torch.channels_last_3d).requires_grad_()
    weights = torch.randn((outputs, shape[1], 3, 3, 3), generator=generator).requires_grad_()
    with convolution_precision(CPU, lower=lower):
        result = functional.conv3d(inputs, weights, stride=stride, padding=1)
    spoilt = [torch.full((size,), torch.nan) for size in (64, 256, 1024, 4096, 16384, 65536) for _ in range(4)]
    del spoilt
    result.float().sin().sum().backward()
    assert inputs.grad is not None
    assert weights.grad is not None
    return [result.detach().float(), inputs.grad, weights.grad]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 4, 4), (2, 6, 6), (5, 1, 1)])
@pytest.mark.parametrize("inputs", [1, 16])
def test_small_maps_are_convolved_in_float32(inputs: int, side: tuple[int, int, int], stride: int) -> None:
    shape = (4, inputs, *side)
    single, half = (convolve(shape, 16, stride, lower=lower) for lower in (False, True))
    assert all(torch.equal(*pair) for pair in zip(single, half, strict=True))


def test_larger_maps_are_convolved_in_bfloat16() -> None:
    shape = (4, 16, 4, 6, 6)
    single, half = (convolve(shape, 16, 1, lower=lower) for lower in (False, True))
    assert not torch.equal(single[0], half[0])
    assert torch.allclose(single[0], half[0], atol=0.02 * float(single[0].abs().amax()))
    again = convolve(shape, 16, 1, lower=True)
    assert all(torch.equal(*pair) for pair in zip(half, again, strict=True))


def test_what_follows_a_convolution_is_as_autocast_has_it() -> None:
    with convolution_precision(CPU, lower=True):
        small = functional.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 1, 3, 3, 3), padding=1)
        large = functional.conv3d(torch.ones(1, 1, 4, 4, 4), torch.ones(1, 1, 3, 3, 3), padding=1)
        linear = functional.linear(torch.ones(1, 4), torch.ones(2, 4))
    assert (small.dtype, large.dtype, linear.dtype) == (torch.float32, torch.bfloat16, torch.bfloat16)
    with convolution_precision(CPU, lower=False):
        assert functional.conv3d(large.float(), torch.ones(1, 1, 3, 3, 3)).dtype == torch.float32
