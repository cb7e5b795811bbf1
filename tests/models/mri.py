"""Small networks and exams that the tests of the MRI networks share."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hccfeat.models.cmd_net import CmdTeacher
from hccfeat.models.mri_base import MriNetwork, MriOutput
from hccfeat.models.mri_registry import create_mri

ITEMS = 5
SMALL: dict[str, Any] = {"channels": (4, 6, 8, 8), "stream_dim": 16, "hidden": 8, "items": ITEMS}
SHAPE = (8, 16, 16)
Made = TypeVar("Made", bound=nn.Module)
IMAGE_NETWORKS = ("cmd_student", "image_teacher", "concat", "cnn3d", "lstm", "m2net", "concat_2s")


def network(name: str, **options: Any) -> MriNetwork:
    torch.manual_seed(5)
    made = create_mri(name, **{**SMALL, **options})
    assert isinstance(made, MriNetwork)
    return made


def teacher(**options: Any) -> CmdTeacher:
    torch.manual_seed(6)
    made = create_mri("cmd_teacher", **{**SMALL, **options})
    assert isinstance(made, CmdTeacher)
    made.scaler.fit(items(30, seed=3).double().numpy())
    return made


def volumes(count: int, *, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.randn(count, 2, *shape, generator=torch.Generator().manual_seed(seed))


def items(count: int, *, seed: int = 1) -> Tensor:
    """Raw items on scales of their own, about a tenth missing."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(count, ITEMS, generator=generator) * torch.tensor([1, 10, 0.1, 1000, 3]) + 40
    return values.masked_fill(torch.rand(values.shape, generator=generator) < 0.1, torch.nan)


def settled(made: Made, *inputs: Tensor) -> Made:
    """Give a network in evaluation mode whose BatchNorms know these inputs; fresh ones let little through."""
    norms = [part for part in made.modules() if isinstance(part, nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        made.train()(*inputs)
    return made.eval()


def tensors(output: MriOutput) -> list[Tensor]:
    return [value for value in output if value is not None]
