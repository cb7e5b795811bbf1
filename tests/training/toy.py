"""Images of two textures, for tests of the training; also run as a program that is killed in the middle."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hccfeat.config import Recipe
from hccfeat.models import Encoder, register
from hccfeat.training.data import TrainingImage

SIDE = 32


@register("toy_convolution")
class ToyConvolution(Encoder):
    """Small and quick, yet with what a resumed training must get right: running statistics and dropout."""

    def __init__(self, *, input_px: int = SIDE, trunk_weights: str = "none") -> None:
        del trunk_weights
        super().__init__(input_px=input_px, embedding_dim=8)
        self.trunk = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, stride=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Dropout(0.3)
        )
        self.classifier = torch.nn.Linear(8, 2)

    def feature_maps(self, normalised: torch.Tensor) -> torch.Tensor:
        """Convolve."""
        return self.trunk(normalised)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Mean over positions."""
        return maps.mean(dim=(2, 3))

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return the pooled vector."""
        return pooled

    def classify(self, embedding: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        return self.classifier(embedding)


def toy_images(count: int = 8, patches: int = 6, *, side: int = SIDE, seed: int = 0) -> list[TrainingImage]:
    """Two images per patient; discs of label 1 are larger, the share of dark pixels is alike."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        label = (number // 2) % 2
        radius = random.normal(3.0 + 1.2 * label, 0.3)
        pixels = np.stack([toy_patch(random, radius, side) for _ in range(patches)])
        images.append(TrainingImage(f"toy/{number:03d}", f"toy/p{number // 2:03d}", label, pixels))
    return images


def toy_patch(random: np.random.Generator, radius: float, side: int) -> np.ndarray:
    """One H&E-coloured patch of discs."""
    rows, columns = np.mgrid[:side, :side]
    dark = np.full((side, side), 0.15)
    for _ in range(max(3, int(0.6 * side * side / (np.pi * radius**2)))):
        x, y = random.uniform(0, side, 2)
        dark[(columns - x) ** 2 + (rows - y) ** 2 < max(1.0, random.normal(radius, 0.5)) ** 2] = 0.9
    dark = dark + random.normal(0, 0.05, dark.shape)
    density = dark[..., None] * np.array([0.56, 0.72, 0.40]) + np.array([0.06, 0.24, 0.17])
    return (255 * np.exp(-density)).clip(0, 255).astype(np.uint8)


def toy_recipe(encoder: str = "toy_convolution", **training: Any) -> Recipe:
    """Recipe in float32: the small encoder at 32 px, or CNN-SASM at 64."""
    settings = {"learning_rate": 1e-3, "batch_size": 16, "max_epochs": 3, "precision": "float32", **training}
    sasm = encoder == "cnn_sasm"
    return Recipe.model_validate(
        {
            "name": "toy",
            "patches": {"size_px": 64 if sasm else SIDE},
            "encoder": {
                "name": encoder,
                "trunk_weights": "none",
                "options": {"csa_heads": 2, "attention_dropout": 0.0} if sasm else {},
            },
            "training": settings,
        }
    )


def flips(images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Mirror a random half of the images."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)


def main(work: Path, kill_at_batch: int) -> None:
    """Train until the process kills itself at a batch, without any clean-up."""
    from hccfeat.progress import set_quiet
    from hccfeat.training import callbacks
    from hccfeat.training.encoder import train_encoder

    callbacks.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    calls = 0

    def deadly(images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == kill_at_batch:
            os.kill(os.getpid(), signal.SIGKILL)
        return flips(images, generator)

    set_quiet(True)
    train_encoder(toy_images(), toy_recipe(), augment=deadly, work=work, device="cpu", threads=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
