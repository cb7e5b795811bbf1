"""Saliency of volumes: networks whose class depends on a known box, and the methods against their definitions."""

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hccfeat.errors import ConfigError, InputError
from hccfeat.explanation.volume_saliency import SaliencyMethod, saliency_by_class, saliency_of_exam
from hccfeat.models.mri_base import PHASES, MriNetwork, MriOutput
from tests.models.mri import network, settled, teacher, volumes

SHAPE = (8, 16, 24)
BOX = (slice(4, 6), slice(8, 12), slice(12, 18))
METHODS: tuple[SaliencyMethod, ...] = ("occlusion", "grad-cam")


class BoxNetwork(MriNetwork):
    """Class 1 is the mean of a box of the hepatobiliary phase; nothing else matters."""

    def __init__(self) -> None:
        super().__init__(phases=PHASES, embedding_dim=1)

    def forward(self, volumes: Tensor) -> MriOutput:
        mean = volumes[:, 1][:, *BOX].mean(dim=(1, 2, 3))[:, None]
        return MriOutput(torch.cat([torch.zeros_like(mean), mean], dim=1), mean, mean[:, None])


def brightness_network() -> MriNetwork:
    """A student made by hand: class 2 is the brightness of HBP, smoothed by each block; PRE goes nowhere."""
    made = network("cmd_student", channels=(1, 1, 1, 1), stream_dim=1, cross_attention=False).eval()
    for part in made.modules():
        if isinstance(part, nn.Conv3d):
            part.weight.data.fill_(1 / 27)
    for branch in made.body.branches:
        branch.projection.weight.data.fill_(1.0)
        branch.projection.bias.data.zero_()
    made.head.weight.data = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    return made


def test_occlusion_finds_the_box_that_alone_decides() -> None:
    exam = np.ones((2, *SHAPE), np.float32)
    found = saliency_of_exam(BoxNetwork(), exam, 1, "occlusion")
    assert found.shape == exam.shape
    assert found.dtype == np.float32
    assert not found[0].any()
    assert found.max() == found[1][BOX].max() == 1
    assert found[1][BOX].min() > 0
    far = found[1].copy()
    far[2:8, 4:16, 6:24] = 0  # no hidden box of 2 x 4 x 6 voxels that reaches the box covers what lies beyond
    assert not far.any()
    assert not saliency_of_exam(BoxNetwork(), exam, 0, "occlusion").any()  # the box speaks against class 0


@pytest.mark.parametrize(
    ("method", "corner"),
    [*(("grad-cam", corner) for corner in product((0, 8), (0, 16), (0, 16))), ("occlusion", (8, 0, 16))],
    ids=str,
)
def test_a_bright_box_that_alone_moves_the_class_is_found(method: SaliencyMethod, corner: tuple[int, ...]) -> None:
    exam = np.zeros((2, 16, 32, 32), np.float32)
    exam[0] = np.random.default_rng(1).normal(size=exam[0].shape)
    box = tuple(
        slice(start + side // 4, start + side - side // 4) for start, side in zip(corner, (8, 16, 16), strict=False)
    )
    exam[1][box] = 10.0
    found = saliency_of_exam(brightness_network(), exam, 2, method)
    assert found[1].max() == 1
    assert found[0].max() < 1e-3
    assert found[1][box].max() > 0.9
    octant = tuple(slice(start, start + side) for start, side in zip(corner, (8, 16, 16), strict=False))
    elsewhere = np.ones(found[1].shape, bool)
    elsewhere[octant] = False
    assert found[1][octant].mean() > 4 * found[1][elsewhere].mean()


def test_occlusion_is_the_mean_fall_over_the_boxes_that_hide_a_voxel() -> None:
    made, exam = settled(network("cmd_student"), volumes(6)), volumes(1, seed=7, shape=(4, 4, 10))
    box, starts = (1, 1, 2), (range(4), range(4), (*range(8), 8))

    def score(batch: Tensor) -> float:
        with torch.no_grad():
            logits = made(batch).logits[0]
        return float(logits[2] - logits.mean())

    falls, covered = np.zeros((2, 4, 4, 10)), np.zeros((2, 4, 4, 10))
    for phase, *start in product(range(2), *starts):
        place = (phase, *(slice(at, at + size) for at, size in zip(start, box, strict=True)))
        hidden = exam.clone()
        hidden[0][place] = 0.0
        falls[place] += score(exam) - score(hidden)
        covered[place] += 1
    expected = np.clip(falls / covered, 0, None)
    found = saliency_of_exam(made, exam[0].numpy(), 2, "occlusion")
    np.testing.assert_allclose(found, expected / expected.max(), atol=0.01)


def test_grad_cam_is_the_weighted_sum_of_a_blocks_maps() -> None:
    made, exam = settled(network("cmd_student"), volumes(6)), volumes(1, seed=7)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], maps: Tensor) -> None:
        maps.retain_grad()
        kept.append(maps)

    # of 8 x 16 x 16 voxels the second block is the last with two along each axis
    hooks = [branch.blocks[1].register_forward_hook(keep) for branch in made.body.branches]
    logits = made(exam).logits[0]
    for hook in hooks:
        hook.remove()
    (logits[1] - logits.mean()).backward()
    coarse = torch.stack([(maps.grad.mean(dim=(2, 3, 4), keepdim=True) * maps).sum(dim=1)[0] for maps in kept])
    expected = coarse.detach().clamp(min=0).numpy()
    found = saliency_of_exam(made, exam[0].numpy(), 1, "grad-cam")
    assert expected.max() > 0
    # two strides of two put voxel k of the maps over voxel 4 k; between them the map is linear
    np.testing.assert_allclose(found[:, ::4, ::4, ::4], expected / expected.max(), atol=1e-4)
    signed = coarse.detach().numpy() / expected.max()
    between = (signed[:, 0, 1, 1] + signed[:, 0, 1, 2]) / 2
    np.testing.assert_allclose(found[:, 0, 4, 6], between.clip(min=0), atol=1e-4)
    np.testing.assert_allclose(found[:, 7, 15, 15], found[:, 4, 12, 12], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cmd_student", "cnn3d", "m2net", "lstm"])
def test_every_kind_of_network_is_explained_the_same_each_time(name: str, method: SaliencyMethod) -> None:
    made, exam = settled(network(name), volumes(6)), volumes(1, seed=7, shape=(4, 4, 8))[0].numpy()
    first = [saliency_of_exam(made, exam, grade, method) for grade in range(3)]
    assert all(
        np.array_equal(found, saliency_of_exam(made, exam, grade, method)) for grade, found in enumerate(first)
    )
    assert max(found.max() for found in first) == 1
    assert min(found.min() for found in first) == 0
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("method", METHODS)
def test_a_network_of_one_phase_has_no_map_of_the_other(method: SaliencyMethod) -> None:
    made = settled(network("cmd_student", phases=("hbp",)), volumes(6))
    found = saliency_by_class(made, volumes(1, seed=7, shape=(4, 4, 8))[0].numpy(), method)
    assert not found[:, 0].any()
    assert found[:, 1].any()


def exam_with_nan() -> NDArray[np.float32]:
    exam = np.zeros((2, 8, 16, 16), np.float32)
    exam[0, 0, 0, 0] = np.nan
    return exam


@pytest.mark.parametrize(
    ("exam", "grade", "method", "message"),
    [
        (np.zeros((8, 16, 16), np.float32), 0, "occlusion", "shape"),
        (exam_with_nan(), 0, "occlusion", "not numbers"),
        (np.zeros((2, 8, 16, 16), np.float32), 3, "occlusion", "class 3"),
        (np.zeros((2, 8, 16, 16), np.float32), -1, "grad-cam", "class -1"),
        (np.zeros((2, 8, 16, 16), np.float32), 0, "lime", "does not exist"),
    ],
)
def test_what_cannot_be_explained(
    exam: NDArray[np.float32], grade: int, method: SaliencyMethod, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        saliency_of_exam(network("cmd_student"), exam, grade, method)


def test_networks_that_cannot_be_explained() -> None:
    exam = np.zeros((2, 8, 16, 24), np.float32)
    with pytest.raises(ConfigError, match="Explain a student"):
        saliency_of_exam(teacher(), exam, 0)
    with pytest.raises(ConfigError, match="occlusion"):
        saliency_of_exam(BoxNetwork(), exam, 0, "grad-cam")
