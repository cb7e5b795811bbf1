"""What one run of ``extract`` is asked for, works with and has done."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hccfeat.config import StudyConfig
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import Failure, Outcome
from hccfeat.store.committer import Committer


@dataclass(frozen=True)
class ExtractOptions:
    """What the command line asks of ``extract``; ``also`` names further outputs of a network of MRI exams."""

    base: str = "pps"
    cohorts: tuple[str, ...] = ()
    train: bool = False
    weights: Path | None = None
    device: str = "auto"
    devices: int = 1
    workers: int = 0
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
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    todo: int = 0

    @property
    def nothing_done(self) -> bool:
        """Whether everything asked for was there already."""
        return not (self.trained or self.embedded or self.failures or self.todo)


@dataclass(frozen=True)
class Session:
    """One run with the study open for writing."""

    study: Path
    config: StudyConfig
    options: ExtractOptions
    device: str
    committer: Committer
    summary: ExtractSummary

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
