"""Curves, comparisons and tests of a sample report, made from random numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.interaction import Interaction
from hccfeat.analysis.overlap import Balance, Overlap
from hccfeat.analysis.results import (
    CalibrationCurve,
    CohortSurvival,
    DecisionCurve,
    EndpointResult,
    GroupComparison,
    IncidenceCurve,
    Metric,
    ModelComparison,
    ModelTest,
    Notice,
    ProportionalityTest,
    RiskDistribution,
    SplitRole,
    SubgroupMetric,
    SurvivalCurve,
)
from hccfeat.analysis.treatment import Comparison
from hccfeat.analysis.treatment_report import Benefit, TreatmentFindings
from hccfeat.stats.contingency import StandardisedDifference
from hccfeat.stats.cox import CoxEstimate, CoxModel, CoxTerm
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.groups import GroupTest
from hccfeat.stats.survival import LogRank
from hccfeat.stats.survival_difference import SurvivalDifference

Floats = NDArray[np.float64]


def km(time: Floats, event: NDArray[np.bool_], label: str, marks: Floats) -> SurvivalCurve:
    """A Kaplan-Meier curve with what is known at each step."""
    times = np.concatenate([[0.0], np.unique(time)])
    risk = np.array([(time >= t).sum() for t in times])
    died = np.array([((time == t) & event).sum() for t in times])
    survival = np.cumprod(1 - died / risk)
    width = 1.96 * np.sqrt(np.cumsum(died / (risk * np.maximum(risk - died, 1)))) * survival
    below = times[survival <= 0.5]
    median = float(below[0]) if len(below) else None
    mean = float(np.trapezoid(survival, times))
    return SurvivalCurve(
        *(label, times, survival, np.clip(survival - width, 0, 1), np.clip(survival + width, 0, 1), marks),
        *(np.array([(time >= m).sum() for m in marks]), len(time), int(event.sum()), median),
        step_at_risk=risk,
        step_events=died,
        median_lower=None if median is None else 0.8 * median,
        restricted_mean=mean,
        restricted_lower=0.9 * mean,
        restricted_upper=1.1 * mean,
        restricted_to=float(marks[-1]),
    )


def add_risk_curves(
    result: EndpointResult, cohort: str, split: SplitRole, risks: dict[str, Floats], event: NDArray[np.bool_]
) -> None:
    """Calibration, decision curves and distributions of every model, and metrics over time."""
    n, events = len(event), int(event.sum())
    prevalence = events / n
    months = result.horizon_months
    thresholds = np.arange(1, 100) / 100
    x = np.linspace(0.05, 0.85, 40)
    alone = {
        "treat all": prevalence - (1 - prevalence) * thresholds / (1 - thresholds),
        "treat none": 0 * thresholds,
    }
    for number, (model, risk) in enumerate(risks.items()):
        p = 1 / (1 + np.exp(-risk))
        seen = np.clip(x + 0.18 * np.sin(3 * x + number) * (0.3 + x), 0.01, 0.99)
        half = 0.05 + 0.12 * np.abs(x - 0.4)
        limits = np.clip(seen - half, 0, 1), np.clip(seen + half, 0, 1)
        result.calibrations.append(
            CalibrationCurve(model, cohort, split, months, x, seen, *limits, n, events, "smoothed log-log hazard")
        )
        edges = np.linspace(0, 1, 21)
        counts = (np.histogram(p[event], edges)[0], np.histogram(p[~event], edges)[0])
        result.distributions.append(RiskDistribution(model, cohort, split, edges, *counts))
        called = p[None, :] >= thresholds[:, None]
        odds = thresholds / (1 - thresholds)
        alone[model] = ((called & event).sum(1) - odds * (called & ~event).sum(1)) / n
    for model, benefit in alone.items():
        result.decisions.append(
            DecisionCurve(
                model, cohort, split, months, thresholds, benefit, n, events, "inverse probability weights"
            )
        )
    rng = np.random.default_rng(len(event))
    for model in risks:
        rows = [("ibs", 0.18), ("brier", 0.19), ("calibration_slope", 0.9), ("calibration_intercept", -0.06)]
        rows += [("ici", 0.05), ("e50", 0.04), ("e90", 0.11), ("c_uno", 0.66)]
        rows += [(f"auc_at_{when}", 0.7) for when in (6, 12, 18)] + [
            (f"brier_{when}", 0.17) for when in (6, 12, 18)
        ]
        for metric, middle in rows:
            value = middle + float(rng.normal(0, 0.02))
            how = f"{metric}; 95 % interval of the influence function; {model} as described"
            result.metrics.append(
                Metric(
                    *(result.endpoint, cohort, split, model, metric, value, value - 0.08, value + 0.08),
                    *(n, events, how),
                )
            )


def add_comparisons(result: EndpointResult, cohort: str, split: SplitRole, models: list[str], n: int) -> None:
    """Each model against the first, in three metrics."""
    rng = np.random.default_rng(n)
    place = (result.endpoint, cohort, split)
    first, *others = models
    for model in others:
        for metric in ("auroc", "c_index", "likelihood_ratio"):
            gap = float(rng.normal(0.03, 0.05))
            limits = (None, None) if metric == "likelihood_ratio" else (gap - 0.07, gap + 0.07)
            p = float(rng.uniform(0.001, 0.4))
            how = "paired bootstrap of patients, 1000 resamples; Holm inside cohort, split and metric"
            numbers = (gap if limits[0] is not None else 4.2, *limits, p, min(3 * p, 1.0))
            result.comparisons.append(ModelComparison(*place, model, first, metric, *numbers, n, n // 3, how))


def add_subgroups(result: EndpointResult, cohort: str, split: SplitRole, models: list[str], n: int) -> None:
    """Two models by sex, and a group with too few events."""
    for model in models[:2]:
        for level, value in (("female", 0.71), ("male", 0.66), ("not recorded", None)):
            limits = (None, None) if value is None else (value - 0.1, value + 0.1)
            size = (4, 1) if value is None else (n // 2, n // 6)
            how = "Harrell's C not estimated: only 1 events (fewer than 5)" if value is None else "Harrell's C"
            result.subgroups.append(
                SubgroupMetric(cohort, split, model, "sex", level, "c_index", value, *limits, *size, how)
            )


def add_survival(
    result: EndpointResult, cohort: str, split: SplitRole, time: Floats, event: NDArray[np.bool_], marks: Floats
) -> None:
    """Everybody's curve, competing events, and tests of Cox models."""
    everybody = km(time, event, "everybody", marks)
    result.survival.append(CohortSurvival(cohort, split, everybody, 31.5, 28.0, 35.2))
    died = (np.arange(len(time)) % 7 == 0) & ~event
    steps = np.unique(np.concatenate([[0.0], time]))
    for cause, which in (("recurrence", event), ("death before recurrence", died)):
        share = np.array([(which & (time <= t)).mean() for t in steps])
        band = 1.96 * np.sqrt(share * (1 - share) / len(time))
        limits = np.clip(share - band, 0, 1), np.clip(share + band, 0, 1)
        result.incidences.append(
            IncidenceCurve(
                *("everybody", cohort, split, "everybody", cause, steps, share, *limits, len(time)),
                *(int(which.sum()), "Aalen-Johansen, log-log limits"),
            )
        )
    for i, term in enumerate(("afp", "vascular_invasion", "GLOBAL")):
        p = (0.004, 0.38, 0.03)[i]
        result.proportionality.append(
            ProportionalityTest(cohort, split, "multivariable", term, 8.3 - 3 * i, 1 + i, p, "km", int(event.sum()))
        )
    for test, chisq in (("likelihood ratio", 18.2), ("Wald", 16.9), ("score", 17.4)):
        result.tests.append(
            ModelTest(
                cohort, split, "multivariable", test, chisq, 6, 0.006, len(time), int(event.sum()), "Efron ties"
            )
        )


def conditions() -> list[Notice]:
    """One condition of several kinds, as the guards of the analysis give them."""
    return [
        Notice(
            "caution",
            "Non-proportional hazards",
            "afp in internal, held out: P 0.004; its hazard ratio is an average over the follow-up.",
            "non_proportional",
        ),
        Notice(
            "caution",
            "Firth's penalised likelihood",
            "vascular_invasion separates the 73 judges: all 10 patients with it had the event.",
            "separation",
        ),
        Notice("stop", "No patient judged in centre 2", "All of its patients belong to one class.", "one_class"),
    ]


def treatment(model: str, endpoint: str) -> TreatmentFindings:
    """Treated and untreated patients of a simulated trial that was none."""
    rng = np.random.default_rng(9)
    months = rng.exponential(30, 60), rng.exponential(36, 40)
    events = rng.random(60) < 0.5, rng.random(40) < 0.4
    marks = np.array([0.0, 12.0, 24.0, 36.0])
    curves = tuple(
        km(t, e, name, marks) for t, e, name in zip(months, events, ("untreated", "sorafenib"), strict=True)
    )
    test = GroupTest("rank-sum", 0.31, 1200.0, (60, 40), (20.0, 24.0), (17.0, 21.0))
    hazard = CoxEstimate(0.8, 0.5, 1.3, 0.3, -0.22, 0.24, 100, 46)
    terms = tuple(
        CoxTerm(name, np.log(hr), 0.2, hr, hr / 1.5, hr * 1.5, 0.2)
        for name, hr in (("sorafenib", 0.8), ("PPS risk per SD", 1.6), ("sorafenib x PPS risk", 0.9))
    )
    cox = CoxModel(terms, -120.0, 100, 46, "efron", {})
    difference = SurvivalDifference(24.0, 0.08, -0.1, 0.26, (0.55, 0.63), (60, 40), (30, 16), (25, 20))
    smd = StandardisedDifference(0.31, -0.05, 0.67, (60, 40))
    none: dict[str, Any] = {}
    return TreatmentFindings(
        endpoint=endpoint,
        cohort="internal",
        model=model,
        who="held-out untreated and all treated patients",
        n=(60, 40),
        events=(30, 16),
        horizon_months=24.0,
        arms=Comparison(
            *("arms", ("untreated", "sorafenib"), (60, 40), (30, 16), months, events, test),
            *(LogRank(1.0, 0.32), hazard, (difference,)),
            GroupComparison("arms", "internal", "held_out", float("nan"), curves, 1.0, 0.32),
        ),
        interactions=(Interaction("adjusted", cox, cox, 0.4, 1, 0.53, (60, 40), (30, 16), 2, none),),
        benefits=tuple(
            Benefit(name, 0.1 + 0.2 * i, 0.3 + 0.2 * i, difference)
            for i, name in enumerate(("all patients", "lowest third", "middle third", "highest third"))
        ),
        balance=tuple(Balance(name, 0.4, 0.55, smd, (1, 0)) for name in ("vascular_invasion", "afp", "bclc")),
        overlap=Overlap(
            np.linspace(0, 1, 11),
            rng.integers(0, 12, 10),
            rng.integers(0, 9, 10),
            Estimate(0.64, 0.53, 0.75, 100, 40, "DeLong"),
            (4, 2),
            "logistic regression of treatment on the covariates",
        ),
        cautions=(
            "Treatment was not randomised.",
            "Whoever had the event before treatment could begin counts as untreated.",
        ),
    )
