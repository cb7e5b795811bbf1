"""Whether a trained encoder may be run with its trunk in bfloat16."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import nn

from hccfeat.training.devices import Precision
from hccfeat.training.embed import embed

MAX_ERROR = 0.02
MIN_SPEARMAN = 0.999
MIN_IMAGES = 8
"""The between-image spread of fewer says little."""


@dataclass(frozen=True)
class PrecisionCheck:
    """How far image vectors and risks move when the trunk computes in bfloat16.

    Attributes
    ----------
    images : int
        Images compared.
    error : float
        Root mean square over the images of the difference of their mean vectors, in standard deviations of that
        dimension between the images (float32), of the worst dimension. One that is the same for all images
        counts as 0 if bfloat16 leaves it alone, as infinite if not.
    typical_error : float
        The same of the median dimension among those that vary.
    spearman : float
        Rank correlation of the images' mean class-1 probabilities; 1 where all are equal.
    """

    images: int
    error: float
    typical_error: float
    spearman: float

    @property
    def passed(self) -> bool:
        """Whether bfloat16 is as good as float32 for this encoder."""
        return self.images >= MIN_IMAGES and self.error <= MAX_ERROR and self.spearman >= MIN_SPEARMAN

    @property
    def precision(self) -> Precision:
        """The precision to use."""
        return "bf16" if self.passed else "float32"

    def facts(self) -> dict[str, float | int | str | None]:
        """What is kept of it; an infinite error as None."""
        error = self.error if np.isfinite(self.error) else None
        return {
            "images": self.images,
            "largest_error": error,
            "typical_error": self.typical_error if np.isfinite(self.typical_error) else None,
            "spearman": self.spearman,
            "precision": self.precision,
        }

    def __str__(self) -> str:
        verdict = "bfloat16" if self.passed else "float32, for in bfloat16"
        return (
            f"trunk in {verdict} the largest PPS error is {self.error:.3f} of a dimension's spread between "
            f"{self.images} images (limit {MAX_ERROR:g}) and the risks' Spearman {self.spearman:.4f} (limit "
            f"{MIN_SPEARMAN:g})"
        )


def check_precision(
    module: nn.Module, images: Sequence[NDArray[np.uint8]], *, device: str | torch.device = "cpu"
) -> PrecisionCheck:
    """Embed images in both precisions and compare.

    Parameters
    ----------
    module : Encoder
        Trained.
    images : sequence of uint8 (n, S, S, 3)
        Normalised patches of each image; those without patches are passed over.
    device : str or torch.device
        Where the encoder is going to be used.

    Returns
    -------
    PrecisionCheck
    """
    images = [patches for patches in images if len(patches)]
    if not images:
        return PrecisionCheck(0, np.inf, np.inf, 0.0)
    exact, exact_risk = _means(module, images, device, "float32")
    lower, lower_risk = _means(module, images, device, "bf16")
    difference = np.sqrt(np.mean((lower - exact) ** 2, axis=0))
    spread = exact.std(axis=0, ddof=1) if len(images) > 1 else np.zeros(exact.shape[1])
    varies = spread > 0
    error = np.where(difference > 0, np.inf, 0.0)
    error[varies] = difference[varies] / spread[varies]
    typical = float(np.median(error[varies])) if varies.any() else 0.0
    return PrecisionCheck(len(images), float(error.max()), typical, _spearman(exact_risk, lower_risk))


def _means(
    module: nn.Module, images: Sequence[NDArray[np.uint8]], device: str | torch.device, precision: Precision
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean vector (I, D) and mean class-1 probability (I,) of each image."""
    vectors, risks = embed(module, np.concatenate(images), device=device, precision=precision)
    starts = np.cumsum([0, *(len(patches) for patches in images[:-1])])
    counts = np.array([len(patches) for patches in images])
    mean = np.add.reduceat(vectors.astype(np.float64), starts) / counts[:, None]
    return mean, np.add.reduceat(risks.astype(np.float64), starts) / counts


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    ranks = np.stack([rankdata(first), rankdata(second)])
    if (np.ptp(ranks, axis=1) == 0).any():
        return float(np.array_equal(ranks[0], ranks[1]))
    return float(np.corrcoef(ranks)[0, 1])
