"""Where memory runs out, half a batch is tried before the image counts as failed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hccfeat.errors import FailureKind
from hccfeat.extraction.outcomes import failure_kind
from hccfeat.training.embed import embed

PATCHES = np.random.default_rng(3).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
ERRORS = {
    "machine": MemoryError(),
    "processor": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
}


class Hungry(torch.nn.Module):
    """An encoder with memory for some patches at a time only."""

    embedding_dim = 3

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.most, self.error = most, error
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> SimpleNamespace:
        self.batches.append(len(images))
        if len(images) > self.most:
            raise self.error
        means = images.mean(dim=(2, 3))
        return SimpleNamespace(embedding=means, logits=means[:, :2])


@pytest.mark.parametrize("kind", ERRORS)
def test_a_batch_is_halved_until_it_fits(kind: str) -> None:
    wanted = embed(Hungry(20, ERRORS[kind]), PATCHES)
    hungry = Hungry(3, ERRORS[kind])
    found = embed(hungry, PATCHES)
    for one, other in zip(wanted, found, strict=True):
        assert np.array_equal(one, other)
    assert hungry.batches[:4] == [20, 10, 5, 2]


@pytest.mark.parametrize("kind", ERRORS)
def test_one_patch_that_does_not_fit_is_a_failure_of_its_kind(kind: str) -> None:
    with pytest.raises(type(ERRORS[kind])) as caught:
        embed(Hungry(0, ERRORS[kind]), PATCHES)
    assert failure_kind(caught.value) == FailureKind.OUT_OF_MEMORY


def test_another_error_is_not_tried_again() -> None:
    hungry = Hungry(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        embed(hungry, PATCHES)
    assert hungry.batches == [20]
