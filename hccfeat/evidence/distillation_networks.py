"""Small networks in place of CMD-Net, one of each kind per seed, stacked so that all seeds take a step at once.

A stack holds the weights of R networks that never see each other: their inputs have R as the first axis, every
layer is a batched product, and the loss is the sum over networks, so that each has the gradient it had alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hccfeat.models.mri_base import MriOutput


class StackedLinear(nn.Module):
    """R linear layers: (R, B, inputs) to (R, B, outputs), drawn from one generator per network."""

    def __init__(self, inputs: int, outputs: int, draws: Sequence[torch.Generator]) -> None:
        super().__init__()
        reach = inputs**-0.5
        drawn = [torch.rand(inputs + 1, outputs, generator=draw) * 2 * reach - reach for draw in draws]
        stacked = torch.stack(drawn)
        self.weight = nn.Parameter(stacked[:, :-1].clone())
        self.bias = nn.Parameter(stacked[:, -1:].clone())

    def forward(self, x: Tensor) -> Tensor:
        """Apply each layer to its own batch."""
        return torch.baddbmm(self.bias, x, self.weight)


class StackedNetwork(nn.Module):
    """R students, or R teachers where they are given clinical items.

    A branch of two layers per phase gives Z; the branches of a teacher see the items beside their phase. The head
    has one layer, that of a teacher two, as in CMD-Net; there is no cross attention.

    Parameters
    ----------
    phases : sequence of int
        Which phases of the input it is given, one branch each.
    features, items : int
        Of one phase; of one patient, 0 for networks that see images only.
    hidden, stream : int
        Width of a branch and length of Z.
    seeds : sequence of int
        One per network; equal seeds give equal initial weights of equal layers.
    deep_head : bool
        Two layers.
    """

    def __init__(
        self, phases: Sequence[int], features: int, items: int, *, hidden: int, stream: int, classes: int,
        seeds: Sequence[int], deep_head: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.phases, self.items = tuple(phases), items
        self.branches = nn.ModuleList(
            nn.Sequential(
                StackedLinear(features + items, hidden, _draws(seeds, phase)), nn.ReLU(),
                StackedLinear(hidden, stream, _draws(seeds, phase, 1)),
            )
            for phase in self.phases
        )  # fmt: skip
        head, width = _draws(seeds, len(self.phases), 2), stream * len(self.phases)
        deep = [StackedLinear(width, hidden, head), nn.ReLU()] if deep_head else []
        self.head = nn.Sequential(*deep, StackedLinear(hidden if deep_head else width, classes, head))

    def forward(self, images: Tensor, items: Tensor | None) -> MriOutput:
        """Images (R, B, phases, features) and items (R, B, items) to outputs whose rows are all R x B patients."""
        given = [images[:, :, phase] for phase in self.phases]
        if self.items and items is not None:
            given = [torch.cat([image, items], dim=2) for image in given]
        streams = torch.stack([branch(x) for branch, x in zip(self.branches, given, strict=True)], dim=2)
        embedding = streams.flatten(2)
        return MriOutput(self.head(embedding).flatten(0, 1), embedding.flatten(0, 1), streams.flatten(0, 1))


def _draws(seeds: Sequence[int], *place: int) -> list[torch.Generator]:
    """A generator per network for the layer at a place; a layer's draw does not depend on the others'."""
    spread = sum((part + 1) * 1009 ** (number + 1) for number, part in enumerate(place))
    return [torch.Generator().manual_seed(seed * 1_000_003 + spread) for seed in seeds]
