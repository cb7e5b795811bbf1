"""Denoised recurrence labels (DRL): which patients have a recurrence status that overall survival confirms."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from hccfeat.errors import AnalysisError, ConfigError, InputError

SUBSETS = ("1/4", "1/3", "1/2", "2/3", "3/4", "1/1")


@dataclass(frozen=True)
class ClassSelection:
    """What the selection did in one class.

    Attributes
    ----------
    available, kept : int
        Patients of the class, and those kept.
    threshold_months : float
        Overall survival of the last patient kept: the lowest among the relapse-free, the highest among the
        relapsed.
    censored : int
        Patients kept whose death was not observed; -1 if deaths were not given.
    """

    available: int
    kept: int
    threshold_months: float
    censored: int


@dataclass(frozen=True)
class DenoisedSubset:
    """A subset of patients and their labels.

    Attributes
    ----------
    name : str
        The fraction as text, for instance ``1/2``.
    fraction : float
        The fraction kept within each class.
    ids : tuple of str
        Patients kept, sorted.
    labels : dict
        Patient to 1 (relapsed) or 0.
    relapse_free, relapsed : ClassSelection
        Counts and thresholds.
    deaths_only : bool
        Whether relapsed patients with an observed death were ranked first.
    """

    name: str
    fraction: float
    ids: tuple[str, ...]
    labels: dict[str, int]
    relapse_free: ClassSelection
    relapsed: ClassSelection
    deaths_only: bool

    @property
    def censored(self) -> int:
        """Relapsed patients kept whose short survival is a short follow-up, not a death; -1 if not known."""
        return self.relapsed.censored


def denoised_subset(
    ids: Sequence[str],
    relapsed: ArrayLike,
    os_months: ArrayLike,
    subset: str | float,
    *,
    deaths: ArrayLike | None = None,
    deaths_only: bool = False,
) -> DenoisedSubset:
    """Keep the relapse-free patients who lived longest and the relapsed who died soonest (P1, DRL).

    Within each class the k = ceil(t n) first patients are kept, ranked by overall survival: longest first
    among the relapse-free, shortest first among the relapsed; ties are broken by id. Subsets of growing t are
    therefore nested, and t = 1 keeps everybody (P1 reading 13). The observed survival time counts whether or
    not it ended in death (row 14).

    Parameters
    ----------
    ids : sequence of str
        Patients, each once: the untreated training patients (row 16).
    relapsed : array of bool, (n,)
        Recurrence at the last contact (row 15).
    os_months : array of float, (n,)
        Observed overall survival, months.
    subset : str or float
        A fraction in (0, 1], as ``"1/2"`` or a number.
    deaths : array of bool, (n,), optional
        Whether the survival time ended in death; needed for ``deaths_only`` and for the censored counts.
    deaths_only : bool
        Rank the relapsed with an observed death before those without one: a relapsed patient alive after a short
        follow-up is not known to have died soon. k is unchanged, so that both variants keep equal numbers.

    Raises
    ------
    InputError
        If the arrays disagree, an id repeats or a survival time is negative or missing.
    AnalysisError
        If one of the classes is empty.
    ConfigError
        If the fraction is out of range or ``deaths_only`` lacks deaths.
    """
    share = parse_fraction(subset)
    status = np.asarray(relapsed, dtype=bool)
    months = np.asarray(os_months, dtype=np.float64)
    died = None if deaths is None else np.asarray(deaths, dtype=bool)
    _check(ids, status, months, died)
    if deaths_only and died is None:
        raise ConfigError("training.deaths_only", "needs the observed deaths", "Give deaths, or switch it off.")
    free = sorted((i for i in range(len(ids)) if not status[i]), key=lambda i: (-months[i], ids[i]))
    late = np.zeros(len(ids), dtype=bool) if died is None or not deaths_only else ~died
    sick = sorted((i for i in range(len(ids)) if status[i]), key=lambda i: (late[i], months[i], ids[i]))
    kept_free, kept_sick = (group[: ceil(share * len(group))] for group in (free, sick))
    labels = {ids[i]: int(status[i]) for i in kept_free + kept_sick}
    return DenoisedSubset(
        name=str(subset),
        fraction=float(share),
        ids=tuple(sorted(labels)),
        labels=dict(sorted(labels.items())),
        relapse_free=_selection(free, kept_free, float(months[kept_free].min()), died),
        relapsed=_selection(sick, kept_sick, float(months[kept_sick].max()), died),
        deaths_only=deaths_only,
    )


def parse_fraction(subset: str | float) -> Fraction:
    """Read a subset's fraction exactly: ``"1/3"``, ``"0.5"`` or 0.1 (as it is printed, not as binary).

    Raises
    ------
    ConfigError
        If it is no number in (0, 1].
    """
    try:
        share = Fraction(str(subset))
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise ConfigError("training.subset", f"is {subset}", f"Use a fraction such as {', '.join(SUBSETS)}.")
    return share


def _selection(group: list[int], kept: list[int], threshold: float, died: np.ndarray | None) -> ClassSelection:
    censored = -1 if died is None else int((~died[kept]).sum())
    return ClassSelection(len(group), len(kept), threshold, censored)


def _check(ids: Sequence[str], status: np.ndarray, months: np.ndarray, died: np.ndarray | None) -> None:
    entity = "denoised labels"
    lengths = {len(ids), status.size, months.size} | ({died.size} if died is not None else set())
    if len(lengths) > 1:
        raise InputError(
            entity, f"got arrays of different lengths {sorted(lengths)}", "Give one value per patient."
        )
    if len(set(ids)) < len(ids):
        raise InputError(entity, "got a patient twice", "Give each patient once.")
    if not np.isfinite(months).all() or (months < 0).any():
        raise InputError(
            entity, "got a negative or missing overall survival", "Leave out patients without overall survival."
        )
    if status.all() or not status.any():
        raise AnalysisError(
            entity,
            f"{int(status.sum())} of {len(ids)} training patients relapsed, so one class is empty",
            "Check the outcome `recurrence` of the development cohort, or give more patients.",
        )
