"""The fixed PPS risk on patients it has not seen: time to recurrence by risk (P1, Fig 4, 5, S8, S9)."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.hazards import per_sd
from hccfeat.analysis.judging import GROUPS
from hccfeat.analysis.models import PPS, FittedModel
from hccfeat.analysis.results import EndpointResult
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import CoxEstimate, cox_univariable
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.groups import Correlation, GroupTest, LinearFit, compare_groups, pearson, regress
from hccfeat.stats.survival import LogRank, harrell_c, logrank

Place = Literal["held_out", "external"]


@dataclass(frozen=True)
class RatedPatients:
    """Untreated patients of one cohort and split with a risk that nothing of theirs has shaped.

    Attributes
    ----------
    endpoint, label : str
        Of the risk.
    patients : Population
        Times and events are cut at the endpoint's horizon.
    risk : ndarray of float64 (n,)
        PPS risk of each patient.
    cut : float or None
        Median risk of the training patients of the same endpoint (P1 reading 28).
    months, recurred : ndarray of float64 (n,)
        Follow-up without recurrence that is not cut at a horizon, and whether it ended in recurrence; NaN where
        not known.
    """

    endpoint: str
    label: str
    patients: Population
    risk: NDArray[np.float64]
    cut: float | None
    months: NDArray[np.float64]
    recurred: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def high(self) -> NDArray[np.bool_]:
        """Who is above the cut (n,)."""
        if self.cut is None:
            raise AnalysisError(f"endpoint {self.endpoint}", "has no training median", "Ingest follow-up times.")
        return self.risk > self.cut

    @property
    def timed(self) -> NDArray[np.bool_]:
        """Who has a follow-up time and status (n,)."""
        return ~(np.isnan(self.months) | np.isnan(self.recurred))

    def take(self, keep: NDArray[np.bool_]) -> "RatedPatients":
        """The patients where ``keep`` is true."""
        return replace(
            self,
            patients=self.patients.take(keep),
            risk=self.risk[keep],
            months=self.months[keep],
            recurred=self.recurred[keep],
        )

    def fixed_model(self) -> FittedModel:
        """The risk as a model that only looks it up, for any subset of these patients."""
        known = dict(zip(self.patients.ids, self.risk, strict=True))
        return FittedModel(
            PPS, "the fixed PPS risk", lambda judged: np.array([known[patient] for patient in judged.ids])
        )


def rated_patients(
    data: EndpointData, result: EndpointResult, follow_up: EndpointData, place: Place, cohort: str
) -> RatedPatients:
    """Collect the judges of a cohort with the risks that ``result`` gave them.

    Parameters
    ----------
    data, result : EndpointData, EndpointResult
        Input and outcome of the analysis of one endpoint.
    follow_up : EndpointData
        The same patients for an endpoint without a horizon: where their uncut times come from.
    place : {"held_out", "external"}
        Role of the judges.
    cohort : str
        Their cohort.

    Raises
    ------
    LeakageError
        If the encoder has seen one of them.
    AnalysisError
        If nobody of the cohort has a PPS risk.
    """
    known = {
        row.patient_id: row.risk
        for row in result.predictions
        if (row.model, row.split, row.cohort) == (PPS, place, cohort)
    }
    who = f"{place.replace('_', '-')} patients of cohort {cohort}"
    if not known:
        raise AnalysisError(who, "have no PPS risk", "Extract their images.")
    assert_unseen(known, data.seen, who)
    patients = population(data, cohort, place, place)
    patients = patients.take(np.array([patient in known for patient in patients.ids], dtype=bool))
    cuts = [group.cut for group in result.groups if group.model == PPS]
    times = pl.DataFrame({"patient_id": patients.ids}).join(
        follow_up.patients.select("patient_id", "time", "event"),
        on="patient_id",
        how="left",
        maintain_order="left",
    )
    months, recurred = (
        times[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in ("time", "event")
    )
    risk = np.array([known[patient] for patient in patients.ids])
    return RatedPatients(data.endpoint, data.label, patients, risk, cuts[0] if cuts else None, months, recurred)


@dataclass(frozen=True)
class TimesByGroup:
    """Recurrence-free months of the two risk groups (low, high), and tests that do and do not see censoring.

    ``test`` takes every observed time for a time to recurrence, as the paper does (P1 readings 31, 31b).
    """

    judges: RatedPatients
    test: GroupTest
    logrank: LogRank
    group: CoxEstimate
    per_sd: CoxEstimate
    c_index: Estimate

    def members(self, high: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Months and recurrences of one group."""
        inside = self.judges.high == high
        return self.judges.months[inside], self.judges.recurred[inside] > 0


def times_by_group(judges: RatedPatients, settings: AnalysisConfig) -> TimesByGroup:
    """Compare the whole recurrence-free follow-up of patients with high and low risk (P1, Fig 4B and 5B).

    Parameters
    ----------
    judges : RatedPatients
        Those without a follow-up time are left out.
    settings : AnalysisConfig
        Bootstraps and seed of Harrell's C.

    Raises
    ------
    AnalysisError
        If nobody has a follow-up time, or the endpoint has no training median.
    """
    kept = _timed(judges)
    high = kept.high
    return TimesByGroup(
        kept,
        compare_groups(kept.months[~high], kept.months[high]),
        logrank(kept.months, kept.recurred, np.where(high, GROUPS[1], GROUPS[0])),
        cox_univariable(kept.months, kept.recurred, high.astype(float)),
        cox_univariable(kept.months, kept.recurred, per_sd(kept.risk)),
        harrell_c(kept.months, kept.recurred, kept.risk, resamples=settings.bootstraps, seed=settings.seed),
    )


@dataclass(frozen=True)
class TimesByRisk:
    """Recurrence-free months against the risk: straight line and correlation, and what sees censoring."""

    judges: RatedPatients
    line: LinearFit
    correlation: Correlation
    per_sd: CoxEstimate
    c_index: Estimate


def times_by_risk(judges: RatedPatients, settings: AnalysisConfig) -> TimesByRisk:
    """Regress recurrence-free months on the risk (P1, Fig S8B and S9; P1 reading 31b).

    P and R squared do not depend on which of the two is regressed on the other. Arguments and errors as for
    :func:`times_by_group`, but no training median is needed.
    """
    kept = _timed(judges)
    return TimesByRisk(
        kept,
        regress(kept.risk, kept.months),
        pearson(kept.risk, kept.months),
        cox_univariable(kept.months, kept.recurred, per_sd(kept.risk)),
        harrell_c(kept.months, kept.recurred, kept.risk, resamples=settings.bootstraps, seed=settings.seed),
    )


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision-recall curve: recall and precision (k,) from recall 0 to 1, and the share with the event."""

    label: str
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    prevalence: float


def precision_recall(judges: RatedPatients) -> PrecisionRecall | None:
    """Precision-recall curve of the labelled judges; None if none of them has the event."""
    known = judges.patients.labelled
    y = judges.patients.y[known]
    if not y.any():
        return None
    precision, recall, _ = precision_recall_curve(y, judges.risk[known])
    return PrecisionRecall(judges.label, recall[::-1], precision[::-1], float(y.mean()))


def _timed(judges: RatedPatients) -> RatedPatients:
    kept = judges.take(judges.timed)
    if not len(kept):
        raise AnalysisError(
            f"patients of cohort {judges.patients.cohort}", "have no follow-up times", "Ingest their outcomes."
        )
    return kept
