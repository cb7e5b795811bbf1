"""Training patches: which patients, in which order, and their identity."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from hccfeat.errors import AnalysisError, ConfigError, InputError
from hccfeat.files import sha256_of
from hccfeat.training.seeds import derived_seed


@dataclass(frozen=True)
class TrainingImage:
    """The patches of one image and the label of its patient.

    Attributes
    ----------
    image_id, patient_id : str
        Names.
    label : int
        1 recurrence, 0 none.
    patches : uint8, (N, S, S, 3)
        Normalised RGB patches; a read-only memory map will do, only the patches of a batch are read at a time.
    months : float, optional
        Time to recurrence (label 1) or to the end of follow-up (label 0). Given for every image, it makes Cox's
        partial likelihood the loss, and all patients can train whatever their follow-up.
    """

    image_id: str
    patient_id: str
    label: int
    patches: NDArray[np.uint8]
    months: float | None = None


class PatchBatches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batches of patches by lists of indices: uint8 (B, S, S, 3) and int64 labels (B,).

    With survival times the labels are float32 (B, 2): label and months.
    """

    def __init__(self, images: Sequence[TrainingImage]) -> None:
        self.arrays = [image.patches for image in images]
        counts = [len(image.patches) for image in images]
        self.image_of = np.repeat(np.arange(len(images)), counts)
        self.row_of = np.concatenate([np.arange(count) for count in counts] or [np.arange(0)])
        labels = np.array([image.label for image in images], dtype=np.int64)
        if images and images[0].months is not None:
            months = np.array([image.months for image in images], dtype=np.float32)
            labels = np.column_stack([labels.astype(np.float32), months])
        self.labels = np.repeat(labels, counts, axis=0)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        patches = np.stack([self.arrays[self.image_of[i]][self.row_of[i]] for i in indices])
        return torch.from_numpy(patches), torch.from_numpy(self.labels[indices])


class ShuffledBatches(Sampler[list[int]]):
    """Full batches in an order that depends on (seed, epoch) only; each device takes its share of every batch.

    Parameters
    ----------
    count : int
        Number of patches.
    batch_size : int
        Patches of a batch, over all devices; an incomplete last batch is dropped.
    seed : int
        Of the training.
    rank, devices : int
        Which device of how many.
    """

    def __init__(self, count: int, batch_size: int, seed: int, *, rank: int = 0, devices: int = 1) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.rank, self.devices = rank, devices
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of ``epoch`` (0 is the first); Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", self.epoch))
        order = torch.randperm(self.count, generator=generator).tolist()
        share = self.batch_size // self.devices
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size][self.rank :: self.devices][:share]


class OrderedBatches(Sampler[list[int]]):
    """All patches in order, for validation; each device takes its share of the batches."""

    def __init__(self, count: int, batch_size: int, *, rank: int = 0, devices: int = 1) -> None:
        starts = range(0, count, batch_size)[rank::devices]
        self.batches = [list(range(start, min(start + batch_size, count))) for start in starts]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def check_images(images: Sequence[TrainingImage], *, size_px: int) -> list[TrainingImage]:
    """Sort images by id, so that their order never matters, and drop those without patches.

    Raises
    ------
    InputError
        If an image repeats, a label is not 0 or 1, a patient has two labels, some images lack a survival time, or
        patches have another shape.
    AnalysisError
        If the images with patches are of one class only.
    """
    kept = sorted((image for image in images if len(image.patches)), key=lambda image: image.image_id)
    labels: dict[str, int] = {}
    for before, image in zip([None, *kept[:-1]], kept, strict=True):
        if before is not None and before.image_id == image.image_id:
            raise InputError(f"image {image.image_id}", "is given twice", "Give each image once.")
        if image.patches.shape[1:] != (size_px, size_px, 3) or image.patches.dtype != np.uint8:
            raise InputError(
                f"image {image.image_id}",
                f"has {image.patches.dtype} patches of shape {image.patches.shape[1:]}, not uint8 "
                f"({size_px}, {size_px}, 3)",
                "Cut them with the recipe of this training.",
            )
        if image.label not in {0, 1} or labels.setdefault(image.patient_id, image.label) != image.label:
            raise InputError(
                f"image {image.image_id}", f"has label {image.label}", "One label per patient, 0 or 1."
            )
    if 0 < sum(image.months is None for image in kept) < len(kept):
        raise InputError("encoder training", "has survival times for some images only", "Give all of them or none.")
    if len(set(labels.values())) < 2:
        raise AnalysisError(
            "encoder training",
            f"has images of {len(labels)} patients in fewer than two classes",
            "Give images of patients with and without recurrence.",
        )
    return kept


def hold_out(images: Sequence[TrainingImage], *, fraction: float, seed: int) -> set[str]:
    """Draw the patients that decide about early stopping: at least one per class, the rest train.

    Raises
    ------
    ConfigError
        If a class has fewer than two patients.
    """
    chosen: set[str] = set()
    for label in (0, 1):
        patients = sorted({image.patient_id for image in images if image.label == label})
        if len(patients) < 2:
            raise ConfigError(
                "training.monitor",
                f"is val_loss, but class {label} has {len(patients)} patients",
                "Use train_loss.",
            )
        count = min(max(1, round(fraction * len(patients))), len(patients) - 1)
        generator = np.random.default_rng(derived_seed(seed, "hold out", label))
        chosen |= set(generator.permutation(patients)[:count].tolist())
    return chosen


def fingerprint(images: Sequence[TrainingImage]) -> str:
    """Hex SHA-256 of names, labels and pixels: training resumes only on the same data."""
    rows = []
    for image in images:
        pixels = hashlib.sha256(np.ascontiguousarray(image.patches).data).hexdigest()
        survival = [] if image.months is None else [image.months]
        rows.append([image.image_id, image.patient_id, image.label, list(image.patches.shape), pixels, *survival])
    return sha256_of(rows)
