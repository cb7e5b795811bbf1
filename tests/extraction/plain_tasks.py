"""Tasks without a network: the shard of an image is drawn from its name. Other processes import this module."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.errors import FailureKind, SlideError
from hccfeat.extraction.outcomes import SHARD_LOCK, Outcome
from hccfeat.store.shards import Shard, write_shard

DIM = 8
SHA = "f" * 64
IMAGES = 9
"""Of fixture ``study``."""


@dataclass(frozen=True)
class PlainTask:
    """One image, and what happens to whoever works on it."""

    study: Path
    image_id: str
    happens: str = ""
    seconds: float = 0.0


def publish(task: PlainTask) -> Outcome:
    """Publish the shard, unless something happens."""
    time.sleep(task.seconds)
    marker = task.study / f"{task.image_id.replace('/', '_')}.seen"
    if task.happens == "death" or (task.happens == "one death" and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task.happens == "error":
        raise TypeError("nobody expects this")
    if task.happens == "failure":
        return Outcome.failed(
            task.image_id, SlideError(FailureKind.UNREADABLE, task.image_id, "is cut", "Mend it.")
        )
    with (task.study / "order.txt").open("a") as order:
        order.write(f"{task.image_id}\n")
    with SHARD_LOCK:
        info = write_shard(task.study, plain_shard(task.image_id))
    return Outcome(task.image_id, info, None, {"forward": 0.5})


def plain_shard(image_id: str, patches: int = 4) -> Shard:
    """Vectors of the image's name."""
    random = np.random.default_rng(list(image_id.encode()))
    return Shard(
        image_id=image_id,
        feature_set="pps-1",
        feature_set_sha256=SHA,
        vectors=random.normal(size=(patches, DIM)).astype(np.float32),
        coords=np.stack([np.arange(patches) * 224, np.zeros(patches)], axis=1).astype(np.int64),
        skipped_coords=np.zeros((0, 2), dtype=np.int64),
        skipped_status=np.zeros(0, dtype=np.uint8),
        attributes={"status": "ok", "reason": ""},
    )


def digests(study: Path) -> dict[str, str]:
    """Digest of every shard that is committed and published."""
    from hccfeat.store.catalog import query

    return dict(query(study, "SELECT image_id, digest FROM shard").rows())


def plain_study(folder: Path, images: int, *, with_features: bool = True) -> Path:
    """A study with images of falling size, and a feature set that nothing has been embedded for."""
    from hccfeat.config import load_recipe
    from hccfeat.store.committer import Committer
    from hccfeat.study import init_study

    init_study(folder, name="plain", recipe="tiny", mri_recipe="mri-tiny")
    ids = [f"internal/{number:02d}" for number in range(images)]
    rows = [
        {
            "image_id": image_id,
            "patient_id": f"internal/p{image_id[-2:]}",
            "cohort": "internal",
            "modality": "slide",
        }
        | {
            "path": f"/slides/{image_id}.svs",
            "bytes": 1000 - place,
            "mtime_ns": 0,
            "quick_sha256": "",
            "status": "ok",
        }
        for place, image_id in enumerate(ids)
    ]
    feature_set = {
        "feature_set": "pps-1",
        "base": "pps",
        "version": 1,
        "sha256": SHA,
        "dim": DIM,
        "dtype": "float32",
    }
    recipe = load_recipe("tiny", folder).model_dump(mode="json")
    with Committer(folder) as committer:
        cohort = {"cohort": "internal", "title": "Internal", "format": "plain", "simulated": True}
        patients = [{"patient_id": row["patient_id"], "cohort": "internal"} for row in rows]
        committer.record("ingest", "internal", {"cohort": [cohort], "patient": patients, "image": rows})
        if with_features:
            committer.record("feature_sets", "pps-1", {"feature_set": [{**feature_set, "recipe": recipe}]})
    return folder


class PlainWork:
    """Stands for :class:`hccfeat.extraction.slide_work.SlideWork`."""

    happens: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, session: Any, recipe: Any) -> None:
        del recipe
        self.session = session

    def further(self, main: Any) -> list[Any]:
        """Nothing."""
        del main
        return []

    def outcomes(self, feature_set: Any, image_ids: Sequence[str]) -> Iterator[Outcome]:
        """Publish the shards."""
        del feature_set
        study = self.session.study
        return self.session.run(publish, [PlainTask(study, i, self.happens.get(i, "")) for i in image_ids])


def extract_slowly(study: str, address: str, images: int) -> None:
    """What ``extract --scheduler`` does, slowly: the whole work of a process that is to be killed."""
    from hccfeat.extraction.executors import run_tasks
    from hccfeat.store.committer import Committer

    tasks = [PlainTask(Path(study), f"internal/{number:02d}", seconds=0.4) for number in range(images)]
    with Committer(Path(study)) as committer:
        for outcome in run_tasks(publish, tasks, scheduler=address):
            assert outcome.shard is not None
            committer.adopt([outcome.shard])
