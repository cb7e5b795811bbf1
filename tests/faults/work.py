"""The real ``extract`` on a study of six images, with vectors drawn at random by image instead of a network.

Planning, the process pool, shards, committer, records and the run's entry are the package's own; only the work on
one image and the training of the network are replaced, so that a run takes a fraction of a second.
"""

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import torch

import hccfeat.extraction.slide_work
import hccfeat.extraction.workflow
from hccfeat.config import load_recipe, load_study_config
from hccfeat.errors import FailureKind, SlideError
from hccfeat.extraction import provenance
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import SHARD_LOCK, Outcome
from hccfeat.extraction.provenance import NewFeatureSet
from hccfeat.extraction.session import ExtractOptions, ExtractSummary
from hccfeat.extraction.slide_work import SlideWork
from hccfeat.extraction.tasks import EmbedTask
from hccfeat.store.committer import Committer
from hccfeat.store.shards import write_shard
from hccfeat.study import init_study, open_study
from tests.faults import moments
from tests.faults.lives import Life
from tests.store.builder import CLINICAL, DIM, cohort_tables, shard

FEATURE_SET = "pps-1"
IMAGES = 6


def make_study(study: Path) -> Path:
    """A study with one cohort of three patients with two images each, nothing extracted."""
    init_study(study, name="faults", recipe="tiny")
    tables = cohort_tables(patients=IMAGES // 2)
    for number, row in enumerate(tables["image"]):
        row |= {"bytes": 1000 - number, "mtime_ns": 1, "quick_sha256": f"{number:064d}", "mpp_source": "file"}
    with Committer(study) as committer:
        replaces = {table: {"cohort": "internal"} for table in tables}
        committer.record("ingest", "internal", tables, replaces, about={"clinical_columns": CLINICAL})
    return study


def prepare(life: Life) -> None:
    """Import what a run would import, so that those forked from here need not."""
    if life.modality:
        import lightning.pytorch  # noqa: F401
        import timm  # noqa: F401
    if life.modality == "mri":
        import monai.transforms.spatial.array  # noqa: F401


def run(life: Life) -> ExtractSummary:
    """``hccfeat extract`` in this process, with forked workers: they start in milliseconds."""
    if life.modality:
        return open_study(life.study).extract(modality=life.modality, device="cpu")
    forked = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: forked  # type: ignore[assignment]
    options = ExtractOptions(workers=life.workers, device="cpu", timeout_per_image=life.timeout)
    hccfeat.extraction.workflow.SlideWork = Untrained  # type: ignore[misc]
    hccfeat.extraction.slide_work.embed_image = draw_vectors
    _behave.update(life.behave)
    study = Path(life.study)
    return hccfeat.extraction.workflow.extract(study, load_study_config(study), load_recipe("tiny"), options)


def _unreadable() -> NoReturn:
    raise SlideError(FailureKind.UNREADABLE, "the slide", "is damaged", "Scan it again.")


def _bug() -> NoReturn:
    raise KeyError("no ordinary exception ends the others")


def _no_memory() -> NoReturn:
    raise MemoryError


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    """As a library that waits without letting go of the interpreter: no signal handler runs."""
    ctypes.PyDLL(None).sleep(60)


BEHAVIOURS: dict[str, Callable[[], None]] = {
    "work": lambda: None,
    "unreadable": _unreadable,
    "bug": _bug,
    "no memory": _no_memory,
    "die": _die,
    "sleep": lambda: time.sleep(60),
    "hang": _hang,
}
_behave: dict[str, str] = {}


class Untrained(SlideWork):
    """Slides whose network is not trained, for it is not used."""

    def trained(self, fold: int | None) -> FeatureSet:
        del fold
        session = self.session
        network = torch.nn.Linear(2, 2)
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, 0.5)
        new = NewFeatureSet("pps", self.recipe, "random", network, DIM, {"internal/P000": "trained"}, {}, True)
        feature_set = provenance.register(session.study, session.committer, new)
        session.summary.trained.append(feature_set.name)
        return feature_set


def draw_vectors(task: EmbedTask) -> Outcome:
    """Publish a shard of vectors that depend on the image only; every fourth image has no usable patch."""
    moments.note_worker(os.getpid())
    BEHAVIOURS[_behave.get(task.image_id, "work")]()
    patches = task.source.bytes % 4 and 6
    drawn = replace(shard(task.image_id, patches), feature_set_sha256=task.feature_set_sha256)
    with SHARD_LOCK:
        outcome = Outcome(task.image_id, write_shard(task.study, drawn), None)
    moments.note_worker(os.getpid())
    return outcome
