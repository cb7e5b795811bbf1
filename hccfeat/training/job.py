"""One training, as plain data that can go to another process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hccfeat.config import TrainingRecipe
from hccfeat.models import Encoder
from hccfeat.training.data import TrainingImage
from hccfeat.training.devices import Precision


@dataclass(frozen=True)
class Job:
    """Everything one training needs; see :func:`hccfeat.training.encoder.train_encoder`."""

    encoder: Encoder
    recipe: TrainingRecipe
    train: list[TrainingImage]
    stop: list[TrainingImage]
    augment: Callable[[Tensor, torch.Generator | None], Tensor] | None
    checkpoint: Path
    identity: str
    device: torch.device
    devices: int
    nodes: int
    workers: int
    threads: int | None
    precision: Precision
    progress: bool

    @property
    def processes(self) -> int:
        """Processes that share every batch, over all machines."""
        return self.devices * self.nodes


@dataclass(frozen=True)
class Best:
    """The weights with the lowest monitored loss, and what happened."""

    tensors: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, Any]]
