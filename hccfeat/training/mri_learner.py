"""One network that learns: its optimiser, its steps and its loss terms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from hccfeat.config import MriTrainingRecipe
from hccfeat.models.item_scaler import ItemScaler
from hccfeat.models.mri_base import MriNetwork, MriOutput
from hccfeat.training.mri_data import Batch
from hccfeat.training.mri_losses import class_kl, feature_kl, focal_loss, item_loss, similarity_loss
from hccfeat.training.mri_methods import Distillation
from hccfeat.training.mri_precision import convolution_precision
from hccfeat.training.seeds import derived_seed

TERMS = ("focal", "stage_focal", "class_kl", "feature_kl", "similarity", "items", "total")
"""Loss terms of a row of the history, before their weights; one that does not exist for a network is None."""

Stages = Literal["beside", "before"]
"""How heads of single phases learn: beside the joint head, or before it, in the first half of the epochs."""


@dataclass(frozen=True)
class Moment:
    """Where a training stands: epoch and batch, both from 0."""

    epoch: int
    batch: int = 0


@dataclass
class Learner:
    """A network in training.

    Attributes
    ----------
    name : str
        Of the method.
    network : nn.Module
        An :class:`~hccfeat.models.mri_base.MriNetwork`, or a teacher that is also given the clinical items.
    recipe : MriTrainingRecipe
        Settings.
    draws : str
        Names the random numbers. Equal networks of different methods start from equal weights and draw alike, so
        that their differences are those of the methods.
    identity : str
        Hash of everything that decides the weights.
    distillation : Distillation or None
        How it learns from a teacher.
    scaler : ItemScaler or None
        Standardises the items that the network reconstructs.
    stages : {"beside", "before"}
        When heads of single phases learn, where the network has them.
    class_weights : Tensor or None
        (classes,) of the focal loss.
    """

    name: str
    network: nn.Module
    recipe: MriTrainingRecipe
    draws: str
    identity: str
    distillation: Distillation | None = None
    scaler: ItemScaler | None = None
    stages: Stages = "beside"
    class_weights: Tensor | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    optimiser: torch.optim.Optimizer = field(init=False)
    sums: dict[str, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.Adam(
            self.network.parameters(),
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )

    def start_epoch(self, epoch: int) -> None:
        """Set the learning rate of an epoch and forget the sums of the last."""
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, epoch)
        self.sums = {}

    def step(self, batch: Batch, target: MriOutput | None, moment: Moment, *, lower: bool) -> MriOutput:
        """Learn from one batch.

        Parameters
        ----------
        batch : Batch
            On the network's device.
        target : MriOutput or None
            What the teacher says about the batch.
        moment : Moment
            Random numbers depend on it and nothing that happened before.
        lower : bool
            Whether convolutions compute in bfloat16.

        Returns
        -------
        MriOutput
            Of the network before the step, detached: what it tells its students.
        """
        torch.manual_seed(derived_seed(self.recipe.seed, self.draws, moment.epoch, moment.batch))
        with convolution_precision(batch.volumes.device, lower=lower):
            output = run_network(self.network, batch)
        terms = self._terms(output, batch, target, moment.epoch)
        self.optimiser.zero_grad(set_to_none=True)
        terms["total"].backward()
        self.optimiser.step()
        for name, value in terms.items():
            weighted = value.detach() * len(batch.labels)
            self.sums[name] = self.sums[name] + weighted if name in self.sums else weighted
        return MriOutput(output.logits.detach(), output.embedding.detach(), output.streams.detach())

    def finish_epoch(self, epoch: int, exams: int) -> float:
        """Write a row of the history; give the mean total loss of the epoch, which may not be a number."""
        means = {name: float(value) / exams for name, value in self.sums.items()}
        row: dict[str, Any] = {"epoch": epoch + 1, "learning_rate": learning_rate(self.recipe, epoch)}
        self.history.append(row | {name: means.get(name) for name in TERMS})
        return means["total"]

    def state(self) -> dict[str, Any]:
        """Plain values and tensors that a checkpoint holds."""
        return {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = list(state["history"])

    def _terms(self, output: MriOutput, batch: Batch, target: MriOutput | None, epoch: int) -> dict[str, Tensor]:
        terms, total = self._supervised(output, batch.labels, epoch)
        if self.distillation is not None and target is not None:
            terms |= distillation_terms(self.distillation, output, target)
            for name, weight in distillation_weights(self.distillation, self.recipe).items():
                if weight:
                    total = total + weight * terms[name]
        if output.items is not None and self.scaler is not None and batch.items is not None:
            terms["items"] = item_loss(output.items, self.scaler(batch.items), ~batch.items.isnan())
            total = total + self.recipe.lambda_clinical * terms["items"]
        return terms | {"total": total}

    def _supervised(self, output: MriOutput, labels: Tensor, epoch: int) -> tuple[dict[str, Tensor], Tensor]:
        """Focal loss of the joint head and, summed, of heads of single phases; and what of it counts now."""

        def focal(logits: Tensor) -> Tensor:
            return focal_loss(logits, labels, gamma=self.recipe.gamma, class_weights=self.class_weights)

        joint = focal(output.logits)
        if output.stage_logits is None:
            return {"focal": joint}, joint
        single = torch.stack([focal(logits) for logits in output.stage_logits.unbind(dim=1)]).sum()
        terms = {"focal": joint, "stage_focal": single}
        if self.stages == "beside":
            return terms, joint + single
        return terms, single if epoch < self.recipe.epochs // 2 else joint


def run_network(network: nn.Module, batch: Batch) -> MriOutput:
    """Run a network on what it may see: the volumes, and the clinical items if it is a teacher."""
    output = network(batch.volumes) if isinstance(network, MriNetwork) else network(batch.volumes, batch.items)
    return cast("MriOutput", output)


def learning_rate(recipe: MriTrainingRecipe, epoch: int) -> float:
    """Cosine from the recipe's rate towards 0, as a function of the epoch (from 0)."""
    return recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2


def distillation_terms(distillation: Distillation, output: MriOutput, target: MriOutput) -> dict[str, Tensor]:
    """Every distillation loss before its weight, so that the history also has those that teach nothing."""
    return {
        "class_kl": class_kl(output.logits, target.logits, temperature=distillation.temperature),
        "feature_kl": feature_kl(output.streams, target.streams),
        "similarity": similarity_loss(output.streams, target.streams),
    }


def distillation_weights(distillation: Distillation, recipe: MriTrainingRecipe) -> dict[str, float]:
    """Weights of the distillation losses: the method's own, else the recipe's."""
    class_weight, feature_weight = distillation.class_weight, distillation.feature_weight
    return {
        "class_kl": recipe.lambda_class if class_weight is None else class_weight,
        "feature_kl": recipe.beta_feature if feature_weight is None else feature_weight,
        "similarity": distillation.similarity_weight,
    }
