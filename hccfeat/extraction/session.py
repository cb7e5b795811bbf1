"""What one run of ``extract`` is asked for, works with and has done."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hccfeat.config import StudyConfig
from hccfeat.extraction.executors import run_tasks
from hccfeat.extraction.guard import Task
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import Failure, Outcome
from hccfeat.store.catalog import Catalog
from hccfeat.store.committer import Committer


@dataclass(frozen=True)
class ExtractOptions:
    """What the command line asks of ``extract``.

    Attributes
    ----------
    devices, nodes : int
        GPUs of a machine, and machines, that share the training of an encoder.
    workers : int
        Processes on this machine; 0 embeds in this one.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers embed instead.
    part : (int, int), optional
        Only the I-th of N parts, published but not committed.
    embed : bool
        False finds, trains or registers the network only.
    timeout_per_image : float, optional
        Seconds.
    also : tuple of str
        Further outputs of a network of MRI exams.
    """

    base: str = "pps"
    cohorts: tuple[str, ...] = ()
    train: bool = False
    weights: Path | None = None
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 0
    scheduler: str | None = None
    part: tuple[int, int] | None = None
    embed: bool = True
    timeout_per_image: float | None = None
    folds: int = 0
    dry_run: bool = False
    also: tuple[str, ...] = ()


@dataclass
class ExtractSummary:
    """What ``extract`` did, per feature set; ``failures`` are images or exams without a shard."""

    modality: str = "slide"
    feature_sets: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    embedded: int = 0
    already_done: int = 0
    excluded: int = 0
    patches: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    todo: int = 0

    @property
    def nothing_done(self) -> bool:
        """Whether everything asked for was there already."""
        return not (self.trained or self.embedded or self.failures or self.todo)

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of one image or exam."""
        if outcome.shard is not None:
            self.embedded += 1
            self.patches += outcome.shard.patches
            self.excluded += outcome.shard.attributes.get("status") == "excluded"
        elif outcome.failure is not None:
            self.failures.append(outcome.failure)
        for share, seconds in outcome.seconds.items():
            self.seconds[share] += seconds


@dataclass(frozen=True)
class Session:
    """One run; ``catalog`` is the open committer's, or the readers' where others write to the study."""

    study: Path
    config: StudyConfig
    options: ExtractOptions
    device: str
    committer: Committer
    catalog: Catalog
    summary: ExtractSummary

    @property
    def worker_device(self) -> str:
        """Device for whoever embeds; a worker elsewhere finds its own."""
        return self.options.device if self.options.scheduler else self.device

    def run(self, embed: Callable[[Task], Outcome], tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Run tasks where the options say; see :func:`hccfeat.extraction.executors.run_tasks`."""
        options = self.options
        return run_tasks(
            embed,
            tasks,
            options.workers,
            scheduler=options.scheduler,
            share_gpus=self.device == "cuda",
            timeout_s=options.timeout_per_image,
        )

    def simulated(self) -> bool:
        """Whether the development cohort is simulated."""
        frame = self.committer.query(
            "SELECT simulated FROM cohort WHERE cohort = ?", [self.config.development_cohort]
        )
        return bool(frame["simulated"].any())


class Work(Protocol):
    """What differs between slides and MRI exams."""

    def trained(self, fold: int | None) -> FeatureSet:
        """Feature set of a network trained on today's data (outside ``fold``), found or trained now."""

    def given(self, weights: Path) -> FeatureSet:
        """Feature set of given weights, found or registered now."""

    def further(self, main: FeatureSet) -> list[FeatureSet]:
        """Further outputs asked for of the network of ``main``, found or registered now."""

    def outcomes(self, feature_set: FeatureSet, image_ids: Sequence[str]) -> Iterator[Outcome]:
        """Embed images or exams, each outcome as it comes."""


def record_failures(
    committer: Committer, feature_set: str, attempted: Collection[str], failures: Mapping[str, Failure]
) -> None:
    """Replace what is known of the images attempted now; what others left stands.

    Parameters
    ----------
    committer : Committer
        Open.
    feature_set : str
        Name with version.
    attempted : collection of str
        Image ids.
    failures : mapping
        By image id, those of them that have no shard.
    """
    before = committer.query(
        "SELECT image_id, kind, message FROM extraction_failure WHERE feature_set = ? ORDER BY image_id",
        [feature_set],
    ).to_dicts()
    kept = [row for row in before if row["image_id"] not in attempted]
    if before == kept and not failures:
        return
    new = [{"image_id": key, "kind": str(one.kind), "message": one.message} for key, one in failures.items()]
    committer.record(
        "runs",
        f"failures-{feature_set}",
        {"extraction_failure": [{"feature_set": feature_set, **row} for row in [*kept, *new]]},
        replaces={"extraction_failure": {"feature_set": feature_set}},
    )
