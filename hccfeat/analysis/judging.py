"""Scores of one model on one set of patients: metrics, curves, risk groups and the conditions found on the way."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.curves import (
    calibration_curve,
    decision_curve,
    default_decisions,
    risk_distribution,
    risk_times,
    survival_curve,
)
from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.hazards import GroupTest, group_test, guarded_hazard, hazard_row, per_sd
from hccfeat.analysis.judge_metrics import estimates
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.proportionality import proportionality
from hccfeat.analysis.rating import Rating, followed_beyond, judging_times, rate, risk_of
from hccfeat.analysis.results import (
    CalibrationCurve,
    DecisionCurve,
    EndpointResult,
    GroupComparison,
    HazardRatio,
    Metric,
    Prediction,
    ProportionalityTest,
    RiskDistribution,
    RocCurve,
)
from hccfeat.config import AnalysisConfig
from hccfeat.stats.discrimination import auroc, roc_points
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.risksets import Ties

__all__ = [
    "GROUPS",
    "Verdict",
    "decisions_without_model",
    "estimates",
    "judge",
    "metric_row",
    "metric_rows",
    "model_decisions",
    "predictions",
    "rate",
    "risk_of",
    "risk_times",
]

GROUPS = ("low risk", "high risk")
OWN_PATIENTS = GroupTest(None, None, "", (), "no P, because the outcomes of these patients made the model", None)
"""Instead of a test of risk groups, where the patients are those of the fit."""


@dataclass
class Verdict:
    """What one model scored on one population, and what replaced or withheld any of it."""

    metrics: list[Metric] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    rocs: list[RocCurve] = field(default_factory=list)
    groups: list[GroupComparison] = field(default_factory=list)
    hazard_ratios: list[HazardRatio] = field(default_factory=list)
    calibrations: list[CalibrationCurve] = field(default_factory=list)
    decisions: list[DecisionCurve] = field(default_factory=list)
    distributions: list[RiskDistribution] = field(default_factory=list)
    proportionality: list[ProportionalityTest] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)

    def into(self, result: EndpointResult) -> None:
        """Append everything but the conditions, which are told per population."""
        for name, rows in vars(self).items():
            if name != "conditions":
                getattr(result, name).extend(rows)


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
    rating = rate(model, patients)
    verdict = Verdict()
    found = estimates(patients, rating, settings, horizon=data.horizon_months, timed=data.timed)
    verdict.metrics += metric_rows(data.endpoint, patients, model, found)
    verdict.predictions += predictions(data, model.name, patients, rating)
    labelled = patients.labelled
    if len(np.unique(patients.y[labelled])) == 2:
        x, y = roc_points(patients.y[labelled], rating.risk[labelled])
        area = auroc(patients.y[labelled], rating.risk[labelled]).value
        verdict.rocs.append(RocCurve(model.name, patients.cohort, patients.split, x, y, float(area or 0.0)))
    _add_curves(verdict, data, model.name, patients, rating)
    if cut is not None and patients.followed.any():
        _add_groups(verdict, data, model.name, patients, rating.risk, cut, settings)
    return verdict


def metric_rows(
    endpoint: str, patients: Population, model: FittedModel, found: dict[str, Estimate]
) -> list[Metric]:
    """The estimates of a model as rows of ``metrics.csv``."""
    note = model.method_note(patients)
    return [metric_row(endpoint, patients, model.name, metric, one, note) for metric, one in found.items()]


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


def predictions(data: EndpointData, model: str, patients: Population, rating: Rating) -> list[Prediction]:
    """The risk of each patient as a row, with the probability where the model gives one."""
    place = (data.endpoint, patients.cohort, patients.split, model)
    known: list[float | None] = [None] * len(patients)
    if rating.probability is not None:
        known = list(map(float, rating.probability))
    return [
        Prediction(*place, patient, float(risk), probability)
        for patient, risk, probability in zip(patients.ids, rating.risk, known, strict=True)
    ]


def _views(data: EndpointData, patients: Population) -> Iterable[tuple[float | None, NDArray[np.bool_]]]:
    """The label, and each judging time: what is predicted, and of whom that can be judged."""
    yield None, patients.labelled
    if data.timed:
        for when in judging_times(patients, data.horizon_months):
            if followed_beyond(patients, when) >= 2:
                yield when, patients.followed


def decisions_without_model(data: EndpointData, patients: Population) -> list[DecisionCurve]:
    """Net benefit of treating everybody and nobody, for the label and each judging time."""
    return [
        curve for when, keep in _views(data, patients) for curve in default_decisions(patients.take(keep), when)
    ]


def model_decisions(data: EndpointData, model: str, patients: Population, rating: Rating) -> list[DecisionCurve]:
    """Net benefit of a model for the label and each judging time at which it gives a probability."""
    found = []
    for when, keep in _views(data, patients):
        probability = rating.probability if when is None else rating.by(when, data.horizon_months)[0]
        if probability is not None:
            found.append(decision_curve(model, patients.take(keep), probability[keep], when))
    return [curve for curve in found if curve is not None]


def _add_curves(verdict: Verdict, data: EndpointData, model: str, patients: Population, rating: Rating) -> None:
    """Calibration and net benefit of the label and at each judging time, and the distribution of the risk."""
    verdict.decisions += model_decisions(data, model, patients, rating)
    for when, keep in _views(data, patients):
        probability = rating.probability if when is None else rating.by(when, data.horizon_months)[0]
        if probability is not None and keep.any():
            curve = calibration_curve(model, patients.take(keep), probability[keep], when)
            verdict.calibrations += [curve] if curve is not None else []
    labelled = patients.labelled
    risk = rating.risk if rating.probability is None else rating.probability
    unit = rating.probability is not None
    spread = risk_distribution(model, patients.take(labelled), risk[labelled], unit=unit)
    verdict.distributions += [spread] if spread is not None else []


def _add_groups(
    verdict: Verdict,
    data: EndpointData,
    model: str,
    patients: Population,
    risk: NDArray[np.float64],
    cut: float,
    settings: AnalysisConfig,
) -> None:
    """Risk groups (P1 readings 28 and 35): curves, log-rank, and hazard ratios of the group and per SD."""
    keep = patients.followed
    followed, risk = patients.take(keep), risk[keep]
    high = risk > cut
    marks = risk_times(followed.time, data.horizon_months)
    members = {name: mask for name, mask in zip(GROUPS, (~high, high), strict=True) if mask.any()}
    until = data.horizon_months or min(float(followed.time[mask].max()) for mask in members.values())
    curves = [survival_curve(name, followed.take(mask), marks, until) for name, mask in members.items()]
    notes = [f"no patient in the {name} group" for name in GROUPS if name not in members]
    test = OWN_PATIENTS
    if followed.split != "apparent":
        named = np.where(high, GROUPS[1], GROUPS[0])
        test = group_test(followed.time, followed.event, named, f"risk groups of {model}", settings.seed)
    notes += [test.note] if test.note else []
    verdict.conditions += [test.condition] if test.condition is not None else []
    place = (model, patients.cohort, patients.split)
    # The test sorts by label, "high risk" first.
    expected = dict(zip(sorted(members), test.expected, strict=False))
    verdict.groups.append(
        GroupComparison(
            *place,
            cut,
            tuple(curves),
            test.chisq,
            test.p,
            "; ".join(notes),
            test.test,
            tuple(expected[name] for name in members if name in expected),
        )
    )
    covariates = {"risk group": high.astype(float), "risk per SD": per_sd(risk)}
    _add_hazards(verdict, data, model, followed, covariates, settings.ties)


def _add_hazards(
    verdict: Verdict,
    data: EndpointData,
    model: str,
    followed: Population,
    covariates: dict[str, NDArray[np.float64]],
    ties: Ties,
) -> None:
    """A hazard ratio of each form of the risk, and whether it changes with time; no P for the patients of a fit."""
    own = followed.split == "apparent"
    apparent = ", apparent" if own else ""
    for kind, values in covariates.items():
        fit, condition = guarded_hazard(followed.time, followed.event, values, f"{kind} of {model}", ties)
        fit = replace(fit, p=None) if own else fit
        verdict.hazard_ratios.append(hazard_row(data.endpoint, followed.cohort, f"{kind}{apparent}", model, fit))
        if condition is not None:
            verdict.conditions.append(condition)
        if condition is not None or own:
            continue
        tests, changing = proportionality(followed, model, followed.time, followed.event, values, [kind], ties)
        verdict.proportionality += tests
        verdict.conditions += changing
