"""Training CMD-Net for a feature set of MRI exams, inside the patients it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hccfeat.cohort.items import load_items
from hccfeat.config import GRADES, MriRecipe
from hccfeat.errors import AnalysisError, HccfeatError, LeakageError
from hccfeat.extraction.identity import mri_training_sha256
from hccfeat.extraction.volumes import ExamSource, clinical_items, exams_with_labels
from hccfeat.training.mri_fit import TrainedMri, train_family
from hccfeat.training.mri_methods import METHODS, OURS, TEACHER

MIN_EXAMS_PER_GRADE = 2
"""Fewer exams of a grade cannot train a classifier of it."""


@dataclass(frozen=True)
class MriTrainingPlan:
    """Which exams train CMD-Net; ``sha256`` says whether a training was the same."""

    sources: list[ExamSource]
    grades: dict[str, int]
    sha256: str


def plan_mri_training(
    study: Path,
    candidates: pl.DataFrame,
    sources: list[ExamSource],
    recipe: MriRecipe,
    device: str,
    forbidden: set[str],
) -> MriTrainingPlan:
    """Choose the exams that train CMD-Net.

    Parameters
    ----------
    study : Path
        Study folder: its clinical items count for the identity.
    candidates : polars.DataFrame
        Training patients: ``patient_id``, ``grade``.
    sources : list of ExamSource
        Exams of the study.
    recipe : MriRecipe
        Everything that identifies the training.
    device : str
        Torch device; its kind enters the identity.
    forbidden : set of str
        Held-out patients.

    Raises
    ------
    LeakageError
        If a candidate is held out.
    AnalysisError
        If a grade has fewer than two exams.
    """
    leaked = forbidden & set(candidates["patient_id"])
    if leaked:
        raise LeakageError(
            "MRI training", f"{len(leaked)} held-out patients are among its candidates", "Renew the split."
        )
    grade_of = dict(candidates.select("patient_id", "grade").rows())
    chosen = sorted((s for s in sources if s.patient_id in grade_of), key=lambda s: s.exam_id)
    grades = {source.exam_id: GRADES.index(grade_of[source.patient_id]) for source in chosen}
    for index, grade in enumerate(GRADES):
        count = sum(1 for value in grades.values() if value == index)
        if count < MIN_EXAMS_PER_GRADE:
            raise AnalysisError(
                f"MVI grade {grade}",
                f"has {count} training patients with an exam of both phases; {MIN_EXAMS_PER_GRADE} are needed",
                "Add patients, use fewer folds, or give a trained network with --weights.",
            )
    items = clinical_items(study, [source.patient_id for source in chosen], load_items(recipe.items, study))
    facts = [
        {
            "exam": source.exam_id,
            "content": source.quick_sha256,
            "grade": grades[source.exam_id],
            "items": [None if value != value else value for value in row],  # NaN is missing
        }
        for source, row in zip(chosen, items.tolist(), strict=True)
    ]
    return MriTrainingPlan(chosen, grades, mri_training_sha256(recipe, facts, device.split(":")[0]))


def train_cmd_net(
    study: Path,
    plan: MriTrainingPlan,
    recipe: MriRecipe,
    *,
    device: str,
    workers: int = 0,
    on_failure: Callable[[ExamSource, HccfeatError], None],
) -> tuple[TrainedMri, TrainedMri]:
    """Prepare the volumes and train student and teacher; continues where a killed training stopped.

    Parameters
    ----------
    study : Path
        Study folder; checkpoints lie in ``.hccfeat/training/<identity>/``.
    plan : MriTrainingPlan
        From :func:`plan_mri_training`.
    recipe : MriRecipe
        How.
    device : str
        ``cpu`` or ``cuda``.
    workers : int
        Processes that prepare volumes; 0 works in this one.
    on_failure : callable
        Told of an exam that cannot be read; the others go on.

    Returns
    -------
    (TrainedMri, TrainedMri)
        Student and teacher.
    """
    items = load_items(recipe.items, study)
    exams = exams_with_labels(study, plan.sources, recipe, items, on_failure, workers=workers)
    work = study / ".hccfeat" / "training" / plan.sha256[:16]
    family = train_family(exams, [METHODS[OURS], METHODS[TEACHER]], recipe, work=work, device=device)
    return family[OURS], family[TEACHER]
