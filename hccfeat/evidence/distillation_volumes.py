"""Distillation through rendered exams and CMD-Net: the same arms, fewer replicates."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import PHASES, MriRecipe, load_mri_recipe
from hccfeat.evidence.distillation_data import Patients, draw_patients, truth_parameters
from hccfeat.evidence.paired import Paired, paired
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.running import run_processes, workers
from hccfeat.evidence.settings import DistillationVolumes, Settings, Truth, identity
from hccfeat.extraction.executors import available_cores
from hccfeat.files import sha256_of
from hccfeat.mri.preprocess import Crop, prepare_volume
from hccfeat.mri.volume import Stored, checked
from hccfeat.progress import progress_bar
from hccfeat.simulation.mri.rendering import render_exam
from hccfeat.stats.multiclass import plain_value, weighted_ovo_auc
from hccfeat.stats.paired_folds import stratified_weights
from hccfeat.stats.resampling import percentile_interval

Floats = NDArray[np.float64]

METHOD_OF = {
    "real": "ours",
    "permuted": "permuted-teacher",
    "image": "image-teacher",
    "none": "S-pre-hbp",
    "hbp": "S-hbp",
    "pre": "S-pre",
}
"""Method of each arm; an arm with a teacher also has the teacher's own score."""
CONTROLS = ("real", "permuted", "none")
"""Arms where the grade follows K alone."""
KEYS = ("truth", "seed", "arm")
COLUMNS = (*KEYS, "judged", "auc", "probabilities")
DECIMALS = 4


def run_volumes(record: Record, settings: Settings, seeds: Sequence[int]) -> Part:
    """Render, train and judge what is not kept yet; each arm of a seed is kept when it is finished."""
    study = settings.distillation.volumes
    part = record.part("volumes", _identity(settings, study), COLUMNS, len(KEYS))
    todo = [(truth.name, seed, arm) for seed in seeds for truth in study.truths for arm in arms_of(truth)]
    done = part.done()
    missing = sorted({seed for _, seed, _ in (key for key in todo if key not in done)})
    if not missing:
        return part
    with tempfile.TemporaryDirectory() as folder, workers(min(available_cores(), len(todo))) as pool:
        render = partial(render_seed, study, Path(folder))
        with progress_bar("Distillation, rendering", len(missing)) as advance:
            for _ in pool.map(render, missing):
                advance()
        work = partial(train_and_judge, study, Path(folder))
        return run_processes(record, part, "Distillation, volumes", todo, work, pool)


def arms_of(truth: Truth) -> tuple[str, ...]:
    """Arms that are trained where the grade follows this."""
    return CONTROLS if truth.to_k else tuple(METHOD_OF)


def volume_recipe(study: DistillationVolumes, seed: int = 0) -> MriRecipe:
    """The recipe of the study: a shipped one with what the study changes."""
    fields = load_mri_recipe(study.recipe).model_dump(mode="json")
    fields["name"] = f"evidence-{study.recipe}"
    fields["volumes"] |= study.volumes
    fields["training"] |= study.training | {"seed": seed}
    return MriRecipe.model_validate(fields)


def _identity(settings: Settings, study: DistillationVolumes) -> dict[str, Any]:
    facts = study.model_dump(mode="json", exclude={"seeds", "bootstraps", "truths"})
    facts["effective_recipe"] = volume_recipe(study).model_dump(mode="json", exclude={"prognostic"})
    generators = {truth.name: truth_parameters(truth).model_dump(mode="json") for truth in study.truths}
    return identity(settings, **facts, mri_generator_sha256=sha256_of(generators))


def patients_of(study: DistillationVolumes, truth: str, seed: int) -> Patients:
    """Patients of a seed with the grades of a truth; those who train come first."""
    found = next(one for one in study.truths if one.name == truth)
    return draw_patients(truth_parameters(found), study.training_patients + study.held_out_patients, seed)


def render_seed(study: DistillationVolumes, folder: Path, seed: int) -> Path:
    """Render and prepare every exam of a seed, which are the same for every truth.

    Returns
    -------
    Path
        ``.npy`` file of float32 (patients, phases, D, H, W).
    """
    parameters, recipe = truth_parameters(Truth(name="as simulated")), volume_recipe(study).volumes
    people = patients_of(study, study.truths[0].name, seed)
    prepared = np.empty((len(people), len(PHASES), *recipe.shape), np.float32)
    for row in range(len(people)):
        exam = render_exam(parameters, people.latents, row, seed)
        for place, phase in enumerate(PHASES):
            shown, entity = exam.phase(phase), f"simulated exam {row}"
            volume = checked(Stored(shown.data, shown.affine, "simulated"), entity)
            crop = Crop(lesion_mask=shown.lesion_mask)
            prepared[row, place] = prepare_volume(volume, crop, recipe, entity).array
    np.save(folder / f"{seed}.npy", prepared)
    return folder / f"{seed}.npy"


def train_and_judge(study: DistillationVolumes, folder: Path, truth: str, seed: int, arm: str) -> list[Row]:
    """Train an arm, with its teacher if it has one, on the rendered exams of a seed.

    Returns
    -------
    list of list
        Judged (``student`` or ``teacher``), AUC and probabilities of M1 and M2 of the held-out patients.
    """
    from hccfeat.training.mri_data import Exam
    from hccfeat.training.mri_fit import train_family
    from hccfeat.training.mri_methods import OURS, TEACHER, method
    from hccfeat.training.mri_predict import load_mri, predict_mri

    people = patients_of(study, truth, seed)
    volumes = np.load(folder / f"{seed}.npy", mmap_mode="r", allow_pickle=False)
    exams = [
        Exam(f"mri/{row:04d}-mri", f"mri/{row:04d}", int(grade), tuple(np.asarray(volumes[row])), people.items[row])
        for row, grade in enumerate(people.latents.grade)
    ]
    methods = [method(METHOD_OF[arm]), *([method(TEACHER)] if METHOD_OF[arm] == OURS else [])]
    held_out = exams[study.training_patients :]
    labels = people.latents.grade[study.training_patients :]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as work:
        trained = train_family(
            exams[: study.training_patients], methods, volume_recipe(study, seed), work=Path(work), device="cpu",
            threads=1, progress=False,
        )  # fmt: skip
        for name, found in trained.items():
            told = predict_mri(load_mri(found.weights), held_out).probabilities[:, 1:].round(DECIMALS)
            area = plain_value(_area(labels, told), len(labels))
            rows.append(
                [
                    "teacher" if name == TEACHER else "student",
                    None if area is None else round(area, DECIMALS),
                    told.tolist(),
                ]
            )
    return sorted(rows)


def _area(labels: NDArray[np.int64], told: Floats) -> Any:
    """Macro one-versus-one AUC of probabilities of all grades but the first, as a function of patient weights."""
    return weighted_ovo_auc(labels, np.column_stack([1 - told.sum(axis=1), told]))


def complete_seeds(part: Part, study: DistillationVolumes) -> list[int]:
    """Seeds for which every arm of every truth is there."""
    wanted = {(truth.name, arm) for truth in study.truths for arm in arms_of(truth)}
    done = part.done()
    return [seed for seed in study.seeds if all((truth, seed, arm) in done for truth, arm in wanted)]


def level(part: Part, seeds: Sequence[int], truth: str, arm: str, judged: str = "student") -> list[float]:
    """AUC of an arm, or of its teacher, by seed."""
    rows = [part.select(truth=truth, seed=seed, arm=arm, judged=judged)[0] for seed in seeds]
    return [row["auc"] for row in rows]


def difference(
    part: Part, study: DistillationVolumes, seeds: Sequence[int], truth: str, first: str, second: str
) -> tuple[Paired, tuple[float | None, float | None]]:
    """First arm minus second over seeds, and the interval of a bootstrap of the held-out patients of each seed."""
    one, other = (np.array(level(part, seeds, truth, arm)) for arm in (first, second))
    resampled = [
        _resampled(part, study, truth, seed, first) - _resampled(part, study, truth, seed, second) for seed in seeds
    ]
    lower, upper, _ = percentile_interval(np.mean(resampled, axis=0))
    return paired(one - other), (lower, upper)


def _resampled(part: Part, study: DistillationVolumes, truth: str, seed: int, arm: str) -> Floats:
    """AUC of a kept student over resamples of the patients of each grade, the same ones for every arm."""
    labels = patients_of(study, truth, seed).latents.grade[study.training_patients :]
    row = part.select(truth=truth, seed=seed, arm=arm, judged="student")[0]
    weights = stratified_weights(labels, study.bootstraps, seed)
    return np.asarray(_area(labels, np.array(row["probabilities"]))(weights))
