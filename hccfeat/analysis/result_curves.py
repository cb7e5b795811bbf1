"""Curves of an analysis as plain arrays; :mod:`hccfeat.analysis.results` gives them out with the rows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SplitRole = Literal["apparent", "held_out", "external", "cross_validation"]


@dataclass(frozen=True)
class SurvivalCurve:
    """A Kaplan-Meier curve; times in months.

    ``times``, ``survival`` and its 95 % limits have one entry per step, and so have ``step_at_risk`` (followed and
    without event just before it) and ``step_events``, where they are given. ``at_risk`` belongs to ``risk_times``.
    """

    label: str
    times: NDArray[np.float64]
    survival: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    risk_times: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    n: int
    events: int
    median: float | None
    step_at_risk: NDArray[np.int64] | None = None
    step_events: NDArray[np.int64] | None = None
    median_lower: float | None = None
    median_upper: float | None = None
    restricted_mean: float | None = None
    restricted_lower: float | None = None
    restricted_upper: float | None = None
    restricted_to: float | None = None
    follow_up: float | None = None


@dataclass(frozen=True)
class CohortSurvival:
    """Event-free survival of everybody in one cohort and split.

    ``follow_up`` is the median by the reverse Kaplan-Meier method with its limits, months, not cut at a horizon;
    None where it is not reached, and ``note`` says so.
    """

    cohort: str
    split: SplitRole
    curve: SurvivalCurve
    follow_up: float | None
    follow_up_lower: float | None
    follow_up_upper: float | None
    note: str = ""


@dataclass(frozen=True)
class IncidenceCurve:
    """Cumulative incidence (k,) of one cause, with its 95 % limits, where another cause can come first; months.

    ``label`` names the patients (all of them or a group), ``events`` counts this cause.
    """

    model: str
    cohort: str
    split: SplitRole
    label: str
    cause: str
    times: NDArray[np.float64]
    incidence: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class GroupComparison:
    """Risk groups of one model in one cohort and split, cut at ``cut`` (the training median).

    ``test`` names what gave ``logrank_p``; a permutation test has no chi-square. ``expected`` are the events that
    each curve's group expects if all share one hazard.
    """

    model: str
    cohort: str
    split: SplitRole
    cut: float
    curves: tuple[SurvivalCurve, ...]
    logrank_chisq: float | None
    logrank_p: float | None
    note: str = ""
    test: str = ""
    expected: tuple[float, ...] = ()


@dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic of one model in one cohort and split."""

    model: str
    cohort: str
    split: SplitRole
    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    auroc: float


@dataclass(frozen=True)
class CalibrationCurve:
    """Observed against predicted risk of one model; all arrays have shape (m,) and lie in 0..1.

    ``months`` is the time of the risk, None for the risk of the label.
    """

    model: str
    cohort: str
    split: SplitRole
    months: float | None
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit (k,) of one model over threshold probabilities (k,).

    The models ``treat all`` and ``treat none`` are the two ways to decide without a model. ``months`` is the time
    of the risk, None for the risk of the label.
    """

    model: str
    cohort: str
    split: SplitRole
    months: float | None
    thresholds: NDArray[np.float64]
    net_benefit: NDArray[np.float64]
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class RiskDistribution:
    """Patients in bins of one model's risk, by outcome: ``edges`` (k + 1,), counts (k,).

    ``method`` says what the risk is where that is not the model's own.
    """

    model: str
    cohort: str
    split: SplitRole
    edges: NDArray[np.float64]
    with_event: NDArray[np.int64]
    without_event: NDArray[np.int64]
    method: str = ""
