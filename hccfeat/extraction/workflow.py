"""``hccfeat extract``: find or train the encoder, embed what is missing, commit it."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import Recipe, StudyConfig
from hccfeat.errors import HccfeatError, InputError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.candidates import training_candidates
from hccfeat.extraction.encoder import plan_training, train
from hccfeat.extraction.executors import run_tasks
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.plan import plan, sources
from hccfeat.extraction.tasks import EmbedTask, Failure, Source
from hccfeat.progress import progress_bar
from hccfeat.store.committer import Committer
from hccfeat.training.devices import resolve_device


@dataclass(frozen=True)
class ExtractOptions:
    """What the command line asks of ``extract``."""

    base: str = "pps"
    cohorts: tuple[str, ...] = ()
    train: bool = False
    weights: Path | None = None
    device: str = "auto"
    devices: int = 1
    workers: int = 0
    folds: int = 0
    dry_run: bool = False


@dataclass
class ExtractSummary:
    """What ``extract`` did, per feature set; ``failures`` are images without a shard."""

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


def extract(study: Path, config: StudyConfig, recipe: Recipe, options: ExtractOptions) -> ExtractSummary:
    """Bring the feature sets asked for up to date.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    recipe : Recipe
        Recipe for an encoder that has yet to be trained, or for given weights.
    options : ExtractOptions
        What to do.

    Returns
    -------
    ExtractSummary
        Counts, failures and time shares.

    Raises
    ------
    InputError
        If an option is wrong, or a cohort has no images.
    StudyBusyError
        If another process writes to the study.
    """
    device = resolve_device(options.device).type
    wanted = sources(study, list(options.cohorts) or None)
    if not wanted:
        entity = ", ".join(options.cohorts) or str(study)
        raise InputError(entity, "has no readable images", "Ingest a cohort with --slides first.")
    if options.dry_run:
        return _dry_run(study, options, wanted)
    summary = ExtractSummary()
    started = time.time()
    with Committer(study) as committer:
        session = _Session(study, config, recipe, options, device, committer, summary)
        for feature_set in session.feature_sets():
            session.embed_missing(feature_set, wanted)
        if not summary.nothing_done:
            session.record_run(started)
    return summary


def _dry_run(study: Path, options: ExtractOptions, wanted: list[Source]) -> ExtractSummary:
    summary = ExtractSummary()
    existing = feature_sets.newest(study, options.base)
    if existing is None or options.train or options.weights is not None:
        summary.todo = len(wanted)
        return summary
    work = plan(study, existing.name, wanted)
    summary.feature_sets = [existing.name]
    summary.todo, summary.already_done = len(work.todo), work.done
    return summary


@dataclass
class _Session:
    study: Path
    config: StudyConfig
    recipe: Recipe
    options: ExtractOptions
    device: str
    committer: Committer
    summary: ExtractSummary

    def feature_sets(self) -> list[FeatureSet]:
        """Find the feature sets asked for, training or registering those that do not exist."""
        options = self.options
        if options.weights is not None:
            found = [
                provenance.register_given_weights(
                    self.study, self.committer, options.base, self.recipe, options.weights
                )
            ]
        elif options.folds:
            found = [self._trained(fold) for fold in range(1, self._checked_folds() + 1)]
        else:
            existing = feature_sets.newest(self.study, options.base)
            found = [existing] if existing is not None and not options.train else [self._trained(None)]
        self.summary.feature_sets = [feature_set.name for feature_set in found]
        return found

    def _checked_folds(self) -> int:
        if self.options.folds != self.config.split.folds:
            raise InputError(
                f"--folds {self.options.folds}",
                f"differs from the {self.config.split.folds} folds of the study's frozen split",
                "Use that number, or change [split] folds in hccfeat.toml.",
            )
        return self.options.folds

    def _trained(self, fold: int | None) -> FeatureSet:
        all_sources = sources(self.study, [self.config.development_cohort])
        frozen_split(self.study, self.committer, self.config)
        candidates, forbidden = training_candidates(self.study, self.config, self.committer.query, fold)
        work = plan_training(candidates, all_sources, self.recipe, self.device, forbidden)
        known = feature_sets.by_training(self.study, self.options.base, work.sha256, fold)
        if known is not None:
            return known
        started = time.perf_counter()
        trained = train(
            self.study,
            work,
            self.recipe,
            device=self.device,
            devices=self.options.devices,
            on_failure=self._training_failure,
        )
        self.summary.seconds["train"] += time.perf_counter() - started
        feature_set = provenance.register_trained(
            self.study,
            self.committer,
            self.options.base,
            self.recipe,
            work,
            trained,
            fold,
            simulated=self._simulated(),
        )
        self.summary.trained.append(feature_set.name)
        return feature_set

    def _training_failure(self, source: Source, error: HccfeatError) -> None:
        # The same image fails again, with its reason, when it comes to be embedded.
        del source, error

    def _simulated(self) -> bool:
        frame = self.committer.query(
            "SELECT simulated FROM cohort WHERE cohort = ?", [self.config.development_cohort]
        )
        return bool(frame["simulated"].any())

    def embed_missing(self, feature_set: FeatureSet, wanted: list[Source]) -> None:
        """Embed the images that the feature set lacks and commit each as it comes."""
        if feature_set.fold is not None:
            development = self.config.development_cohort
            wanted = [source for source in wanted if source.image_id.startswith(f"{development}/")]
        self.committer.adopt_found(feature_set.name)
        self.committer.publish()
        work = plan(self.study, feature_set.name, wanted)
        self.summary.already_done += work.done
        with progress_bar(f"Embedding {feature_set.name}", len(work.todo)) as advance:
            for outcome in run_tasks(self._tasks(feature_set, work.todo), self.options.workers):
                if outcome.shard is not None:
                    self.committer.adopt([outcome.shard])
                    self.summary.embedded += 1
                    self.summary.patches += outcome.shard.patches
                    self.summary.excluded += outcome.shard.attributes.get("status") == "excluded"
                elif outcome.failure is not None:
                    self.summary.failures.append(outcome.failure)
                for share, seconds in outcome.seconds.items():
                    self.summary.seconds[share] += seconds
                advance(note=outcome.image_id)
        self._record_failures(feature_set, {source.image_id for source in work.todo})

    def _tasks(self, feature_set: FeatureSet, todo: Sequence[Source]) -> list[EmbedTask]:
        weights = self.study / "models" / feature_set.name / "weights.safetensors"
        return [
            EmbedTask(
                self.study, source, feature_set.name, feature_set.sha256, weights,
                feature_set.weights_sha256, feature_set.recipe, self.device,
            )
            for source in todo
        ]  # fmt: skip

    def _record_failures(self, feature_set: FeatureSet, attempted: set[str]) -> None:
        """Replace what is known of the images attempted now; what others left stands."""
        before = self.committer.query(
            "SELECT image_id, kind, message FROM extraction_failure WHERE feature_set = ? ORDER BY image_id",
            [feature_set.name],
        ).to_dicts()
        kept = [row for row in before if row["image_id"] not in attempted]
        now = [
            {"image_id": failure.image_id, "kind": str(failure.kind), "message": failure.message}
            for failure in self.summary.failures
            if failure.image_id in attempted
        ]
        if before == kept and not now:
            return
        self.committer.record(
            "runs",
            f"failures-{feature_set.name}",
            {"extraction_failure": [{"feature_set": feature_set.name, **row} for row in kept + now]},
            replaces={"extraction_failure": {"feature_set": feature_set.name}},
        )

    def record_run(self, started: float) -> None:
        """Write what this run did as a row of table ``run``."""
        summary = self.summary
        settings: dict[str, Any] = {
            "feature_sets": summary.feature_sets,
            "trained": summary.trained,
            "embedded": summary.embedded,
            "patches": summary.patches,
            "failures": len(summary.failures),
            "device": self.device,
            "workers": self.options.workers,
            "seconds": {name: round(value, 3) for name, value in summary.seconds.items()},
        }
        row = provenance.run_row("extract", started, settings)
        self.committer.record("runs", "extract", {"run": [row]}, about=settings)
