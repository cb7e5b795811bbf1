"""``hccfeat extract``: find or train the network, embed what is missing, commit it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hccfeat.config import ImportedRecipe, MriRecipe, StudyConfig
from hccfeat.errors import InputError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.embedding import embed_all
from hccfeat.extraction.identity import IMAGE_MODALITY, AnyRecipe, FeatureSet
from hccfeat.extraction.mri_work import MriWork, output_base
from hccfeat.extraction.outcomes import Failure
from hccfeat.extraction.part import embed_part, parts_of_sets, share
from hccfeat.extraction.plan import plan, sources
from hccfeat.extraction.session import ExtractOptions, ExtractSummary, Session, Work, record_failures
from hccfeat.extraction.slide_work import SlideWork
from hccfeat.extraction.volumes import exam_sources
from hccfeat.store.catalog import Catalog
from hccfeat.store.committer import Committer
from hccfeat.store.names import check_feature_set_name
from hccfeat.training.devices import node_rank, resolve_device

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
    if options.dry_run:
        return _dry_run(study, recipe, options)
    summary = ExtractSummary(modality=IMAGE_MODALITY[recipe.modality])
    started = time.time()
    committer = Committer(study)
    helps = bool(node_rank(options.nodes))
    commits = not helps and options.part is None  # else the committer stays closed: no lock is taken
    catalog: Catalog = committer.query if commits else study
    device = resolve_device(options.device).type
    session = Session(study, config, options, device, committer, catalog, summary)
    if helps:
        _help_train(session, recipe)
        return summary
    if options.part is not None:
        _embed_part(session, recipe)
        return summary
    with committer:  # before anything is asked: it brings what a killed run left into the catalog
        wanted = _wanted(study, catalog, recipe, options)
        existing = _existing(catalog, recipe, options)
        work = _work(session, recipe)
        for feature_set in _feature_sets(session, work, existing):
            if options.embed:
                _embed_missing(session, work, feature_set, wanted)
        if not summary.nothing_done:
            _record_run(session, started)
    return summary


def _help_train(session: Session, recipe: AnyRecipe) -> None:
    """Share the trainings of the first machine, which alone writes to the catalog and embeds."""
    options = session.options
    existing = _existing(session.catalog, recipe, options)
    if isinstance(recipe, MriRecipe) or options.weights is not None:
        return
    work = SlideWork(session, recipe)
    if options.folds:
        for fold in range(1, _checked_folds(session) + 1):
            work.help_train(fold)
    elif options.train or existing is None:
        work.help_train(None)


def _embed_part(session: Session, recipe: AnyRecipe) -> None:
    options = session.options
    wanted = _wanted(session.study, session.catalog, recipe, options)
    _existing(session.catalog, recipe, options)
    bases = [options.base, *(output_base(options.base, output) for output in options.also)]
    found = parts_of_sets(session.study, bases)
    session.summary.feature_sets = [feature_set.name for feature_set in found]
    work = _work(session, recipe)
    for feature_set in found:
        embed_part(session, work, feature_set, wanted)


def _existing(catalog: Catalog, recipe: AnyRecipe, options: ExtractOptions) -> FeatureSet | None:
    existing = feature_sets.newest(catalog, options.base)
    if existing is not None and isinstance(existing.recipe, ImportedRecipe):
        problem = f"is the name of {existing.name}, which was imported"
        raise InputError(f"--features {options.base}", problem, "Choose another name.")
    if existing is not None and existing.modality != IMAGE_MODALITY[recipe.modality]:
        problem = f"is a feature set of modality {existing.modality}"
        raise InputError(f"--features {options.base}", problem, "Choose another name, or another --modality.")
    return existing


def _work(session: Session, recipe: AnyRecipe) -> Work:
    return MriWork(session, recipe) if isinstance(recipe, MriRecipe) else SlideWork(session, recipe)


def _check_options(recipe: AnyRecipe, options: ExtractOptions) -> None:
    check_feature_set_name(f"{options.base}-1")
    if options.scheduler is not None and options.workers:
        problem = "is for this machine, and --scheduler for others"
        raise InputError(f"--workers {options.workers}", problem, "Give one of the two.")
    if options.part is not None and (options.train or options.weights or options.folds or not options.embed):
        problem = "only fills a feature set that exists"
        remedy = "Leave --train, --weights, --folds and --no-embed out."
        raise InputError(f"--part {options.part[0]}/{options.part[1]}", problem, remedy)
    if isinstance(recipe, MriRecipe):
        if max(options.devices, options.nodes) > 1:
            problem = "is for slides: a network of MRI exams is trained on one device"
            raise InputError(f"--devices {options.devices} --nodes {options.nodes}", problem, "Leave them out.")
        for output in options.also:
            output_base(options.base, output)
    elif options.also:
        problem = "is for MRI exams: the encoder of slides has one output"
        raise InputError(f"--also {options.also[0]}", problem, "Add --modality mri, or leave --also out.")


def _wanted(study: Path, catalog: Catalog, recipe: AnyRecipe, options: ExtractOptions) -> Mapping[str, int]:
    """Ids of the images or exams asked for, with their size in bytes."""
    cohorts = list(options.cohorts) or None
    is_mri = isinstance(recipe, MriRecipe)
    found = exam_sources(catalog, cohorts) if is_mri else sources(catalog, cohorts)
    if found:
        sizes = {source.image_id: source.bytes for source in found}
        return sizes if options.part is None else share(sizes, options.part)
    entity = ", ".join(options.cohorts) or str(study)
    if is_mri:
        remedy = "Ingest a cohort with --mri or --mri-manifest first."
        raise InputError(entity, "has no readable MRI exams with both phases", remedy)
    raise InputError(entity, "has no readable images", "Ingest a cohort with --slides first.")


def _dry_run(study: Path, recipe: AnyRecipe, options: ExtractOptions) -> ExtractSummary:
    wanted = _wanted(study, study, recipe, options)
    _existing(study, recipe, options)
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
    missing = plan(session.study, feature_set.name, wanted, committer.done_images(feature_set.name))
    summary.already_done += missing.done
    failed: dict[str, Failure] = {}
    for outcome in embed_all(session, work, feature_set, missing.todo):
        if outcome.shard is not None:
            committer.adopt([outcome.shard])
        elif outcome.failure is not None:
            failed[outcome.image_id] = outcome.failure
    record_failures(committer, feature_set.name, set(missing.todo), failed)


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
        "scheduler": session.options.scheduler is not None,
        "seconds": {name: round(value, 3) for name, value in summary.seconds.items()},
    }
    row = provenance.run_row("extract", started, settings)
    session.committer.record("runs", "extract", {"run": [row]}, about=settings)
