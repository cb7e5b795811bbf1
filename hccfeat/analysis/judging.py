"""Scores of one model on one set of patients: metrics, curves and risk groups."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.hazards import hazard_row, per_sd
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.results import (
    GroupComparison,
    HazardRatio,
    Metric,
    Prediction,
    RocCurve,
    SurvivalCurve,
)
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import cox_univariable
from hccfeat.stats.discrimination import auroc, average_precision, roc_points
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.survival import harrell_c, kaplan_meier, logrank
from hccfeat.stats.threshold import threshold_metrics

MOST_RISK_TIMES = 8
GROUPS = ("low risk", "high risk")


@dataclass
class Verdict:
    """What one model scored on one population; ``withheld`` maps hazard-ratio terms to the reason."""

    metrics: list[Metric] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    rocs: list[RocCurve] = field(default_factory=list)
    groups: list[GroupComparison] = field(default_factory=list)
    hazard_ratios: list[HazardRatio] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)


def risk_of(model: FittedModel, patients: Population) -> NDArray[np.float64]:
    """Predicted risk of each patient (n,).

    Raises
    ------
    AnalysisError
        If the model gives anything but one finite number per patient.
    """
    risk = np.asarray(model.predict(patients), dtype=np.float64)
    if risk.shape != (len(patients),) or not np.isfinite(risk).all():
        raise AnalysisError(
            f"model {model.name}", "gave risks that are not finite numbers", "Check the embeddings with `verify`."
        )
    return risk


def estimates(
    patients: Population, risk: NDArray[np.float64], settings: AnalysisConfig, *, timed: bool = True
) -> dict[str, Estimate]:
    """Every metric of a risk: on labelled patients, and, ``timed``, Harrell's C on those with a survival time."""
    labelled, followed = patients.labelled, patients.followed
    y, r = patients.y[labelled], risk[labelled]
    draw = {"resamples": settings.bootstraps, "seed": settings.seed}
    found = {
        "auroc": auroc(y, r),
        "auprc": average_precision(y, r, **draw),
        **threshold_metrics(y, r, settings.threshold, **draw),
    }
    if timed:
        found["c_index"] = harrell_c(patients.time[followed], patients.event[followed], risk[followed], **draw)
    return found


def judge(
    data: EndpointData, model: FittedModel, patients: Population, settings: AnalysisConfig, cut: float | None
) -> Verdict:
    """Score a model on patients.

    Parameters
    ----------
    data : EndpointData
        Names the endpoint and its horizon.
    model : FittedModel
        Already fitted.
    patients : Population
        The judges; their ``split`` names the rows.
    settings : AnalysisConfig
        Threshold, bootstraps, seed.
    cut : float or None
        Median risk of the training patients, which separates the risk groups; None makes no groups.
    """
    risk = risk_of(model, patients)
    verdict = Verdict()
    note = model.method_note(patients)
    for metric, found in estimates(patients, risk, settings, timed=data.timed).items():
        verdict.metrics.append(metric_row(data.endpoint, patients, model.name, metric, found, note))
    for patient, value in zip(patients.ids, risk, strict=True):
        verdict.predictions.append(
            Prediction(data.endpoint, patients.cohort, patients.split, model.name, patient, float(value))
        )
    labelled = patients.labelled
    if len(np.unique(patients.y[labelled])) == 2:
        x, y = roc_points(patients.y[labelled], risk[labelled])
        area = auroc(patients.y[labelled], risk[labelled]).value
        verdict.rocs.append(RocCurve(model.name, patients.cohort, patients.split, x, y, float(area or 0.0)))
    if cut is not None and patients.followed.any():
        _add_groups(verdict, data, model.name, patients, risk, cut)
    return verdict


def metric_row(endpoint: str, patients: Population, model: str, metric: str, found: Estimate, note: str) -> Metric:
    """An estimate as a row of ``metrics.csv``."""
    return Metric(
        endpoint,
        patients.cohort,
        patients.split,
        model,
        metric,
        found.value,
        found.lower,
        found.upper,
        found.n,
        found.events,
        f"{found.method}; {note}",
    )


def _add_groups(
    verdict: Verdict, data: EndpointData, model: str, patients: Population, risk: NDArray[np.float64], cut: float
) -> None:
    """Risk groups (P1 readings 28 and 35): curves, log-rank, and hazard ratios of the group and per SD."""
    keep = patients.followed
    time, event, risk = patients.time[keep], patients.event[keep], risk[keep]
    high = risk > cut
    marks = risk_times(time, data.horizon_months)
    curves, notes = [], []
    for name, members in zip(GROUPS, (~high, high), strict=True):
        if not members.any():
            notes.append(f"no patient in the {name} group")
            continue
        km = kaplan_meier(time[members], event[members], marks)
        curves.append(
            SurvivalCurve(
                name,
                km.times,
                km.survival,
                km.lower,
                km.upper,
                km.risk_times,
                km.at_risk,
                km.n,
                km.events,
                km.median,
            )
        )
    test = logrank(time, event, np.where(high, GROUPS[1], GROUPS[0]))
    if test.reason:
        notes.append(f"log-rank test withheld: {test.reason}")
    verdict.groups.append(
        GroupComparison(
            model, patients.cohort, patients.split, cut, tuple(curves), test.chisq, test.p, "; ".join(notes)
        )
    )
    apparent = ", apparent" if patients.split == "apparent" else ""
    fits = {
        f"risk group{apparent}": cox_univariable(time, event, high.astype(float)),
        f"risk per SD{apparent}": cox_univariable(time, event, per_sd(risk)),
    }
    for kind, fit in fits.items():
        verdict.hazard_ratios.append(hazard_row(data.endpoint, patients.cohort, kind, model, fit))
        if fit.reason:
            verdict.withheld[f"{kind} of {model}"] = fit.reason


def risk_times(time: NDArray[np.float64], horizon: float | None) -> NDArray[np.float64]:
    """Round times in months at which numbers at risk are shown: quarters of the horizon, or whole years."""
    if horizon is not None:
        return np.linspace(0.0, horizon, 5)
    last = float(time.max(initial=0.0))
    step = 12.0 * max(1, int(np.ceil(last / 12 / MOST_RISK_TIMES)))
    return np.arange(0.0, last + 1e-9, step)
