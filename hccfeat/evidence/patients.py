"""Untreated simulated patients of a replicate, what their images show, and the labels of the arms."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.evidence.settings import simulation
from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.oracle import observed_labels
from hccfeat.simulation.parameters import Signal
from hccfeat.training.labels import denoised_subset

Floats = NDArray[np.float64]
OUTCOMES = ("recurrence_months", "recurrence_event", "os_months", "os_event")
UNTREATED_SHARE = 0.7
"""Of a simulated cohort surely untreated (about 78 % are), so that enough are drawn."""
CARRIERS = (1.0, 1.0, 1.0, -1.0)
"""Sign of the four features that follow the image signal: nuclear radius, pleomorphism, density; lymphocytes."""


@dataclass(frozen=True)
class Untreated:
    """Untreated patients of one cohort, arrays (n,); ``row`` is their place in the simulated cohort."""

    row: NDArray[np.int64]
    aggressiveness: Floats
    recurrence_months: Floats
    recurrence_event: NDArray[np.bool_]
    os_months: Floats
    os_event: NDArray[np.bool_]
    early: Floats

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: slice) -> "Untreated":
        """Some of the patients."""
        return Untreated(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def untreated(patients: int, seed: int, *, pi: float, gamma: float, horizon: float) -> tuple[Untreated, Cohort]:
    """The first ``patients`` untreated ones of a simulated cohort, and that cohort.

    ``early`` is the observed label at the horizon (months): 1 recurred, 0 followed recurrence-free to it, else NaN.
    Equal seeds give the same A whatever pi and gamma are, so that settings are paired.
    """
    cohort = simulate_patients(simulation(int(patients / UNTREATED_SHARE) + 50, pi, gamma), seed)
    row = np.flatnonzero(~cohort.treated)[:patients]
    outcomes = {name: getattr(cohort, name)[row] for name in OUTCOMES}
    early = observed_labels(cohort, horizon)[row]
    return Untreated(row=row, aggressiveness=cohort.aggressiveness[row], early=early, **outcomes), cohort


def permuted(people: Untreated, seed: int) -> Untreated:
    """The same patients with all outcomes, labels included, given to others at random."""
    order = np.random.default_rng([seed, 3]).permutation(len(people))
    moved = {name: getattr(people, name)[order] for name in (*OUTCOMES, "early")}
    return replace(people, **moved)


def image_signal(aggressiveness: Floats, signal: Signal, images: int, seed: int) -> Floats:
    """Signal of each image (n, images): A + patient noise + image noise, as the renderer draws it."""
    rng = np.random.default_rng([seed, 1])
    n = len(aggressiveness)
    patient = aggressiveness + signal.patient_noise * rng.standard_normal(n)
    return np.asarray(patient[:, None] + signal.image_noise * rng.standard_normal((n, images)))


def image_features(signals: Floats, signal: Signal, features: int, seed: int) -> Floats:
    """Features of each patient (n, features), mean over images: four follow the image signal, the rest is noise."""
    rng = np.random.default_rng([seed, 2])
    n, images = signals.shape
    seen = signals[:, :, None] + signal.feature_noise * rng.standard_normal((n, images, len(CARRIERS)))
    carriers = np.clip(seen, -signal.signal_limit, signal.signal_limit).mean(axis=1) * np.array(CARRIERS)
    return np.column_stack([carriers, rng.standard_normal((n, features - len(CARRIERS)))])


@dataclass(frozen=True)
class Labels:
    """What an arm trains on: places among the training patients, and their labels; ``months`` for the Cox arm."""

    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    months: Floats | None = None


ARMS = {
    "drl": "denoised labels",
    "all": "all labels",
    "random": "random subset of the same size",
    "os_split": "labels split at the OS median",
    "cox": "Cox on all PFS",
}
"""Arms of the denoising study; the first is compared with the others."""
EXPLORATORY = {
    "two_years": "recurrence within two years",
    "cox_any": "Cox, recurrence or death as the event",
}
"""Arms that were added after the first results had been seen, to tell where a gain comes from."""
TWO_YEARS = 24.0


def arm_labels(train: Untreated, subset: str, seed: int) -> dict[str, Labels]:
    """The labels of every arm on the same training patients.

    ``random`` draws as many patients of each class as the denoised subset has. ``os_split`` calls the half with the
    shorter overall survival 1. ``cox`` has recurrence or its absence with the time to recurrence, death or the end
    of follow-up. Of the exploratory arms ``two_years`` has recurrence within two years and leaves out whoever was
    not followed that long, ``cox_any`` counts a death before recurrence as an event too.
    """
    n, status = len(train), train.recurrence_event
    everybody = np.arange(n)
    names = [f"{number:06d}" for number in everybody]
    chosen = denoised_subset(names, status, train.os_months, subset)
    denoised = np.array([int(name) for name in chosen.ids])
    rng = np.random.default_rng([seed, 4])
    drawn = [
        rng.permutation(np.flatnonzero(status == sick))[: int((status[denoised] == sick).sum())]
        for sick in (False, True)
    ]
    random = np.sort(np.concatenate(drawn))
    y = status.astype(np.int64)
    short = (train.os_months <= np.median(train.os_months)).astype(np.int64)
    recurred = status & (train.recurrence_months <= TWO_YEARS)
    known = np.flatnonzero(recurred | (train.recurrence_months >= TWO_YEARS))
    # PFS ends where overall survival ends in a death without recurrence
    failed = status | train.os_event
    return {
        "drl": Labels(denoised, y[denoised]),
        "all": Labels(everybody, y),
        "random": Labels(random, y[random]),
        "os_split": Labels(everybody, short),
        "cox": Labels(everybody, y, train.recurrence_months),
        "two_years": Labels(known, recurred[known].astype(np.int64)),
        "cox_any": Labels(everybody, failed.astype(np.int64), train.recurrence_months),
    }
