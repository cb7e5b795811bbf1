"""Risks of several models for the same judged patients, with their outcomes, as aligned arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.results import Prediction, SplitRole
from hccfeat.errors import AnalysisError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CompletedRisks:
    """Risks by models (m, n) of patients whose missing indicators are imputed m times; ``ids`` are the patients."""

    ids: list[str]
    risks: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class JudgedRisks:
    """Risks of some models for patients of one cohort and split; none of them trained these models.

    Attributes
    ----------
    y, time, event : ndarray of float64 (n,)
        Label, months (cut at the horizon) and status; NaN where not known.
    months, recurred : ndarray of float64 (n,)
        Months and status of the whole follow-up.
    fold : ndarray of int64 (n,)
        Fold of each patient; all zero where one set of models judges everybody.
    risks : dict
        Model -> risk (n,), NaN where the model has not judged a patient.
    horizon : float or None
        Of the endpoint, in months.
    timed : bool
        Whether the endpoint has a follow-up time.
    completed : dict
        Model -> risk (m, n) under each imputation of missing indicators, NaN where there is none; empty where
        nothing was imputed.
    probabilities : dict
        Model -> probability of the label, or of the event by the horizon (n,); models that give none are not in it.

    Raises
    ------
    AnalysisError
        If the patients are those whom the models were fitted on: no paired test of nested models holds there.
    """

    endpoint: str
    cohort: str
    split: SplitRole
    y: Floats
    time: Floats
    event: Floats
    months: Floats
    recurred: Floats
    fold: NDArray[np.int64]
    risks: dict[str, Floats]
    horizon: float | None = None
    timed: bool = True
    completed: dict[str, Floats] = field(default_factory=dict)
    probabilities: dict[str, Floats] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    """Patients (n,), sorted."""

    def __post_init__(self) -> None:
        if self.split == "apparent":
            raise AnalysisError(
                f"comparison of models in cohort {self.cohort}",
                "is asked for on the patients they were fitted on",
                "Compare them on held-out or external patients, or over folds.",
            )

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Who has a label (n,)."""
        return ~np.isnan(self.y)

    @property
    def followed(self) -> NDArray[np.bool_]:
        """Who has a survival time and status (n,)."""
        return ~(np.isnan(self.time) | np.isnan(self.event))

    def both(self, first: str, second: str) -> NDArray[np.bool_]:
        """Whom both models have judged (n,)."""
        return ~(np.isnan(self.risks[first]) | np.isnan(self.risks[second]))


def judged_risks(
    data: EndpointData,
    predictions: Sequence[Prediction],
    folds: Mapping[str, int] | None = None,
    completed: Mapping[tuple[str, SplitRole], CompletedRisks] | None = None,
) -> list[JudgedRisks]:
    """Collect the judged risks of an endpoint, one entry per cohort and split; apparent risks are passed over.

    Parameters
    ----------
    data : EndpointData
        Outcomes of the patients, whatever their role.
    predictions : sequence of Prediction
        Of any models, cohorts and splits.
    folds : mapping, optional
        Patient -> fold, for the predictions of a cross-validation; without it those are passed over, because
        risks of different folds are on different scales.
    completed : mapping, optional
        (cohort, split) -> risks of patients whose missing indicators are imputed.

    Raises
    ------
    AnalysisError
        If a patient is judged twice by one model, or a cross-validated patient has no fold.
    """
    found: dict[tuple[str, SplitRole], dict[str, dict[str, Prediction]]] = {}
    for row in predictions:
        if row.split == "apparent" or (row.split == "cross_validation" and folds is None):
            continue
        of_model = found.setdefault((row.cohort, row.split), {}).setdefault(row.model, {})
        if row.patient_id in of_model:
            problem = f"has two {row.split} risks of a patient in cohort {row.cohort}"
            raise AnalysisError(f"model {row.model}", problem, "Judge each patient once.")
        of_model[row.patient_id] = row
    return [
        _collected(
            data,
            cohort,
            split,
            models,
            folds if split == "cross_validation" else None,
            (completed or {}).get((cohort, split)),
        )
        for (cohort, split), models in found.items()
    ]


def _collected(
    data: EndpointData,
    cohort: str,
    split: SplitRole,
    models: Mapping[str, Mapping[str, Prediction]],
    folds: Mapping[str, int] | None,
    completed: CompletedRisks | None,
) -> JudgedRisks:
    ids = sorted(set().union(*models.values()))
    if folds is not None and (lost := sum(patient not in folds for patient in ids)):
        problem = f"lacks the fold of {lost} judged patients"
        raise AnalysisError(f"cross-validation of cohort {cohort}", problem, "Give every patient a fold.")
    rows = pl.DataFrame({"patient_id": ids}, schema={"patient_id": pl.String}).join(
        data.patients, on="patient_id", how="left", maintain_order="left"
    )
    months, recurred = (_floats(rows, *names) for names in (("months", "time"), ("recurred", "event")))
    time, event = _floats(rows, "time"), _floats(rows, "event")
    if data.horizon_months is not None:
        time, event = np.minimum(time, data.horizon_months), np.where(time > data.horizon_months, 0.0, event)
    told = [model for model, rows in models.items() if any(row.probability is not None for row in rows.values())]
    return JudgedRisks(
        endpoint=data.endpoint,
        cohort=cohort,
        split=split,
        y=_floats(rows, "y"),
        time=time,
        event=event,
        months=months,
        recurred=recurred,
        fold=np.array([0 if folds is None else folds[patient] for patient in ids], dtype=np.int64),
        risks={model: _of(rows, ids, "risk") for model, rows in models.items()},
        horizon=data.horizon_months,
        timed=data.timed,
        completed={} if completed is None else _aligned(completed, ids),
        probabilities={model: _of(models[model], ids, "probability") for model in told},
        ids=ids,
    )


def _of(rows: Mapping[str, Prediction], ids: Sequence[str], name: str) -> Floats:
    """A number of the predictions of one model for some patients (n,), NaN where there is none."""
    return np.array([getattr(rows.get(patient), name, None) for patient in ids], dtype=np.float64)


def _aligned(completed: CompletedRisks, ids: Sequence[str]) -> dict[str, Floats]:
    """Completed risks (m, n) in the order of some patients; NaN for others than theirs."""
    row_of = {patient: row for row, patient in enumerate(completed.ids)}
    rows = np.array([row_of.get(patient, -1) for patient in ids], dtype=np.int64)
    return {model: np.where(rows < 0, np.nan, risks[:, rows]) for model, risks in completed.risks.items()}


def _floats(rows: pl.DataFrame, *names: str) -> Floats:
    """The first of some columns that there is, NaN where null (n,)."""
    name = next(name for name in names if name in rows.columns)
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
