"""Exams whose grade shows, for tests of MRI networks; also run as a program that is killed in the middle."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.config import MriRecipe
from hccfeat.training import mri_loop
from hccfeat.training.mri_data import Batch, Exam, ExamBatches
from hccfeat.training.mri_fit import TrainedMri, train_family
from hccfeat.training.mri_methods import METHODS, OURS, TEACHER, Method

SHAPE = (4, 8, 8)
ITEMS = 5
SLOW = {"monai", "nibabel", "pydicom", "duckdb", "polars", "pandas", "lightning"}


def toy_exams(count: int = 14, *, seed: int = 0, folder: Path | None = None) -> list[Exam]:
    """Noise, with a middle that is the brighter and items that are the higher the higher the grade.

    With ``folder`` the volumes are files; the items have gaps.
    """
    random = np.random.default_rng(seed)
    exams = []
    for number in range(count):
        label = number % 3
        volumes: list[Any] = []
        for phase in range(2):
            volume = random.standard_normal(SHAPE).astype(np.float32)
            volume[1:3, 2:6, 2:6] += 3.0 * (label - 1)
            if folder is not None:
                np.save(folder / f"{number}-{phase}.npy", volume)
            volumes.append(volume if folder is None else folder / f"{number}-{phase}.npy")
        clinical = label + random.standard_normal(ITEMS)
        clinical[random.random(ITEMS) < 0.1] = np.nan
        exams.append(Exam(f"toy/e{number:03d}", f"toy/p{number:03d}", label, tuple(volumes), clinical))
    return exams


def toy_mri_recipe(**training: Any) -> MriRecipe:
    """Recipe of the smallest networks, in float32."""
    settings = {"learning_rate": 1e-2, "batch_size": 4, "epochs": 3, "precision": "float32", **training}
    return MriRecipe.model_validate(
        {
            "name": "toy",
            "volumes": {"shape": SHAPE},
            "network": {"channels": (8, 8, 16, 16), "stream_dim": 16, "hidden": 8},
            "training": settings,
        }
    )


def toy_train(
    work: Path, *methods: str | Method, recipe: MriRecipe | None = None, exams: Any = None
) -> dict[str, TrainedMri]:
    """Train methods, given by name, on the CPU with one thread."""
    family = [METHODS[method] if isinstance(method, str) else method for method in methods]
    return train_family(
        exams or toy_exams(), family, recipe or toy_mri_recipe(), work=work, device="cpu", threads=1, progress=False
    )


def main(work: Path, kill_at_batch: int) -> None:
    """Train until the process kills itself at a batch, without any clean-up."""
    mri_loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    read, calls = ExamBatches.__getitem__, 0

    def deadly(batches: ExamBatches, indices: list[int]) -> Batch:
        nonlocal calls
        calls += 1
        if calls == kill_at_batch:
            sys.stdout.write(f"{sorted(SLOW & set(sys.modules))}")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return read(batches, indices)

    ExamBatches.__getitem__ = deadly  # type: ignore[method-assign]
    toy_train(work, TEACHER, OURS, "KD_ours")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
