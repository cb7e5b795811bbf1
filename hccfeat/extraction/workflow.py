"""``hccfeat extract``: find or train the network, embed what is missing, commit it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hccfeat.config import MriRecipe, StudyConfig
from hccfeat.errors import InputError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.identity import IMAGE_MODALITY, AnyRecipe, FeatureSet
from hccfeat.extraction.mri_work import MriWork, output_base
from hccfeat.extraction.plan import plan, sources
from hccfeat.extraction.session import ExtractOptions, ExtractSummary, Session, Work
from hccfeat.extraction.slide_work import SlideWork
from hccfeat.extraction.volumes import exam_sources
from hccfeat.progress import progress_bar
from hccfeat.store.committer import Committer
from hccfeat.training.devices import resolve_device

__all__ = ["ExtractOptions", "ExtractSummary", "extract"]


def extract(study: Path, config: StudyConfig, recipe: AnyRecipe, options: ExtractOptions) -> ExtractSummary:
    """Bring the feature sets asked for up to date.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    recipe : Recipe or MriRecipe
        Recipe for a network that has yet to be trained, or for given weights; it decides the modality.
    options : ExtractOptions
        What to do.

    Returns
    -------
    ExtractSummary
        Counts, failures and time shares.

    Raises
    ------
    InputError
        If an option is wrong, or a cohort has no images of the modality.
    StudyBusyError
        If another process writes to the study.
    """
    _check_options(recipe, options)
    device = resolve_device(options.device).type
    wanted = _wanted(study, recipe, options)
    existing = feature_sets.newest(study, options.base)
    if existing is not None and existing.modality != IMAGE_MODALITY[recipe.modality]:
        problem = f"is a feature set of modality {existing.modality}"
        raise InputError(f"--features {options.base}", problem, "Choose another name, or another --modality.")
    if options.dry_run:
        return _dry_run(study, recipe, options, wanted)
    summary = ExtractSummary(modality=IMAGE_MODALITY[recipe.modality])
    started = time.time()
    with Committer(study) as committer:
        session = Session(study, config, options, device, committer, summary)
        work: Work = MriWork(session, recipe) if isinstance(recipe, MriRecipe) else SlideWork(session, recipe)
        for feature_set in _feature_sets(session, work, existing):
            _embed_missing(session, work, feature_set, wanted)
        if not summary.nothing_done:
            _record_run(session, started)
    return summary


def _check_options(recipe: AnyRecipe, options: ExtractOptions) -> None:
    if isinstance(recipe, MriRecipe):
        if options.devices > 1:
            problem = "is for slides: a network of MRI exams is trained on one device"
            raise InputError(f"--devices {options.devices}", problem, "Leave --devices out.")
        for output in options.also:
            output_base(options.base, output)
    elif options.also:
        problem = "is for MRI exams: the encoder of slides has one output"
        raise InputError(f"--also {options.also[0]}", problem, "Add --modality mri, or leave --also out.")


def _wanted(study: Path, recipe: AnyRecipe, options: ExtractOptions) -> Mapping[str, int]:
    """Ids of the images or exams asked for, with their size in bytes."""
    cohorts = list(options.cohorts) or None
    is_mri = isinstance(recipe, MriRecipe)
    found = exam_sources(study, cohorts) if is_mri else sources(study, cohorts)
    if found:
        return {source.image_id: source.bytes for source in found}
    entity = ", ".join(options.cohorts) or str(study)
    if is_mri:
        remedy = "Ingest a cohort with --mri or --mri-manifest first."
        raise InputError(entity, "has no readable MRI exams with both phases", remedy)
    raise InputError(entity, "has no readable images", "Ingest a cohort with --slides first.")


def _dry_run(study: Path, recipe: AnyRecipe, options: ExtractOptions, wanted: Mapping[str, int]) -> ExtractSummary:
    summary = ExtractSummary(modality=IMAGE_MODALITY[recipe.modality])
    for base in (options.base, *(output_base(options.base, output) for output in options.also)):
        existing = feature_sets.newest(study, base)
        if existing is None or options.train or options.weights is not None:
            summary.todo += len(wanted)
        else:
            work = plan(study, existing.name, wanted)
            summary.feature_sets.append(existing.name)
            summary.todo += len(work.todo)
            summary.already_done += work.done
    return summary


def _feature_sets(session: Session, work: Work, existing: FeatureSet | None) -> list[FeatureSet]:
    """Find the feature sets asked for, training or registering those that do not exist."""
    options = session.options
    if options.weights is not None:
        found = [work.given(options.weights)]
    elif options.folds:
        found = [work.trained(fold) for fold in range(1, _checked_folds(session) + 1)]
    else:
        found = [existing] if existing is not None and not options.train else [work.trained(None)]
    found = [feature_set for main in found for feature_set in (main, *work.further(main))]
    session.summary.feature_sets = [feature_set.name for feature_set in found]
    return found


def _checked_folds(session: Session) -> int:
    if session.options.folds != session.config.split.folds:
        raise InputError(
            f"--folds {session.options.folds}",
            f"differs from the {session.config.split.folds} folds of the study's frozen split",
            "Use that number, or change [split] folds in hccfeat.toml.",
        )
    return session.options.folds


def _embed_missing(session: Session, work: Work, feature_set: FeatureSet, wanted: Mapping[str, int]) -> None:
    """Embed what the feature set lacks and commit each as it comes."""
    committer, summary = session.committer, session.summary
    if feature_set.fold is not None:
        own = f"{session.config.development_cohort}/"
        wanted = {image_id: size for image_id, size in wanted.items() if image_id.startswith(own)}
    committer.adopt_found(feature_set.name)
    committer.publish()
    missing = plan(session.study, feature_set.name, wanted)
    summary.already_done += missing.done
    failed: dict[str, dict[str, Any]] = {}
    outcomes = work.outcomes(feature_set, missing.todo)  # which may prepare, under a bar of its own
    with progress_bar(f"Embedding {feature_set.name}", len(missing.todo)) as advance:
        for outcome in outcomes:
            if outcome.shard is not None:
                committer.adopt([outcome.shard])
                summary.embedded += 1
                summary.patches += outcome.shard.patches
                summary.excluded += outcome.shard.attributes.get("status") == "excluded"
            elif outcome.failure is not None:
                summary.failures.append(outcome.failure)
                failed[outcome.image_id] = {
                    "image_id": outcome.image_id,
                    "kind": str(outcome.failure.kind),
                    "message": outcome.failure.message,
                }
            for share, seconds in outcome.seconds.items():
                summary.seconds[share] += seconds
            advance(note=outcome.image_id)
    _record_failures(committer, feature_set, set(missing.todo), failed)


def _record_failures(
    committer: Committer, feature_set: FeatureSet, attempted: set[str], failed: Mapping[str, dict[str, Any]]
) -> None:
    """Replace what is known of the images attempted now; what others left stands."""
    before = committer.query(
        "SELECT image_id, kind, message FROM extraction_failure WHERE feature_set = ? ORDER BY image_id",
        [feature_set.name],
    ).to_dicts()
    kept = [row for row in before if row["image_id"] not in attempted]
    if before == kept and not failed:
        return
    rows = [{"feature_set": feature_set.name, **row} for row in [*kept, *failed.values()]]
    committer.record(
        "runs",
        f"failures-{feature_set.name}",
        {"extraction_failure": rows},
        replaces={"extraction_failure": {"feature_set": feature_set.name}},
    )


def _record_run(session: Session, started: float) -> None:
    """Write what this run did as a row of table ``run``."""
    summary = session.summary
    settings: dict[str, Any] = {
        "modality": summary.modality,
        "feature_sets": summary.feature_sets,
        "trained": summary.trained,
        "embedded": summary.embedded,
        "patches": summary.patches,
        "failures": len(summary.failures),
        "device": session.device,
        "workers": session.options.workers,
        "seconds": {name: round(value, 3) for name, value in summary.seconds.items()},
    }
    row = provenance.run_row("extract", started, settings)
    session.committer.record("runs", "extract", {"run": [row]}, about=settings)
