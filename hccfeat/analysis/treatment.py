"""Sorafenib and the PPS risk: who was predicted to recur, and recurrence-free months with and without treatment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.hazards import per_sd
from hccfeat.analysis.judging import GROUPS, risk_times
from hccfeat.analysis.results import GroupComparison, SurvivalCurve
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.cox import CoxEstimate, cox_univariable
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.groups import Correlation, GroupTest, LinearFit, compare_groups, pearson, regress
from hccfeat.stats.survival import LogRank, harrell_c, kaplan_meier, logrank
from hccfeat.stats.survival_difference import SurvivalDifference, survival_difference

ARMS = ("untreated", "sorafenib")
HORIZONS = (12.0, 24.0)
"""Months at which the absolute difference between the arms is given."""


@dataclass(frozen=True)
class Patients:
    """Judged patients as aligned arrays; none of them trained the network or its encoder.

    Attributes
    ----------
    name : str
        Who they are, in words.
    ids : list of str
    months : ndarray of float64 (n,)
        Time to recurrence, death or last contact, not cut at a horizon.
    event : ndarray of bool (n,)
        Whether it ended in recurrence.
    treated : ndarray of bool (n,)
    risk : ndarray of float64 (n,)
        1-year PPS risk.
    cut : float
        Training median of the same model; above it a patient is predicted to recur (P1 reading 28).
    """

    name: str
    ids: list[str]
    months: NDArray[np.float64]
    event: NDArray[np.bool_]
    treated: NDArray[np.bool_]
    risk: NDArray[np.float64]
    cut: float

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def high(self) -> NDArray[np.bool_]:
        """Who is predicted to recur (n,)."""
        return self.risk > self.cut

    def take(self, keep: NDArray[np.bool_], name: str) -> "Patients":
        """The patients where ``keep`` is true, under another name."""
        return Patients(
            name,
            [patient for patient, kept in zip(self.ids, keep, strict=True) if kept],
            self.months[keep],
            self.event[keep],
            self.treated[keep],
            self.risk[keep],
            self.cut,
        )


def training_cut(risks: pl.DataFrame) -> float:
    """Median risk of the patients who trained the network (P1 reading 28).

    Parameters
    ----------
    risks : DataFrame
        From :func:`hccfeat.analysis.everyone.risks_of_everyone`.

    Raises
    ------
    AnalysisError
        If nobody trained it.
    """
    trained = risks.filter(_trained())["risk"]
    if trained.is_empty():
        raise AnalysisError("risk cut", "has no training patients", "Check the split and the endpoint.")
    return float(np.median(trained.to_numpy()))


def judged(risks: pl.DataFrame, follow_up: pl.DataFrame, cohort: str, *, all_treated: bool) -> Patients:
    """Held-out patients of a cohort, treated or not, or those and every treated patient.

    Treated patients train nothing, so that those of the training part may judge as well.

    Parameters
    ----------
    risks : DataFrame
        From :func:`hccfeat.analysis.everyone.risks_of_everyone`, of the 1-year endpoint.
    follow_up : DataFrame
        ``patient_id``, ``time``, ``event`` of an endpoint without a horizon; patients without them are left out.
    cohort : str
        Whose patients.
    all_treated : bool
        Take the treated patients of the training part too.

    Raises
    ------
    LeakageError
        If a treated or held-out patient trained the network or its encoder.
    """
    mine = risks.filter(pl.col("cohort") == cohort).with_columns(treated=pl.col("treated").fill_null(False))
    held_out = pl.col("role") == "held_out"
    kept = mine.filter((held_out | pl.col("treated")) if all_treated else held_out)
    leaked = kept.filter(pl.col("fitted") & pl.col("treated")).height
    if leaked:
        raise LeakageError(
            f"treated patients of cohort {cohort}",
            f"{leaked} of {kept['treated'].sum()} trained the network or its encoder",
            "Train on untreated patients only: extract the feature set again.",
        )
    name = "held-out and all treated patients" if all_treated else "held-out patients"
    assert_unseen(kept["patient_id"], kept.filter("fitted")["patient_id"].to_list(), f"{name} of cohort {cohort}")
    times = follow_up.select("patient_id", "time", "event").drop_nulls()
    rows = kept.drop("time", "event").join(times, on="patient_id", how="inner").sort("patient_id")
    return Patients(
        name,
        rows["patient_id"].to_list(),
        rows["time"].cast(pl.Float64).to_numpy(),
        rows["event"].cast(pl.Boolean).to_numpy(),
        rows["treated"].to_numpy(),
        rows["risk"].to_numpy(),
        training_cut(risks.filter(pl.col("cohort") == cohort)),
    )


@dataclass(frozen=True)
class Comparison:
    """Two groups of patients by recurrence-free months; the first group is the reference.

    ``test`` takes every time for a time to recurrence, as the paper does (P1 readings 31 and 31b); ``logrank``,
    ``hazard`` (second against first) and ``differences`` (second minus first) see the censoring.
    """

    name: str
    groups: tuple[str, str]
    n: tuple[int, int]
    events: tuple[int, int]
    months: tuple[NDArray[np.float64], NDArray[np.float64]]
    recurred: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    test: GroupTest
    logrank: LogRank
    hazard: CoxEstimate
    differences: tuple[SurvivalDifference, ...]
    curves: GroupComparison | None


def compare_arms(patients: Patients) -> Comparison:
    """Compare treated with untreated patients (P1, Fig 7C-E)."""
    # Treatment has no cut; the figure prints none where it is not a number.
    return _compare(patients, patients.treated, ARMS, float("nan"), None)


def compare_predicted(patients: Patients, horizon: float | None) -> Comparison:
    """Compare patients predicted to recur (high risk) with the others (P1, Fig 7A).

    Parameters
    ----------
    patients : Patients
        The judges.
    horizon : float or None
        Later recurrences do not count, and times end there (P1 reading 30); None: the whole follow-up.
    """
    return _compare(patients, patients.high, GROUPS, patients.cut, horizon)


def _compare(
    patients: Patients, second: NDArray[np.bool_], groups: tuple[str, str], cut: float, horizon: float | None
) -> Comparison:
    months, event = patients.months, patients.event
    if horizon is not None:
        months, event = np.minimum(months, horizon), event & (months <= horizon)
    labels = np.where(second, groups[1], groups[0])
    test = logrank(months, event, labels)
    masks = (~second, second)
    return Comparison(
        patients.name,
        groups,
        (int((~second).sum()), int(second.sum())),
        (int(event[~second].sum()), int(event[second].sum())),
        (months[~second], months[second]),
        (event[~second], event[second]),
        compare_groups(months[~second], months[second]),
        test,
        cox_univariable(months, event, second.astype(float)),
        tuple(survival_difference(months, event, second, h) for h in HORIZONS if h <= (horizon or h)),
        _curves(
            GroupComparison(patients.name, "", "held_out", cut, (), test.chisq, test.p, test.reason),
            groups,
            months,
            event,
            masks,
            horizon,
        ),
    )


def _curves(
    empty: GroupComparison,
    groups: tuple[str, str],
    months: NDArray[np.float64],
    event: NDArray[np.bool_],
    masks: Sequence[NDArray[np.bool_]],
    horizon: float | None,
) -> GroupComparison | None:
    """Fill in the curve of each group that has patients; None if neither has."""
    if not len(months):
        return None
    marks = risk_times(months, horizon)
    curves = []
    for group, mask in zip(groups, masks, strict=True):
        if mask.any():
            km = kaplan_meier(months[mask], event[mask], marks)
            arrays = (km.times, km.survival, km.lower, km.upper, km.risk_times, km.at_risk)
            curves.append(SurvivalCurve(group, *arrays, km.n, km.events, km.median))
    return replace(empty, curves=tuple(curves))


@dataclass(frozen=True)
class ScoreAndTime:
    """A score against recurrence-free months: the paper's correlation, and what sees the censoring."""

    label: str
    score: NDArray[np.float64]
    months: NDArray[np.float64]
    recurred: NDArray[np.bool_]
    correlation: Correlation
    line: LinearFit
    hazard: CoxEstimate
    c_index: Estimate
    logrank: LogRank


def score_against_time(
    patients: Patients, label: str, score: NDArray[np.float64], settings: AnalysisConfig
) -> ScoreAndTime:
    """Correlate a score with recurrence-free months (P1, Fig 7B; P1 reading 31b).

    ``hazard`` is per SD of the score among these patients; ``logrank`` compares the predicted groups.

    Parameters
    ----------
    patients : Patients
        The judges (n).
    label : str
        What the score is.
    score : ndarray of float64 (n,)
        Higher means earlier recurrence.
    settings : AnalysisConfig
        Bootstraps and seed of Harrell's C.
    """
    months, event = patients.months, patients.event
    return ScoreAndTime(
        label,
        score,
        months,
        event,
        pearson(score, months),
        regress(score, months),
        cox_univariable(months, event, per_sd(score)),
        harrell_c(months, event, score, resamples=settings.bootstraps, seed=settings.seed),
        logrank(months, event, np.where(patients.high, GROUPS[1], GROUPS[0])),
    )


def _trained() -> pl.Expr:
    untreated = ~pl.col("treated").fill_null(False)
    return pl.col("fitted") & (pl.col("role") == "train") & untreated & pl.col("y").is_not_null()
