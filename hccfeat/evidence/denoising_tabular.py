"""Denoised labels with the tabular stand-in: replicates, and what they say."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hccfeat.evidence.paired import Paired, paired, slopes
from hccfeat.evidence.patients import (
    ARMS,
    EXPLORATORY,
    Labels,
    arm_labels,
    image_features,
    image_signal,
    untreated,
)
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.running import run_missing
from hccfeat.evidence.settings import Denoising, Settings, StandIn, identity, simulation
from hccfeat.evidence.stand_in import MEASURES, fit_scores, measures, standardised

REFERENCES = {"truth": "labels that are A > 0", "signal": "the image signal itself"}
COMPARED = tuple(arm for arm in ARMS if arm != "drl")
LABELLED = tuple(arm for arm in ARMS if arm != "cox")
COLUMNS = (
    *(f"{arm}:{measure}" for arm in (*ARMS, *REFERENCES) for measure in MEASURES),
    *(f"{arm}:agreement" for arm in LABELLED),
)
"""Numbers of a replicate: two AUROCs of each arm, and the share of training labels that equal A > 0."""
EXPLORATORY_COLUMNS = tuple(f"{arm}:{measure}" for arm in ("drl", *EXPLORATORY) for measure in MEASURES)
DECIMALS = 4


def run_grid(record: Record, settings: Settings, replicates: int) -> Part:
    """Every pi and gamma with the stand-in as it is."""
    study = settings.denoising
    part = record.part("tabular", _identity(settings, study.tabular), ("pi", "gamma", "seed", *COLUMNS), 3)

    def work(pi: float, gamma: float, seed: int) -> Row:
        return _replicate(study, study.tabular, pi, gamma, seed)

    return run_missing(record, part, "Denoising, tabular", _grid(study, replicates), work)


def run_exploratory(record: Record, settings: Settings, replicates: int) -> Part:
    """Denoised labels and the arms that were added later, on the same cohorts."""
    study = settings.denoising
    columns = ("pi", "gamma", "seed", *EXPLORATORY_COLUMNS)
    part = record.part("exploratory", _identity(settings, study.tabular), columns, 3)

    def work(pi: float, gamma: float, seed: int) -> Row:
        found = _Replicate(study, study.tabular, pi, gamma, seed)
        return _rounded([value for arm in ("drl", *EXPLORATORY) for value in found.measures(arm)])

    return run_missing(record, part, "Denoising, exploratory", _grid(study, replicates), work)


def run_sensitivity(record: Record, settings: Settings, replicates: int, pi: float, gamma: float) -> Part:
    """One setting with the stand-in changed in one respect at a time."""
    study = settings.denoising
    changed = {kind.name: study.tabular.model_copy(update=kind.changes()) for kind in study.sensitivity}
    facts = _identity(settings, *changed.values(), names=list(changed), pi=pi, gamma=gamma)
    part = record.part("sensitivity", facts, ("changed", "seed", *COLUMNS), 2)
    todo = [(name, seed) for seed in range(1, replicates + 1) for name in changed]

    def work(name: str, seed: int) -> Row:
        return _replicate(study, changed[name], pi, gamma, seed)

    return run_missing(record, part, "Denoising, sensitivity", todo, work)


def _identity(settings: Settings, *stand_ins: StandIn, **facts: Any) -> dict[str, Any]:
    study = settings.denoising
    sizes = [stand_in.model_dump(mode="json", exclude={"replicates"}) for stand_in in stand_ins]
    return identity(settings, stand_ins=sizes, subset=study.subset, horizon_months=study.horizon_months, **facts)


def _grid(study: Denoising, replicates: int) -> list[tuple[Any, ...]]:
    return [(pi, gamma, seed) for seed in range(1, replicates + 1) for gamma in study.gamma for pi in study.pi]


class _Replicate:
    """One cohort: who trains, who is judged, and what any labels give."""

    def __init__(self, study: Denoising, stand_in: StandIn, pi: float, gamma: float, seed: int) -> None:
        n = stand_in.training_patients
        everybody = n + stand_in.held_out_patients
        people, _ = untreated(everybody, seed, pi=pi, gamma=gamma, horizon=study.horizon_months)
        carried = simulation(1, 0.0, 0.0).signal
        signals = image_signal(people.aggressiveness, carried, stand_in.images_per_patient, seed)
        self.c, self.judged = stand_in.c, slice(n, everybody)
        self.features = standardised(image_features(signals, carried, stand_in.features, seed), n)
        self.held_out = people.take(self.judged)
        train = people.take(slice(n))
        self.truth = (train.aggressiveness > 0).astype(np.int64)
        self.labels = arm_labels(train, study.subset, seed)
        self.labels["truth"] = Labels(np.arange(n), self.truth)
        self.signal = signals[self.judged].mean(axis=1)

    def measures(self, arm: str) -> tuple[float, float]:
        """The AUROCs of an arm."""
        if arm == "signal":
            return measures(self.signal, self.held_out)
        return measures(fit_scores(self.features, self.labels[arm], self.judged, self.c), self.held_out)

    def agreement(self, arm: str) -> float:
        """Share of an arm's training labels that equal A > 0."""
        labels = self.labels[arm]
        return float((labels.y == self.truth[labels.rows]).mean())


def _replicate(study: Denoising, stand_in: StandIn, pi: float, gamma: float, seed: int) -> Row:
    """All numbers of one cohort, in the order of :data:`COLUMNS`."""
    found = _Replicate(study, stand_in, pi, gamma, seed)
    numbers = [value for arm in (*ARMS, *REFERENCES) for value in found.measures(arm)]
    return _rounded(numbers + [found.agreement(arm) for arm in LABELLED])


def _rounded(numbers: Sequence[float]) -> Row:
    return [round(float(number), DECIMALS) for number in numbers]


def gain(part: Part, arm: str, measure: str, **setting: Any) -> Paired:
    """Denoised labels minus an arm over the replicates of a setting."""
    return paired([row[f"drl:{measure}"] - row[f"{arm}:{measure}"] for row in part.select(**setting)])


def trend(part: Part, arm: str, measure: str, pis: Sequence[float], gamma: float) -> Paired:
    """Change of that gain per unit of pi: the slope within each seed, over seeds."""
    columns = [part.select(pi=pi, gamma=gamma) for pi in pis]
    gains = [[row[f"drl:{measure}"] - row[f"{arm}:{measure}"] for row in rows] for rows in columns]
    return paired(slopes(pis, np.transpose(gains)))


def level(part: Part, column: str, **setting: Any) -> float:
    """Mean of a column over the replicates of a setting."""
    return float(np.mean([row[column] for row in part.select(**setting)]))
