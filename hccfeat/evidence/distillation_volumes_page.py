"""The part of the distillation page that is about rendered exams and CMD-Net."""

from collections.abc import Sequence

import numpy as np

from hccfeat.evidence.distillation_page import CLAIM, COMPARED, MEASURE, TITLES, between, forest, spread
from hccfeat.evidence.distillation_training import ARMS
from hccfeat.evidence.distillation_volumes import (
    arms_of,
    complete_seeds,
    difference,
    level,
    volume_recipe,
)
from hccfeat.evidence.page import EvidenceFigure, EvidenceTable, Section
from hccfeat.evidence.record import Part
from hccfeat.evidence.settings import DistillationVolumes, Truth
from hccfeat.evidence.writing import cell, verdict
from hccfeat.evidence.writing import difference as written
from hccfeat.report.formatting import fixed
from hccfeat.stats.estimate import count

TITLE = "Rendered exams and CMD-Net"
NOT_RUN = "Not run yet: `hccfeat evidence distillation` without `--tabular-only` fills this part."
TEXT = (
    "{seeds}. {training_patients} patients train, {held_out_patients} others are judged. PRE and HBP are "
    "rendered as `hccfeat simulate` does (preset `mri`), prepared as `hccfeat extract` does ({shape} voxels of "
    "{spacing} mm, z y x, centred on the lesion), and CMD-Net is trained as `hccfeat reproduce mvi` trains it, by "
    "recipe `{recipe}` ({changes}: channels {channels}, Z of length {stream_dim}, {epochs} epochs, batches of "
    "{batch_size}, learning rate {learning_rate:g}). Initial weights and batches are the same in every arm of a "
    "seed. In bold where 0 lies outside the 95 % interval of Student's t over seeds; beside it that of "
    "{bootstraps:,} bootstraps of the held-out patients within seed and grade, which leaves out how differently "
    "networks train.",
    "*Detectable* says what this many seeds could have found: they are few, and a difference smaller than that is "
    "likely missed.",
)


def volumes_part(part: Part, study: DistillationVolumes) -> tuple[Section, list[str]]:
    """The section and summary of the seeds that are complete."""
    seeds = complete_seeds(part, study)
    if not seeds:
        return Section(TITLE, [NOT_RUN]), ["Rendered exams and CMD-Net: not run yet."]
    recipe = volume_recipe(study)
    facts = study.model_dump() | recipe.network.model_dump() | recipe.training.model_dump()
    facts["seeds"] = count(len(seeds), "seed")
    facts["shape"], facts["spacing"] = (" x ".join(f"{side:g}" for side in sides) for sides in
                                        (recipe.volumes.shape, recipe.volumes.spacing_mm))  # fmt: skip
    changed = {**study.volumes, **study.training}
    facts["changes"] = "with " + ", ".join(f"{name} = {value}" for name, value in changed.items()) if changed else (
        "unchanged"
    )  # fmt: skip
    text = [TEXT[0].format(**facts), TEXT[1]]
    panels = {
        truth.name: {
            f"{TITLES[first]} minus {TITLES[second]}": difference(part, study, seeds, truth.name, first, second)[0]
            for first, second in _pairs(study.truths[-1])
        }
        for truth in study.truths
    }
    drawn = forest("distillation-volumes", panels, f"difference in {MEASURE}")
    caption = "SIMULATED. Differences between arms of CMD-Net with 95 % intervals over seeds."
    tables = [_differences(part, study, seeds), _levels(part, study, seeds)]
    section = Section(TITLE, text, tables, [EvidenceFigure("volumes", drawn, caption)])
    return section, _summary(part, study, seeds)


def _pairs(truth: Truth) -> list[tuple[str, str]]:
    """Comparisons of the arms that were trained."""
    arms = arms_of(truth)
    return [pair for pair in COMPARED if set(pair) <= set(arms)]


def _differences(part: Part, study: DistillationVolumes, seeds: Sequence[int]) -> EvidenceTable:
    rows = []
    for truth in study.truths:
        for first, second in _pairs(truth):
            found, patients = difference(part, study, seeds, truth.name, first, second)
            arms = f"{TITLES[first]} minus {TITLES[second]}"
            rows.append([truth.name, arms, cell(found, 3), between(patients, 3), *spread(found, 3)])
    columns = ["grade follows", "arms", "difference", "patient bootstrap", "SD between seeds", "detectable"]
    return EvidenceTable(columns, rows, f"Paired differences, {MEASURE}:")


def _levels(part: Part, study: DistillationVolumes, seeds: Sequence[int]) -> EvidenceTable:
    rows = []
    for truth in study.truths:
        for arm in arms_of(truth):
            for judged in ("student", *(["teacher"] if ARMS[arm].teacher else [])):
                found = level(part, seeds, truth.name, arm, judged)
                title = TITLES[arm] if judged == "student" else f"{TITLES[arm]}: its own score"
                rows.append([truth.name, title, fixed(float(np.mean(found))), ", ".join(map(fixed, found))])
    return EvidenceTable(["grade follows", "arm", "mean", "by seed"], rows, "AUC of each student and teacher:")


def _summary(part: Part, study: DistillationVolumes, seeds: Sequence[int]) -> list[str]:
    lines = []
    for truth in study.truths:
        for pair in (CLAIM, ("real", "none"), ("none", "hbp"), ("none", "pre")):
            if pair in _pairs(truth):
                found = difference(part, study, seeds, truth.name, *pair)[0]
                arms = f"{TITLES[pair[0]]} minus {TITLES[pair[1]]}"
                lines.append(
                    f"Rendered exams and CMD-Net, {count(found.n, 'seed')}, {truth.name}, {arms}: "
                    f"{written(found, 3)}, {verdict(found)}."
                )
        own, taught, alone = (
            float(np.mean(level(part, seeds, truth.name, arm, judged)))
            for arm, judged in (("real", "teacher"), ("real", "student"), ("none", "student"))
        )
        lines.append(
            f"CMD-Net's teacher's own AUC with the items, {truth.name}: {own:.3f}; its student {taught:.3f}, the "
            f"student without a teacher {alone:.3f}."
        )
    return lines
