"""Stored vectors as torch datasets: of patches, read from the shards as needed, or of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hccfeat.store.catalog import query
from hccfeat.store.names import image_table
from hccfeat.store.patches import PatchFile
from hccfeat.store.versions import resolve_feature_set


class PatchDataset(Dataset[dict[str, Any]]):
    """Usable patches of a feature set, in order of image and of the shard's rows.

    An item is ``image_id`` (str), ``x`` and ``y`` (int, top-left corner, pixels of level 0) and ``vector`` (float32
    tensor, (D,)). No file stays open between accesses, so any number of workers of a ``DataLoader`` may share the
    dataset; a batch opens each shard that it needs once.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : str
        Name, with a version or for the newest.
    image_ids : sequence of str, optional
        Only these images.

    Raises
    ------
    StoreError
        If the feature set is unknown; on access, if a shard cannot be read.
    """

    def __init__(self, study: Path, feature_set: str, image_ids: Sequence[str] | None = None) -> None:
        self.feature_set = resolve_feature_set(study, feature_set)
        rows = _only(
            query(
                study,
                "SELECT image_id, path, patches FROM shard WHERE feature_set = ? AND patches > 0 ORDER BY image_id",
                [self.feature_set],
            ).rows(),
            image_ids,
        )
        self.image_ids = [row[0] for row in rows]
        self._paths = [study / row[1] for row in rows]
        self._ends = np.cumsum([row[2] for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Items of a batch, in the order asked for; each shard is read once."""
        wanted = np.asarray(indices, dtype=np.int64)
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        if wanted.size and not ((wanted >= 0) & (wanted < len(self))).all():
            raise IndexError(f"a patch beyond the {len(self)} of {self.feature_set}")
        image = np.searchsorted(self._ends, wanted, side="right")
        items: list[dict[str, Any]] = [{}] * len(wanted)
        for number in np.unique(image):
            places = np.flatnonzero(image == number)
            rows = wanted[places] - (self._ends[number - 1] if number else 0)
            chosen, back = np.unique(rows, return_inverse=True)
            with PatchFile(self._paths[number]) as shard:
                corners, vectors = shard.coords(), torch.from_numpy(shard.vectors(chosen))
            for place, row, vector in zip(places, rows, back, strict=True):
                x, y = corners[row].tolist()
                items[place] = {"image_id": self.image_ids[number], "x": x, "y": y, "vector": vectors[vector]}
        return items


class ImageDataset(Dataset[dict[str, Any]]):
    """Images with vectors of a feature set, in order of image.

    An item is ``image_id``, ``patient_id``, ``cohort`` (str), ``patches`` (int) and ``vector`` (float32 tensor,
    (D,), the mean over the image's usable patches). All vectors are read when the dataset is made.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : str
        Name, with a version or for the newest.
    image_ids : sequence of str, optional
        Only these images.

    Raises
    ------
    StoreError
        If the feature set is unknown.
    """

    def __init__(self, study: Path, feature_set: str, image_ids: Sequence[str] | None = None) -> None:
        self.feature_set = resolve_feature_set(study, feature_set)
        frame = query(
            study,
            "SELECT image_id, coalesce(patient_id, '') AS patient_id, cohort, patches, mean "
            f'FROM "{image_table(self.feature_set)}" ORDER BY image_id',
        )
        if image_ids is not None:
            frame = frame.filter(frame["image_id"].is_in(list(image_ids)))
        self.vectors = torch.from_numpy(frame["mean"].to_numpy().copy())
        self._rows = frame.drop("mean").to_dicts()
        self.image_ids = frame["image_id"].to_list()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self._rows[index], "vector": self.vectors[index]}


def _only(rows: list[tuple[Any, ...]], image_ids: Sequence[str] | None) -> list[tuple[Any, ...]]:
    wanted = None if image_ids is None else set(image_ids)
    return rows if wanted is None else [row for row in rows if row[0] in wanted]
