"""Embedding one MRI exam: read its prepared volumes, run the network, publish its shard."""

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import MriRecipe
from hccfeat.errors import HccfeatError
from hccfeat.extraction.exam_sources import ExamSource
from hccfeat.extraction.identity import EMBEDDING
from hccfeat.extraction.outcomes import SHARD_LOCK, Outcome
from hccfeat.extraction.volume_cache import load_prepared, prepared_paths
from hccfeat.models.mri_base import MriNetwork
from hccfeat.mri.preprocess import PreparedVolume
from hccfeat.store.shards import Shard, write_shard
from hccfeat.training.devices import resolve_device
from hccfeat.training.mri_data import Exam
from hccfeat.training.mri_predict import load_mri, predict_mri


@dataclass(frozen=True)
class ExamTask:
    """Everything :func:`embed_exam` needs."""

    study: Path
    source: ExamSource
    feature_set: str
    feature_set_sha256: str
    weights: Path
    weights_sha256: str
    recipe: MriRecipe
    output: str
    device: str

    @property
    def image_id(self) -> str:
        """Key in table ``image``."""
        return self.source.exam_id


_READING = threading.Lock()
"""NumPy reads an array's header through ``ast``, which CPython 3.11 does not survive in two threads at once."""

_LOADING = threading.Lock()


def embed_exam(task: ExamTask) -> Outcome:
    """Embed and publish one exam; an ordinary failure is returned, never raised.

    Each exam is a batch of its own and reaches the network without its clinical items, so that its vector depends
    on nothing but its volumes and the weights.

    Parameters
    ----------
    task : ExamTask
        What to do.

    Returns
    -------
    Outcome
        The published shard's facts, or the typed failure.
    """
    source = task.source
    try:
        started = time.perf_counter()
        with _READING:
            volumes = [load_prepared(path) for path in prepared_paths(task.study, source, task.recipe)]
        prepared = time.perf_counter()
        with _LOADING:
            network = load_student(task.weights, task.weights_sha256)
        exam = Exam(source.exam_id, source.patient_id, None, tuple(volume.array for volume in volumes))
        prediction = predict_mri(network, [exam], device=resolve_device(task.device).type)
        vector = prediction.embedding if task.output == EMBEDDING else _stream(network, prediction.streams, task)
        embedded = time.perf_counter()
        with SHARD_LOCK:
            info = write_shard(task.study, _shard(task, volumes, vector))
        seconds = {
            "prepare": prepared - started,
            "forward": embedded - prepared,
            "write": time.perf_counter() - embedded,
        }
        return Outcome(source.exam_id, info, None, seconds)
    except (HccfeatError, OSError, MemoryError, RuntimeError, ValueError) as error:
        return Outcome.failed(source.exam_id, error)


@lru_cache(maxsize=1)
def load_student(weights: Path, weights_sha256: str) -> MriNetwork:
    """Network of a weights file that needs no clinical items; kept for the next exam."""
    del weights_sha256  # part of the cache key: a replaced file is loaded again
    return cast("MriNetwork", load_mri(weights))


def _stream(network: MriNetwork, streams: NDArray[np.float32], task: ExamTask) -> NDArray[np.float32]:
    return streams[:, network.phases.index(task.output.removeprefix("z_"))]


def _shard(task: ExamTask, volumes: list[PreparedVolume], vector: NDArray[np.float32]) -> Shard:
    names = ("spacing_z_mm", "spacing_y_mm", "spacing_x_mm")
    spacing = dict(zip(names, task.recipe.volumes.spacing_mm, strict=True))
    centres = {
        f"centred_on_{volume.phase}": prepared.centred_on
        for volume, prepared in zip(task.source.volumes, volumes, strict=True)
    }
    attributes: dict[str, str | int | float] = {
        "status": "ok",
        "reason": "",
        "modality": "mri",
        "output": task.output,
        **spacing,
        **centres,
        "preprocessing_sha256": task.recipe.preprocessing_sha256(),
        "weights_sha256": task.weights_sha256,
        "source_quick_sha256": task.source.quick_sha256,
    }
    return Shard(
        image_id=task.source.exam_id,
        feature_set=task.feature_set,
        feature_set_sha256=task.feature_set_sha256,
        vectors=np.ascontiguousarray(vector, dtype=np.float32),
        coords=np.zeros((1, 2), dtype=np.int64),
        skipped_coords=np.zeros((0, 2), dtype=np.int64),
        skipped_status=np.zeros(0, dtype=np.uint8),
        attributes=attributes,
    )
