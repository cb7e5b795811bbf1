"""Fits the attention-MIL network on bags of stored patch vectors, on one thread and from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from hccfeat.errors import AnalysisError
from hccfeat.models.mil import GatedAttentionMil
from hccfeat.training.seeds import derived_seed
from hccfeat.training.threads import pinned_threads

Bags = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class MilSettings:
    """Network and training; ``patches`` of a bag, drawn anew for each step, bound time and memory."""

    hidden: int = 64
    attention: int = 32
    dropout: float = 0.25
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    epochs: int = 30
    batch_size: int = 16
    patches: int = 128
    seed: int = 2023


@dataclass(frozen=True, eq=False)
class MilModel:
    """A fitted network, and mean and SD (d,) of the training patch vectors, each patient counting once."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    net: GatedAttentionMil

    def predict(self, bags: Bags) -> NDArray[np.float64]:
        """Probability of the label (n,) of bags (m, d), from all their patches."""
        return np.array([self._read(bag)[0] for bag in bags], dtype=np.float64)

    def attention(self, bag: NDArray[np.float32]) -> NDArray[np.float64]:
        """Weight of each patch (m,) of a bag; they sum to 1."""
        return self._read(bag)[1]

    def _read(self, bag: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
        rows = _scaled(bag, self.mean, self.sd).unsqueeze(0)
        with torch.inference_mode(), pinned_threads(1):
            logits, weights = self.net(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
            return float(logits.double().sigmoid()[0]), weights[0].double().numpy()


def fit_mil(bags: Bags, y: ArrayLike, settings: MilSettings) -> MilModel:
    """Fit the network by cross-entropy with Adam and decoupled weight decay; all epochs are run.

    Parameters
    ----------
    bags : sequence of array of float32 (m, d)
        Patch vectors of each training patient; m may differ, and is at least 1.
    y : array of 0/1 (n,)
        Labels of the patients.
    settings : MilSettings
        Network, training and seed.

    Raises
    ------
    AnalysisError
        If a bag is empty or holds NaN, or there is one class only.
    """
    labels = np.asarray(y, dtype=np.float64)
    if len(bags) != len(labels) or any(not len(bag) or not np.isfinite(bag).all() for bag in bags):
        raise AnalysisError("attention MIL", "got empty bags or bags with gaps", "Run `hccfeat verify`.")
    if set(labels.tolist()) != {0.0, 1.0}:
        raise AnalysisError("attention MIL", "needs patients of both classes", "Choose another endpoint.")
    means = np.array([bag.mean(axis=0, dtype=np.float64) for bag in bags])
    mean = means.mean(axis=0)
    sd = np.sqrt(np.mean([((bag - mean) ** 2).mean(axis=0) for bag in bags], axis=0))
    sd = np.where(sd > 1e-6 * np.abs(mean) + 1e-12, sd, 1.0)
    with pinned_threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "mil"))
        net = GatedAttentionMil(len(mean), settings.hidden, settings.attention, settings.dropout)
        _optimise(net, [_scaled(bag, mean, sd) for bag in bags], torch.from_numpy(labels).float(), settings)
    return MilModel(mean, sd, net.eval())


def _optimise(net: GatedAttentionMil, bags: Sequence[Tensor], labels: Tensor, settings: MilSettings) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    net.train()
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(bags)).split(settings.batch_size):
            drawn = [_some(bags[index], settings.patches) for index in batch.tolist()]
            counts = torch.tensor([len(rows) for rows in drawn])
            padded = pad_sequence(drawn, batch_first=True)
            present = torch.arange(padded.shape[1]) < counts[:, None]
            logits, _ = net(padded, present)
            loss = functional.binary_cross_entropy_with_logits(logits, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _some(bag: Tensor, patches: int) -> Tensor:
    """All patches of a small bag; of a larger one as many as asked for, drawn without replacement."""
    return bag if len(bag) <= patches else bag[torch.randperm(len(bag))[:patches]]


def _scaled(bag: NDArray[np.float32], mean: NDArray[np.float64], sd: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(((bag - mean) / sd).astype(np.float32))
