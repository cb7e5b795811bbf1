"""Patch vectors of patients from the store, a bounded number of each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import AnalysisError
from hccfeat.store.catalog import query
from hccfeat.store.shards import read_shard, shard_path

PATCHES_PER_IMAGE = 256
"""At most, evenly spaced over the rows of its shard."""
SMALL = 50_000
"""Patches of the analysed cohorts up to which attention MIL is fitted without being asked for."""


@dataclass(frozen=True)
class StoredBags:
    """Reads bags of one feature set; what :class:`~hccfeat.analysis.data.EndpointData` calls ``bags``.

    Attributes
    ----------
    study : Path
        Study folder.
    feature_set : str
        Name with version.
    """

    study: Path
    feature_set: str

    def __call__(self, patients: Sequence[str]) -> list[NDArray[np.float32]]:
        """Patch vectors (m, d) of each patient, at most 256 of each image; one whole shard in memory at a time.

        Raises
        ------
        AnalysisError
            If a patient has no patch.
        StoreError
            If a shard is missing or was changed.
        """
        images = query(
            self.study,
            "SELECT s.image_id, i.patient_id FROM shard AS s JOIN image AS i USING (image_id) "
            "WHERE s.feature_set = ? AND s.patches > 0 AND list_contains(?, i.patient_id) ORDER BY s.image_id",
            [self.feature_set, list(patients)],
        )
        parts: dict[str, list[NDArray[np.float32]]] = {}
        for image, patient in images.iter_rows():
            vectors = read_shard(shard_path(self.study, self.feature_set, image)).vectors
            parts.setdefault(patient, []).append(vectors[evenly_spaced(len(vectors))])
        if lost := sum(patient not in parts for patient in patients):
            raise AnalysisError("patch vectors", f"are missing for {lost} patients", "Extract their images.")
        return [np.concatenate(parts[patient]) for patient in patients]


def evenly_spaced(count: int) -> NDArray[np.int64]:
    """Rows of a shard of ``count`` rows that enter the bag."""
    return np.linspace(0, count - 1, min(count, PATCHES_PER_IMAGE)).round().astype(np.int64)


def stored_patches(study: Path, feature_set: str, cohorts: Sequence[str]) -> int:
    """Number of usable patches of some cohorts in a feature set."""
    found = query(
        study,
        "SELECT coalesce(sum(s.patches), 0)::BIGINT AS n FROM shard AS s JOIN image AS i USING (image_id) "
        "WHERE s.feature_set = ? AND list_contains(?, i.cohort)",
        [feature_set, list(cohorts)],
    )
    return int(found["n"][0])
