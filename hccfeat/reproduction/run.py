"""``hccfeat reproduce``: bring the embeddings and encoders up to date, build every item, write the report."""

import time
from dataclasses import dataclass
from pathlib import Path

from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import Recipe, StudyConfig
from hccfeat.errors import InputError
from hccfeat.extraction import feature_sets
from hccfeat.extraction.cells import Cells
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.provenance import versions
from hccfeat.extraction.workflow import ExtractOptions, extract
from hccfeat.reproduction.built import Reproduction, build_all, check_settings, identified, record_run
from hccfeat.reproduction.checklist import PAPER, chosen_items, needed
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.presets import Preset, load_preset
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.training.devices import resolve_device


@dataclass(frozen=True)
class ReproduceRequest:
    """What the command line asks of ``reproduce``."""

    preset: str = "auto"
    only: tuple[str, ...] = ()
    external: str | None = None
    device: str = "auto"


def reproduce(study: Path, config: StudyConfig, request: ReproduceRequest) -> Reproduction:
    """Run the study of paper 1 on a study's store.

    Finished embeddings and encoders are kept and found again, so that a killed run continues.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    request : ReproduceRequest
        Preset (``auto``: ``paper`` on a GPU, else ``reduced``), items, external cohort and device.

    Raises
    ------
    InputError
        If an item, a preset or the external cohort does not exist, or there are no images.
    LeakageError
        If a judge was seen by an encoder.
    """
    started = time.time()
    check_settings(config)
    items = chosen_items(request.only)
    device = resolve_device(request.device).type
    preset = load_preset(preset_name(request.preset, device), study)
    external = _external(study, config, request.external)
    recipe = preset.base_recipe(study, config.recipe)
    feature_set = _embedded(study, config, preset, recipe, external, device)
    with Committer(study) as committer:
        frozen_split(study, committer, config)
    cells = Cells(study, config, preset, device=device, external=external)
    cells.run(needed(cells.specs(), items))
    simulated = bool(query(study, "SELECT coalesce(bool_or(simulated), false) AS s FROM cohort")["s"][0])
    context = Context(study, config, preset, recipe, feature_set, cells, external, simulated)
    run = _new_run(context, request)
    build_all(run, items, context)
    record_run(study, run, started)
    return run


def preset_name(asked: str, device: str) -> str:
    """Name of a preset; ``auto`` is ``paper`` on a GPU, else ``reduced``."""
    if asked != "auto":
        return asked
    return "paper" if device == "cuda" else "reduced"


def _external(study: Path, config: StudyConfig, asked: str | None) -> str | None:
    rows = query(
        study,
        "SELECT DISTINCT cohort FROM image WHERE cohort <> ? AND modality IS DISTINCT FROM 'mri' ORDER BY cohort",
        [config.development_cohort],
    )
    known = rows["cohort"].to_list()
    if asked is None and len(known) > 1:
        listed = ", ".join(known)
        raise InputError("--external", f"is needed: cohorts {listed} have images", "Name the one that judges.")
    if asked is not None and asked not in known:
        listed = ", ".join(known) or "none"
        raise InputError(f"--external {asked}", f"has no images (cohorts with images: {listed})", "Ingest it.")
    return asked or (known[0] if known else None)


def _embedded(
    study: Path, config: StudyConfig, preset: Preset, recipe: Recipe, external: str | None, device: str
) -> FeatureSet:
    """Feature set of the chosen model, trained and embedded as far as it is missing."""
    cohorts = (config.development_cohort, *([external] if external else []))
    extract(study, config, recipe, ExtractOptions(base=preset.features, cohorts=cohorts, device=device))
    found = feature_sets.newest(study, preset.features)
    if found is None:
        raise InputError(f"feature set {preset.features}", "is not there", "Run `hccfeat extract` first.")
    return found


def _new_run(context: Context, request: ReproduceRequest) -> Reproduction:
    settings = {
        "preset": context.preset.model_dump(mode="json"),
        "only": sorted(request.only),
        "external": context.external,
        "feature_set": context.feature_set.name,
        **context.config.model_dump(mode="json", include={"split", "analysis", "development_cohort", "recipe"}),
    }
    run_id, created = identified(context.study, settings)
    return Reproduction(
        run_id=run_id,
        created=created,
        study=context.config.name,
        title=context.config.title or context.config.name,
        simulated=context.simulated,
        paper=PAPER,
        preset=context.preset,
        versions=versions(),
        settings=settings,
        methods=_methods(context),
    )


def _methods(context: Context) -> list[str]:
    preset, recipe = context.preset, context.recipe
    training = recipe.training
    return [
        f"Preset {preset.name} ({preset.title}). The chosen model is {preset.chosen}, feature set "
        f"{context.feature_set.name}: patches of {recipe.patches.size_px} px at {recipe.patches.target_mpp} um/px, "
        f"stain normalisation {recipe.stain.method}, trained on the denoised subset {training.subset} of the "
        "untreated training patients of the frozen split. Held-out and external patients took no part in any "
        "training.",
        f"The subset study has one encoder per model, subset and fold ({preset.folds} folds by patient, "
        f"{100 * preset.test_fraction:.0f} % of the patients held out once); the denoised selection that trains is "
        "made anew inside each fold. Patch- and image-level intervals resample patients.",
        "Tests and codings follow docs/methods-recurrence.md and docs/methods-statistics.md. Printed values are "
        "the paper's; a difference is ours minus the printed value.",
    ]
