"""Stage 2 of P1: the prognostic net on image-level PPS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from hccfeat.config import PrognosticRecipe
from hccfeat.errors import AnalysisError, StoreError
from hccfeat.models.prognostic import PrognosticNet
from hccfeat.models.weights import load_tensors, read_metadata, save_tensors
from hccfeat.training.risk import mean_by_patient
from hccfeat.training.seeds import derived_seed
from hccfeat.training.threads import pinned_threads

patient_risk = mean_by_patient
"""Risk of a patient: the mean risk of their images."""


@dataclass(frozen=True)
class PrognosticModel:
    """A fitted prognostic net with the standardisation of its training images.

    Attributes
    ----------
    mean, sd : float64, (D,)
        Of the training images; constant columns have sd 1.
    net : PrognosticNet
        In evaluation mode, on the CPU.
    recipe : PrognosticRecipe
        Settings of the fit.
    losses : tuple of float
        Training loss of each epoch.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    net: PrognosticNet
    recipe: PrognosticRecipe
    losses: tuple[float, ...]

    def predict(self, x: ArrayLike) -> NDArray[np.float64]:
        """Give the risk of each image.

        Parameters
        ----------
        x : array of float, (n, D)
            Image-level PPS: the mean over patches.

        Returns
        -------
        float64, (n,)
            Softmax probability of recurrence.
        """
        with torch.inference_mode(), pinned_threads(1):
            logits = self.net(_standardise(np.asarray(x, dtype=np.float64), self.mean, self.sd))
            return logits.double().softmax(dim=1)[:, 1].numpy()

    def save(self, path: Path, metadata: dict[str, Any] | None = None) -> str:
        """Publish as safetensors with ``metadata`` beside the recipe; give the file's SHA-256."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {"mean": torch.from_numpy(self.mean), "sd": torch.from_numpy(self.sd)}
        about = {"kind": "prognostic", "recipe": self.recipe.model_dump(mode="json"), "losses": list(self.losses)}
        return save_tensors(path, tensors, about | {"about": metadata or {}})

    @classmethod
    def load(cls, path: Path) -> "PrognosticModel":
        """Read a file of :meth:`save`.

        Raises
        ------
        StoreError
            If the file is missing, damaged or no prognostic model.
        """
        about = read_metadata(path)
        if about.get("kind") != "prognostic":
            raise StoreError(str(path), "is not a prognostic model", "Give a file that `hccfeat analyze` wrote.")
        recipe = PrognosticRecipe.model_validate(about["recipe"])
        tensors = load_tensors(path)
        mean, sd = (tensors.pop(name).numpy() for name in ("mean", "sd"))
        net = PrognosticNet(len(mean), recipe.variant)
        net.load_state_dict({name.removeprefix("net."): value for name, value in tensors.items()})
        return cls(mean, sd, net.eval(), recipe, tuple(about["losses"]))


def fit_prognostic(x: ArrayLike, y: ArrayLike, recipe: PrognosticRecipe) -> PrognosticModel:
    """Fit the prognostic net (docs/methods-recurrence.md; P1 readings 25 and 26).

    All epochs are run and the weights of the epoch with the lowest training loss are kept. Every batch has at
    least two rows (batch normalisation needs them): a single row left over joins the batch before it.

    Parameters
    ----------
    x : array of float, (n, D)
        Image-level PPS of training images; standardised here with their own mean and SD.
    y : array of int, (n,)
        1 recurrence within the horizon, 0 none.
    recipe : PrognosticRecipe
        Settings.

    Raises
    ------
    AnalysisError
        If there is one class only, or a value is missing.
    """
    rows = np.asarray(x, dtype=np.float64)
    labels = np.asarray(y, dtype=np.int64)
    if rows.ndim != 2 or len(rows) != len(labels) or not np.isfinite(rows).all():
        raise AnalysisError(
            "prognostic net", f"got PPS of shape {rows.shape} with gaps or too few labels", "Check the feature set."
        )
    if set(labels.tolist()) != {0, 1}:
        raise AnalysisError(
            "prognostic net",
            f"needs training images with and without recurrence, got {len(labels)} of one class or other labels",
            "Choose another endpoint, or ingest more patients.",
        )
    mean, sd = rows.mean(axis=0), rows.std(axis=0)
    sd = np.where(sd > 1e-6 * np.abs(mean) + 1e-12, sd, 1.0)
    with pinned_threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(recipe.seed, "prognostic"))
        net = PrognosticNet(rows.shape[1], recipe.variant)
        losses = _optimise(net, _standardise(rows, mean, sd), torch.from_numpy(labels), recipe)
    return PrognosticModel(mean, sd, net.eval(), recipe, tuple(losses))


def _standardise(rows: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(((rows - mean) / sd).astype(np.float32))


def _optimise(net: PrognosticNet, rows: Tensor, labels: Tensor, recipe: PrognosticRecipe) -> list[float]:
    """Train in place, leave the best weights in ``net``, give the loss of each epoch."""
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate, betas=recipe.betas)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, recipe.step_epochs, recipe.step_gamma)
    losses: list[float] = []
    best = {name: value.clone() for name, value in net.state_dict().items()}
    for _ in range(recipe.max_epochs):
        net.train()
        total = 0.0
        for batch in _batches(len(rows), recipe.batch_size):
            scores = net(rows[batch])
            if recipe.double_softmax:
                scores = scores.softmax(dim=1)
            loss = functional.cross_entropy(scores, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        schedule.step()
        losses.append(total / len(rows))
        if losses[-1] <= min(losses):
            best = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(best)
    return losses


def _batches(count: int, size: int) -> list[Tensor]:
    batches = list(torch.randperm(count).split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        tail = batches.pop()
        batches[-1] = torch.cat([batches[-1], tail])
    return batches
