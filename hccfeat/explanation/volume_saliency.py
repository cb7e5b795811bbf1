"""Where in the two volumes of an exam a network looks for a class: occlusion, and 3-D Grad-CAM.

A map says which places moved the class's score of this network; not which tissue causes it.
"""

from collections.abc import Iterator
from itertools import islice, product
from typing import Literal, get_args

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from hccfeat.errors import ConfigError, InputError
from hccfeat.models.mri_base import PHASES, MriNetwork
from hccfeat.models.mri_blocks import ConvBlock, MriBranch

SaliencyMethod = Literal["occlusion", "grad-cam"]
BOXES_ACROSS = 4
"""A hidden box is a quarter of the volume along each axis, and moves by half of its side."""
HIDDEN = 0.0
"""What a hidden voxel is set to: the mean of the body, for prepared volumes are z-scores within it."""
COARSEST = 2
"""Grad-CAM takes the last block whose maps still have this many voxels along each axis."""
BATCH_VOXELS = 2**21
"""Voxels of the copies of an exam that are judged at once: three at 32 x 96 x 96."""

Place = tuple[int, slice, slice, slice]


class _Scored(nn.Module):
    """A network as the scores of its classes: logits less their mean, which no common constant moves."""

    def __init__(self, network: MriNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes: Tensor) -> Tensor:
        logits = self.network(volumes).logits
        return logits - logits.mean(dim=1, keepdim=True)


def saliency_of_exam(
    network: nn.Module,
    volumes: NDArray[np.float32],
    grade: int,
    method: SaliencyMethod = "occlusion",
    *,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Give the places of one exam that speak for one class: see :func:`saliency_by_class`.

    Returns
    -------
    float32, (2, D, H, W)

    Raises
    ------
    ConfigError, InputError
        As there, and if the network has no such class.
    """
    found = saliency_by_class(network, volumes, method, device=device)
    if not 0 <= grade < len(found):
        raise InputError(
            f"class {grade}", f"is none of the {len(found)} of this network", "Give its index, from 0."
        )
    return found[grade]


def saliency_by_class(
    network: nn.Module, volumes: NDArray[np.float32], method: SaliencyMethod = "occlusion", *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Give the places of one exam that speak for each class.

    Parameters
    ----------
    network : MriNetwork
        Put into evaluation mode on ``device``.
    volumes : float32, (2, D, H, W)
        Prepared volumes in the order of ``PHASES``.
    method : {"occlusion", "grad-cam"}
        Occlusion hides one box of one phase after the other and takes the fall of a class's score, averaged over
        the boxes that cover a voxel; it takes several hundred forward passes. Grad-CAM weighs the maps of a block
        by the mean of their gradients; it is as coarse as that block, and one map where a network has one branch
        for both phases.
    device : str
        Where to compute.

    Returns
    -------
    float32, (classes, 2, D, H, W)
        0 to 1, where 1 is a class's highest value in either phase, so that the phases can be compared; 0 throughout
        a phase that the network is not given, and everywhere if nothing speaks for the class.

    Raises
    ------
    ConfigError
        If the network needs more than volumes, or has no branch that Grad-CAM could explain.
    InputError
        If the volumes or the method cannot be.
    """
    if not isinstance(network, MriNetwork):
        raise ConfigError(
            f"network {type(network).__name__}", "is none that is given volumes only", "Explain a student."
        )
    if volumes.ndim != 4 or len(volumes) != len(PHASES) or not np.isfinite(volumes).all():
        raise InputError(
            "volumes", f"have shape {volumes.shape}, or are not numbers", "Give (2, z, y, x) finite voxels."
        )
    if method not in get_args(SaliencyMethod):
        raise InputError(f"saliency method {method}", "does not exist", "Use occlusion or grad-cam.")
    scored = _Scored(network).to(torch.device(device)).eval()
    exam = torch.from_numpy(np.array(volumes, np.float32))[None].to(device)
    explain = _occlusion if method == "occlusion" else _grad_cam
    found = explain(scored, exam).detach().clamp(min=0)
    highest = found.amax(dim=(1, 2, 3, 4), keepdim=True)
    scaled: NDArray[np.float32] = torch.where(highest > 0, found / highest, found).float().cpu().numpy()
    return scaled


@torch.no_grad()
def _occlusion(scored: _Scored, exam: Tensor) -> Tensor:
    """Mean fall of each score over the boxes that hide a voxel, (classes, 2, D, H, W), of either sign."""
    scores = scored(exam)[0]
    falls = torch.zeros(len(scores), *exam.shape[1:], dtype=torch.float64, device=exam.device)
    covered = torch.zeros_like(falls[0])
    places = _boxes(scored.network.phases, exam.shape[2:])
    at_once = max(1, min(64, BATCH_VOXELS // exam.numel()))
    while batch := list(islice(places, at_once)):
        # the whole exam goes along, so that scores are compared that were rounded alike
        copies = exam.repeat(len(batch) + 1, 1, 1, 1, 1)
        for number, place in enumerate(batch):
            copies[number][place] = HIDDEN
        scores = scored(copies).double()
        for place, hidden in zip(batch, scores[:-1], strict=True):
            falls[:, *place] += (scores[-1] - hidden)[:, None, None, None]
            covered[place] += 1
    return falls / covered.clamp(min=1)


def _boxes(phases: tuple[str, ...], shape: torch.Size) -> Iterator[Place]:
    """Places of the boxes to hide, phase by phase, up to the far end of each axis."""
    sides = [max(1, length // BOXES_ACROSS) for length in shape]
    starts = []
    for length, side in zip(shape, sides, strict=True):
        regular = range(0, length - side, max(1, side // 2))
        starts.append([*regular, length - side])
    for phase, z, y, x in product([PHASES.index(phase) for phase in phases], *starts):
        yield phase, slice(z, z + sides[0]), slice(y, y + sides[1]), slice(x, x + sides[2])


def _grad_cam(scored: _Scored, exam: Tensor) -> Tensor:
    """Weighted sum of the maps of a block of each branch, enlarged: (classes, 2, D, H, W), of either sign."""
    branches = [part for part in scored.modules() if isinstance(part, MriBranch)]
    phases = scored.network.phases
    if len(branches) not in {1, len(phases)}:
        raise ConfigError(
            f"network {type(scored.network).__name__}", "has no branches to explain", "Use method occlusion."
        )
    with torch.no_grad():
        result = torch.zeros(scored(exam).shape[1], *exam.shape[1:], device=exam.device)
    for (number, phase), grade in product(enumerate(phases), range(len(result))):
        branch = branches[min(number, len(branches) - 1)]
        block, scale = _last_wide_block(branch, exam.shape[2:])
        with torch.enable_grad():
            coarse: Tensor = LayerGradCam(scored, block).attribute(exam.clone().requires_grad_(), target=grade)
        result[grade, PHASES.index(phase)] = _enlarged(coarse.detach()[0, 0], exam.shape[2:], scale)
    return result


def _enlarged(coarse: Tensor, shape: torch.Size, scale: int) -> Tensor:
    """Linear enlargement of a map whose voxel k lies over voxel k * scale, as strided convolutions place them."""
    hats = []
    for length, voxels in zip(shape, coarse.shape, strict=True):
        at = (torch.arange(length, device=coarse.device) / scale).clamp(max=voxels - 1)
        hats.append((1 - (at[:, None] - torch.arange(voxels, device=coarse.device)).abs()).clamp(min=0))
    return torch.einsum("zc,yd,xe,cde->zyx", *hats, coarse)


def _last_wide_block(branch: MriBranch, shape: torch.Size) -> tuple[ConvBlock, int]:
    """The last block whose maps are at least COARSEST voxels wide along each axis, or the first; and its stride."""
    blocks = [block for block in branch.blocks if isinstance(block, ConvBlock)]
    narrowest, chosen = min(shape), 0
    for number in range(len(blocks)):
        narrowest = -(-narrowest // 2)
        if narrowest >= COARSEST:
            chosen = number
    return blocks[chosen], 2 ** (chosen + 1)
