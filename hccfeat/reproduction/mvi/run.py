"""``hccfeat reproduce mvi``: cross-validate every method, build every item, write the report."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.cohort.items import load_items
from hccfeat.config import StudyConfig, load_mri_recipe
from hccfeat.errors import AnalysisError, HccfeatError, InputError
from hccfeat.extraction.provenance import versions
from hccfeat.extraction.volumes import ExamSource, exam_sources, exams_with_labels
from hccfeat.reproduction.built import Reproduction, build_all, check_settings, identified, record_run
from hccfeat.reproduction.mvi.cells import Cohort, plan_cells
from hccfeat.reproduction.mvi.checklist import PAPER, WITHOUT_TRAINING, chosen_items
from hccfeat.reproduction.mvi.context import MviContext
from hccfeat.reproduction.mvi.folds import stratified_folds
from hccfeat.reproduction.mvi.presets import MviPreset, load_mvi_preset
from hccfeat.reproduction.run import preset_name
from hccfeat.store.catalog import query
from hccfeat.training.devices import resolve_device
from hccfeat.training.mri_data import Exam

CELLS = Path("results") / "mvi-cells"


@dataclass(frozen=True)
class MviRequest:
    """What the command line asks of ``reproduce mvi``; ``workers`` as in ``run_cells``."""

    preset: str = "auto"
    only: tuple[str, ...] = ()
    cohort: str | None = None
    device: str = "auto"
    workers: int | None = None


def reproduce_mvi(study: Path, config: StudyConfig, request: MviRequest) -> Reproduction:
    """Run the study of paper 2 on a study's MRI exams.

    Finished cells (a fold of a family of methods) are kept and found again, so that a killed run continues.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    request : MviRequest
        Preset (``auto``: ``paper`` on a GPU, else ``reduced``), items, cohort and device.

    Raises
    ------
    InputError
        If an item, a preset or the cohort does not exist, or there are no exams.
    AnalysisError
        If no patient has a grade, or a grade has fewer patients than there are folds.
    LeakageError
        If a judged patient trained.
    """
    started = time.time()
    check_settings(config)
    items = chosen_items(request.only)
    device = resolve_device(request.device)
    preset = load_mvi_preset(preset_name(request.preset, device.type), study)
    context = _context(study, config, preset, request, str(device))
    run = _new_run(context, config, request, device.type)
    if any(item.number not in WITHOUT_TRAINING for item in items):
        _ = context.cells  # so that what training says is an error of the run, not of every item
    build_all(run, items, context)
    record_run(study, run, started)
    return run


def _context(study: Path, config: StudyConfig, preset: MviPreset, request: MviRequest, device: str) -> MviContext:
    recipe = load_mri_recipe(preset.recipe, study)
    items = load_items(recipe.items, study)
    name = _cohort(study, config, request.cohort)
    failures: list[str] = []

    def lost(source: ExamSource, error: HccfeatError) -> None:
        del source
        failures.append(str(getattr(error, "kind", type(error).__name__)))

    sources = exam_sources(study, [name])
    exams = exams_with_labels(study, sources, recipe, items, lost)
    graded = [exam for exam in exams if exam.label is not None]
    if not graded:
        raise AnalysisError(
            f"cohort {name}",
            f"has {len(exams)} exams, none of a patient with a recorded mvi_grade",
            "Ingest a clinical table with a column mvi_grade (M0, M1, M2).",
        )
    cohort = _folded(name, graded, preset)
    used = {exam.exam_id for exam in graded}
    rows = query(study, "SELECT coalesce(simulated, false) AS simulated FROM cohort WHERE cohort = ?", [name])
    return MviContext(
        study=study,
        preset=preset,
        recipe=recipe,
        items=items,
        cohort=cohort,
        sources=[source for source in sources if source.exam_id in used],
        without_grade=len(exams) - len(graded),
        failures=failures,
        tasks=plan_cells(cohort, preset.networks, recipe, device, study / CELLS),
        simulated=bool(rows["simulated"][0]),
        workers=request.workers,
    )


def _folded(name: str, graded: list[Exam], preset: MviPreset) -> Cohort:
    labels = np.array([exam.label for exam in graded], dtype=np.int64)
    folds = stratified_folds([exam.patient_id for exam in graded], labels, preset.folds, preset.seed)
    return Cohort(name, tuple(graded), labels, folds)


def _cohort(study: Path, config: StudyConfig, asked: str | None) -> str:
    known = sorted({source.cohort for source in exam_sources(study)})
    if not known:
        remedy = "Ingest some: `hccfeat ingest --cohort NAME --clinical TABLE --mri FOLDER`."
        raise InputError("the study", "has no MRI exam that can be read", remedy)
    if asked is not None and asked not in known:
        raise InputError(
            f"--cohort {asked}", f"has no MRI exams (cohorts with exams: {', '.join(known)})", "Ingest them."
        )
    if asked is not None:
        return asked
    if config.development_cohort in known:
        return config.development_cohort
    if len(known) > 1:
        raise InputError("--cohort", f"is needed: cohorts {', '.join(known)} have MRI exams", "Name one.")
    return known[0]


def _new_run(context: MviContext, config: StudyConfig, request: MviRequest, device: str) -> Reproduction:
    settings: dict[str, Any] = {
        "paper": "mvi",
        "preset": context.preset.model_dump(mode="json"),
        "recipe": context.recipe.model_dump(mode="json"),
        "item_set": list(context.items.items),
        "cohort": context.cohort.name,
        "only": sorted(request.only),
        "device": device,
    }
    run_id, created = identified(context.study, settings)
    return Reproduction(
        run_id=run_id,
        created=created,
        study=config.name,
        title=config.title or config.name,
        simulated=context.simulated,
        paper=replace(PAPER, reduced=f"{context.preset.statement} {PAPER.reduced}".strip()),
        preset=context.preset,
        versions=versions(),
        settings=settings,
        methods=_methods(context),
    )


def _methods(context: MviContext) -> list[str]:
    preset, volumes, training = context.preset, context.recipe.volumes, context.recipe.training
    sizes = np.unique(context.cohort.folds, return_counts=True)[1]
    shape, spacing = (" x ".join(f"{side:g}" for side in sides) for sides in (volumes.shape, volumes.spacing_mm))
    return [
        f"Preset {preset.name} ({preset.title}), recipe {context.recipe.name}: volumes of {shape} voxels of "
        f"{spacing} mm (z, y, x), z-scores in the body, cropped round the first given of "
        f"{', '.join(volumes.centre)}. {preset.statement}".strip(),
        f"{len(context.cohort.exams)} patients of cohort {context.cohort.name} in {preset.folds} folds of "
        f"{sizes.min()} to {sizes.max()}, stratified by grade, seed {preset.seed}. Every method is trained "
        f"{preset.folds} times, for {training.epochs} epochs, and judges the fold that it has not seen; no epoch, "
        "threshold or setting is chosen on a judged fold. The teacher is given the clinical items of the patients "
        "whom it judges; students and comparators are not. Imputation and scaling are learnt in the training "
        "folds.",
        "Macro F1, accuracy and the macro one-versus-one AUC (Hand and Till) are computed per fold and averaged; "
        "SD and variance have divisor folds - 1. Intervals and bootstrap P come from "
        f"{preset.bootstraps} resamples of patients within fold and grade, the same for every method. Printed "
        "values are the paper's; a difference is ours minus the printed value.",
    ]
