"""A realistic study report, made from random numbers: what the report's tests read."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hccfeat.analysis.results import (
    EndpointResult,
    GroupComparison,
    HazardRatio,
    LogisticTerm,
    Metric,
    Notice,
    Prediction,
    RocCurve,
    SplitRole,
    StudyReport,
    SubgroupMetric,
    SurvivalCurve,
)
from tests.report.sample_curves import (
    add_comparisons,
    add_risk_curves,
    add_subgroups,
    add_survival,
    conditions,
    km,
    treatment,
)

MODELS = {
    "pps_mlp": (0.95, "prognostic network on image PPS, mean over images; fitted on 182 patients"),
    "clinical_logistic": (
        0.65,
        "logistic regression (L2, C = 1) on 6 standardised indicators, training medians for missing ones; "
        "fitted on 182 patients; 3 of 73 patients lack an indicator",
    ),
    "integrated_logistic": (1.1, "logistic regression on the PPS risk and 6 indicators; fitted on 182 patients"),
    "xgboost": (0.8, "xgboost, 200 trees of depth 3, eta 0.1; fitted on 182 patients"),
    "mean_colour_logistic": (0.02, "control: logistic regression on the mean colour; fitted on 182 patients"),
}
PLACES: tuple[tuple[SplitRole, str, int], ...] = (
    ("apparent", "internal", 182),
    ("held_out", "internal", 73),
    ("external", "external", 78),
)
INDICATORS = ("hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion")


def place_results(result: EndpointResult, place: tuple[SplitRole, str, int], seed: int) -> None:
    split, cohort, n = place
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    horizon = result.horizon_months or 60.0
    raw = rng.exponential(horizon * 1.6 * np.exp(-0.8 * truth))
    censor = rng.uniform(horizon * 0.5, horizon * 1.6, n)
    time = np.minimum(np.minimum(raw, censor), horizon)
    event = raw <= np.minimum(censor, horizon)
    marks = np.linspace(0, horizon, 5)
    key = (result.endpoint, cohort)
    risks: dict[str, NDArray[np.float64]] = {}
    for model, (strength, description) in MODELS.items():
        risk = risks[model] = strength * truth + rng.normal(size=n)
        order = np.argsort(-risk)
        tpr = np.concatenate([[0], np.cumsum(event[order]) / event.sum()])
        fpr = np.concatenate([[0], np.cumsum(~event[order]) / (~event).sum()])
        auroc = float(np.trapezoid(tpr, fpr))
        result.rocs.append(RocCurve(model, cohort, split, fpr, tpr, auroc))
        note = f"95 % percentile bootstrap over patients, 1000 resamples; {description}"
        for metric, value, half, how in (
            ("auroc", auroc, 0.09, f"AUROC; 95 % interval of DeLong, patient level; {description}"),
            ("auprc", auroc - 0.12, 0.11, f"average precision, prevalence 0.35; {note}"),
            (
                "accuracy",
                auroc - 0.04,
                0.1,
                f"accuracy at risk >= 0.5; 51/73, 95 % interval of Wilson; {description}",
            ),
            ("precision", auroc - 0.1, 0.13, f"precision; 12/20, 95 % interval of Wilson; {description}"),
            ("recall", auroc - 0.15, 0.13, f"recall; 12/25, 95 % interval of Wilson; {description}"),
            (
                "f1",
                auroc - 0.13,
                None,
                f"F1; no interval: undefined in 400 of 1000 patient resamples; {description}",
            ),
            ("c_index", auroc - 0.03, 0.07, f"Harrell's C; {note}"),
        ):
            lower, upper = (None, None) if half is None else (value - half, min(value + half, 1.0))
            missing = model == "mean_colour_logistic" and metric in ("precision", "f1")
            result.metrics.append(
                Metric(
                    *(*key, split, model, metric),
                    *((None, None, None) if missing else (value, lower, upper)),
                    *(n, int(event.sum())),
                    f"{metric} not estimated: no patient is called positive; {description}" if missing else how,
                )
            )
        result.predictions += [
            Prediction(result.endpoint, cohort, split, model, f"{cohort}/SECRET{i:04d}", float(r))
            for i, r in enumerate(risk)
        ]
        high = risk > np.median(risk)
        curves = (km(time[~high], event[~high], "low risk", marks), km(time[high], event[high], "high risk", marks))
        chisq = float(rng.chisquare(1) + 8 * strength)
        result.groups.append(
            GroupComparison(model, cohort, split, 0.4137, curves, chisq, float(np.exp(-chisq / 2)))
        )
        apparent = ", apparent" if split == "apparent" else ""
        for kind, factor in (("risk group", 2.0), ("risk per SD", 1.0)):
            hr = float(np.exp(factor * strength * 0.7))
            result.hazard_ratios.append(
                HazardRatio(
                    *(*key, f"{kind}{apparent}", model, hr, hr / 1.7, hr * 1.7, 0.0004 if strength > 0.5 else 0.71),
                    *(n, int(event.sum()), "efron"),
                )
            )
    add_risk_curves(result, cohort, split, risks, event)
    add_survival(result, cohort, split, time, event, marks)
    if split != "apparent":
        add_comparisons(result, cohort, split, list(MODELS)[::-1], n)
        add_subgroups(result, cohort, split, list(MODELS), n)
    kind = "univariable, apparent" if split == "apparent" else "univariable"
    for i, term in enumerate(INDICATORS):
        hr = (1.0612345678901234, 1.0003, 1.31, 1.12, 1.74, None)[i]
        limits = (None, None, None) if hr is None else (hr / 1.4, hr * 1.4, 0.02 + 0.1 * i)
        result.hazard_ratios.append(HazardRatio(*key, kind, term, hr, *limits, n, int(event.sum()), "efron"))


def endpoint(name: str, label: str, horizon: float | None, seed: int) -> EndpointResult:
    rule = "recurrence-free and followed for less than the horizon; death before it without recurrence"
    result = EndpointResult(name, label, horizon, rule)
    for i, place in enumerate(PLACES):
        place_results(result, place, 10 * seed + i)
        split, cohort, n = place
        result.attrition.append(
            {
                "cohort": cohort,
                "split": split,
                "patients": n + 9,
                "labelled": n,
                "events": n // 3,
                "excluded": 9,
                "reason": "died before the horizon without recurrence (4); followed too short (5)",
            }
        )
    result.logistic["clinical_logistic"] = [
        LogisticTerm("Intercept", -1.6234, 0.41, 0.197, 0.088, 0.44, 0.00008),
        LogisticTerm("hbsag", 0.4451, 0.32, 1.5607, 0.833, 2.92, 0.164),
        LogisticTerm("vascular_invasion", 0.9312, 0.35, 2.5375, 1.278, 5.04, 0.0078),
    ]
    result.notices.append(
        Notice("caution", "Few events per parameter", "The 182 training patients have 49 events for 6 indicators.")
    )
    result.notices.append(Notice("info", "Ties", "Ties are handled by Efron's method."))
    if horizon == 24.0:
        result.notices += conditions()
        result.treatment = treatment("pps_mlp", name)
    return result


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = np.clip(rng.normal((205, 150, 190), 18, (64, 64, 3)), 0, 255).astype(np.uint8)
    for x, y in rng.integers(4, 58, (14, 2)):
        pixels[y : y + 5, x : x + 4] = (96, 60, 130)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


SETTINGS: dict[str, Any] = {
    "endpoints": ["1y", "2y"],
    "cohort": "internal",
    "external": ["external"],
    "feature_set": "demo-1",
    "cross_validate": False,
    "development_cohort": "internal",
    "split": {"test_fraction": 0.2, "folds": 5, "seed": 2023},
    "analysis": {"bootstraps": 1000, "seed": 2023, "threshold": 0.5},
}
VERSIONS = {
    "hccfeat": "0.1.0",
    "python": "3.11.9",
    "torch": "2.15.0",
    "lifelines": "0.30.0",
    "scikit-survival": "0.28.0",
    "scikit-learn": "1.8.0",
    "duckdb": "2.0.0",
}


def full_report() -> StudyReport:
    """A simulated study with images, a development and an external cohort, and two endpoints."""
    return StudyReport(
        study="demo",
        title="Recurrence of hepatocellular carcinoma after resection",
        simulated=True,
        run_id="analyze-3fa94c1d02be",
        created="2026-11-22T02:43:00+00:00",
        settings=SETTINGS,
        versions=VERSIONS,
        cohorts=[
            {
                "cohort": "internal",
                "title": "Simulated tissue cores",
                "format": "plain",
                "simulated": True,
                "patients": 255,
                "images": 512,
                "image_patients": 251,
                "note": "development cohort",
            },
            {
                "cohort": "external",
                "title": "Simulated slides of another scanner",
                "format": "plain",
                "simulated": True,
                "patients": 78,
                "images": 78,
                "image_patients": 78,
                "note": None,
            },
        ],
        attrition=[
            {
                "cohort": "internal",
                "step_number": 1,
                "step": "rows in the table",
                "n": 262,
                "excluded": 0,
                "reason": None,
            },
            {
                "cohort": "internal",
                "step_number": 2,
                "step": "one row per patient",
                "n": 258,
                "excluded": 4,
                "reason": "duplicate patient",
            },
            {
                "cohort": "internal",
                "step_number": 3,
                "step": "patients with an outcome",
                "n": 255,
                "excluded": 3,
                "reason": "negative or missing survival time",
            },
            {
                "cohort": "external",
                "step_number": 1,
                "step": "rows in the table",
                "n": 78,
                "excluded": 0,
                "reason": None,
            },
            {
                "cohort": "external",
                "step_number": 2,
                "step": "patients with an outcome",
                "n": 78,
                "excluded": 0,
                "reason": None,
            },
        ],
        baseline=[
            {
                "variable": "Age, years",
                "level": "median (IQR)",
                "internal, training": "58 (49–66)",
                "internal, held out": "57 (50–64)",
                "external": "61 (52–70)",
            },
            {
                "variable": "Sex",
                "level": "male",
                "internal, training": "148 (81 %)",
                "internal, held out": "60 (82 %)",
                "external": "51 (65 %)",
            },
            {
                "variable": "Sex",
                "level": "female",
                "internal, training": "34 (19 %)",
                "internal, held out": "13 (18 %)",
                "external": "27 (35 %)",
            },
            {
                "variable": "AFP, ng/mL",
                "level": "median (IQR)",
                "internal, training": "46 (7–410)",
                "internal, held out": "51 (6–388)",
                "external": "38 (5–290)",
            },
            {
                "variable": "AFP, ng/mL",
                "level": "missing",
                "internal, training": "4",
                "internal, held out": "2",
                "external": "1",
            },
        ],
        feature_set={
            "feature_set": "demo-1",
            "encoder": "cnn_sasm",
            "dim": 128,
            "weights_sha256": "9f2c" * 16,
            "patients_trained": 182,
            "recipe": {"patches": {"size_px": 64, "target_mpp": 1.0}, "training": {"subset": "1/2", "seed": 2023}},
        },
        endpoints=[
            endpoint("1y", "Recurrence within 1 year", 12.0, 1),
            endpoint("2y", "Recurrence within 2 years", 24.0, 2),
        ],
        example_patches=[(f"core {i}", picture(i)) for i in range(6)],
    )


def clinical_report() -> StudyReport:
    """A real clinical-only cohort: no images, no feature set, apparent figures only."""
    result = EndpointResult("final", "Recurrence at last follow-up", None, "")
    place_results(result, ("apparent", "li2014", 227), 7)
    kept = ("clinical_logistic", "treat all", "treat none")
    for listed in (result.metrics, result.rocs, result.groups, result.calibrations, result.distributions):
        listed[:] = [item for item in listed if item.model in kept]
    result.decisions = [item for item in result.decisions if item.model in kept]
    corrected = [m for m in result.metrics if m.metric in ("c_index", "calibration_slope", "auc_at_12")]
    result.metrics += [replace(m, metric=f"{m.metric}_corrected", estimate=0.61) for m in corrected]
    result.hazard_ratios = [
        HazardRatio(r.endpoint, r.cohort, "univariable", r.term, r.hr, r.lower, r.upper, r.p, r.n, r.events, r.ties)
        for r in result.hazard_ratios
        if "univariable" in r.kind
    ]
    result.logistic["li2014"] = [LogisticTerm("Tumorsize", 0.5512, 0.28, 1.735, 1.0, 3.0, 0.049)]
    result.attrition.append(
        {
            "cohort": "li2014",
            "split": "apparent",
            "patients": 227,
            "labelled": 227,
            "events": 143,
            "excluded": 0,
            "reason": "",
        }
    )
    full = full_report()
    return StudyReport(
        study="li2014",
        title="Clinical table of Li 2014",
        simulated=False,
        run_id="analyze-00aa11bb22cc",
        created=full.created,
        settings=full.settings,
        versions=full.versions,
        cohorts=[
            {
                "cohort": "li2014",
                "title": "Li 2014, 227 resected patients",
                "format": "plain",
                "simulated": False,
                "patients": 227,
                "images": 0,
                "image_patients": 0,
                "note": "coding of the source kept",
            },
        ],
        attrition=[
            {
                "cohort": "li2014",
                "step_number": 1,
                "step": "rows in the table",
                "n": 227,
                "excluded": 0,
                "reason": None,
            },
            {"cohort": "li2014", "step_number": 2, "step": "patients", "n": 227, "excluded": 0, "reason": None},
        ],
        baseline=full.baseline[:3],
        feature_set=None,
        endpoints=[result],
    )


def hostile_report() -> StudyReport:
    """Names that try to become markup, and every other field empty."""
    evil = "<script>alert(1)</script>"
    result = EndpointResult(evil, f"Endpoint {evil} $x_1$", 12.0, evil)
    place_results(result, ("held_out", evil, 40), 3)
    result.notices.append(Notice("stop", evil, f'"{evil}'))
    result.attrition.append({"cohort": evil, "split": "held_out", "patients": 40, "reason": evil})
    result.logistic[evil] = [LogisticTerm(evil, 1.0, 0.1, 2.7, 2.0, 3.0, 0.5)]
    result.metrics[0] = Metric(evil, evil, "held_out", evil, evil, 0.5, 0.4, 0.6, 1, 1, f"x; {evil}")
    result.subgroups[0] = SubgroupMetric(evil, "held_out", evil, evil, evil, "c_index", 0.5, 0.4, 0.6, 1, 1, evil)
    result.hazard_ratios[0] = HazardRatio(evil, evil, evil, evil, 1.0, 0.5, 2.0, 0.5, 3, 2, evil)
    group = result.groups[0]
    curve = group.curves[0]
    named = SurvivalCurve(evil, *(getattr(curve, f) for f in list(SurvivalCurve.__dataclass_fields__)[1:]))
    result.groups[0] = GroupComparison(evil, evil, "held_out", 0.1, (named,), None, None, evil)
    return StudyReport(
        study=evil,
        title=evil,
        simulated=True,
        run_id=evil,
        created=evil,
        settings={evil: evil},
        versions={evil: evil},
        cohorts=[{"cohort": evil, "title": evil, "note": evil, "patients": 3, "images": 2}],
        attrition=[{"cohort": evil, "step_number": 1, "step": evil, "n": 3, "excluded": 1, "reason": evil}],
        baseline=[{"variable": evil, "level": evil, evil: evil}],
        feature_set={evil: evil, "recipe": {evil: evil}, "patients_trained": [evil, evil]},
        endpoints=[result],
        example_patches=[(f'{evil}" onerror="alert(1)', picture(0))],
    )
