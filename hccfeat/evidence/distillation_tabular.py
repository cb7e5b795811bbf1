"""Distillation with the tabular stand-in: replicates, and what they say."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hccfeat.evidence.distillation_data import (
    draw_patients,
    exact_probabilities,
    image_features,
    truth_parameters,
)
from hccfeat.evidence.distillation_training import ARMS, LATER, Cohorts, train_arm
from hccfeat.evidence.paired import Paired, paired
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.running import run_groups
from hccfeat.evidence.settings import DistillationStandIn, Settings, Truth, identity
from hccfeat.files import sha256_of
from hccfeat.models.item_scaler import ItemScaler
from hccfeat.simulation.mri.oracle import population_ceilings
from hccfeat.stats.estimate import finite
from hccfeat.stats.multiclass import plain_value, weighted_ovo_auc
from hccfeat.stats.resampling import bootstrap, percentile_interval
from hccfeat.training.threads import pinned_threads

TEACHERS = {f"teacher:{name}": f"{arm.title}: its own score" for name, arm in ARMS.items() if arm.teacher}
"""Columns with the teachers' own scores."""
SCORES = (*ARMS, *TEACHERS)
SENSITIVE = ("real", "permuted", "none", "teacher:real")
EXPLORATORY = ("none", *LATER)
UNIDENTIFYING = {"replicates", "group", "bootstraps", "truths", "sensitivity"}
KEYS = ("truth", "seed")
DECIMALS = 4
SMALLEST = 1e-6
"""Probability below which the exact ones are not told apart."""


def run_tabular(
    record: Record, settings: Settings, replicates: int, name: str = "tabular", wanted: tuple[str, ...] = SCORES
) -> Part:
    """Arms of every truth on as many seeds as asked for; those of ``LATER`` are a part of their own."""
    study = settings.distillation.tabular
    truths = {truth.name: truth for truth in study.truths}
    facts = study.model_dump(mode="json", exclude=UNIDENTIFYING)
    facts["mri_generator_sha256"] = {name: generator_sha256(truth) for name, truth in truths.items()}
    part = record.part(name, identity(settings, **facts), (*KEYS, *wanted), len(KEYS))

    def work(group: Sequence[tuple[Any, ...]]) -> Sequence[Row]:
        return replicate(study, truths[group[0][0]], _seeds(group), wanted)

    with pinned_threads(1):
        return run_groups(record, part, f"Distillation, {name}", _groups(truths, replicates, study.group), work)


def run_sensitivity(record: Record, settings: Settings, replicates: int) -> Part:
    """The first truth with the stand-in changed in one respect at a time."""
    study = settings.distillation.tabular
    changed = {change.name: study.changed(change) for change in study.sensitivity}
    stand_ins = [one.model_dump(mode="json", exclude=UNIDENTIFYING) for one in changed.values()]
    generator = generator_sha256(study.truths[0])
    facts = identity(settings, stand_ins=stand_ins, names=list(changed), mri_generator_sha256=generator)
    part = record.part("sensitivity", facts, ("changed", "seed", *SENSITIVE), 2)
    groups = _groups(changed, replicates, study.group)

    def work(group: Sequence[tuple[Any, ...]]) -> Sequence[Row]:
        return replicate(changed[group[0][0]], study.truths[0], _seeds(group), SENSITIVE)

    with pinned_threads(1):
        return run_groups(record, part, "Distillation, sensitivity", groups, work)


def _groups(names: Iterable[str], replicates: int, size: int) -> list[list[tuple[Any, ...]]]:
    """Seeds that are trained at once, for each name."""
    seeds, cuts = range(1, replicates + 1), range(0, replicates, size)
    return [[(name, seed) for seed in seeds[cut : cut + size]] for name in names for cut in cuts]


def _seeds(group: Sequence[tuple[Any, ...]]) -> list[int]:
    return [seed for _, seed in group]


def generator_sha256(truth: Truth) -> str:
    """Identity of the simulator's coefficients with the weights of a truth; grids of volumes do not count."""
    return sha256_of(truth_parameters(truth).model_dump(mode="json", exclude={"grids"}))


def replicate(
    study: DistillationStandIn, truth: Truth, seeds: Sequence[int], wanted: Sequence[str] = SCORES
) -> list[Row]:
    """Macro one-versus-one AUC on the held-out patients of some of ``SCORES``: a row per seed."""
    cohorts = draw_cohorts(study, truth, seeds)
    scores: dict[str, list[float]] = {}
    for name, arm in {**ARMS, **LATER}.items():
        if name in wanted:
            student, teacher = train_arm(arm, cohorts, study)
            scores[name] = _areas(cohorts, student)
            scores[f"teacher:{name}"] = [] if teacher is None else _areas(cohorts, teacher)
    return [[round(scores[name][row], DECIMALS) for name in wanted] for row in range(len(seeds))]


def draw_cohorts(study: DistillationStandIn, truth: Truth, seeds: Sequence[int]) -> Cohorts:
    """Draw the patients of each seed; scales and imputation are learned from those who train."""
    parameters, n = truth_parameters(truth), study.training_patients
    images, items, grades, exact = [], [], [], []
    for seed in seeds:
        people = draw_patients(parameters, n + study.held_out_patients, seed)
        shown = image_features(parameters, people.latents, study.features, seed)
        images.append((shown - shown[:n].mean(axis=0)) / shown[:n].std(axis=0))
        scaler = ItemScaler(people.items.shape[1]).fit(people.items[:n])
        items.append(scaler(torch.from_numpy(people.items)))
        grades.append(people.latents.grade)
        exact.append(np.log(np.maximum(exact_probabilities(parameters, people.latents), SMALLEST)))
    return Cohorts(
        seeds=seeds,
        images=torch.from_numpy(np.stack(images)).float(),
        items=torch.stack(items),
        grades=torch.from_numpy(np.stack(grades)),
        exact=torch.from_numpy(np.stack(exact)).float(),
        train=n,
    )


def _areas(cohorts: Cohorts, probabilities: NDArray[np.float64]) -> list[float]:
    found = []
    for labels, given in zip(cohorts.grades[:, cohorts.train :].numpy(), probabilities, strict=True):
        area = plain_value(weighted_ovo_auc(labels, given), len(labels))
        assert area is not None  # of a thousand patients some have each grade
        found.append(area)
    return found


def difference(part: Part, first: str, second: str, **setting: Any) -> Paired:
    """First minus second over the seeds of a setting."""
    return paired(_differences(part, first, second, **setting))


def bootstrap_interval(
    part: Part, first: str, second: str, resamples: int, **setting: Any
) -> tuple[float | None, float | None]:
    """95 % interval of that mean by resampling seeds; none with fewer than two."""
    values = finite(_differences(part, first, second, **setting), "paired differences")
    if len(values) < 2:
        return None, None

    def mean(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(weights @ values / len(values))

    return percentile_interval(bootstrap(mean, len(values), resamples, 0))[:2]


def _differences(part: Part, first: str, second: str, **setting: Any) -> list[float]:
    return [row[first] - row[second] for row in part.select(**setting)]


def level(part: Part, column: str, **setting: Any) -> Paired:
    """Mean of a column over the seeds of a setting."""
    return paired([row[column] for row in part.select(**setting)])


@cache
def ceilings(truth: Truth) -> dict[str, Any]:
    """What anybody could reach who knew how the simulator works."""
    return population_ceilings(truth_parameters(truth))
