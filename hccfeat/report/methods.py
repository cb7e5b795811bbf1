"""The methods paragraph, written from the settings, the results and the versions that made them."""

import re
from collections.abc import Mapping
from typing import Any

from hccfeat.analysis.modality_models import RECIPE
from hccfeat.analysis.results import EndpointResult, StudyReport
from hccfeat.report.formatting import (
    SPLIT_LABELS,
    fact_text,
    flat_facts,
    joined,
    metric_label,
    model_label,
    public_facts,
)
from hccfeat.report.methods_patients import judges_text, missing_text, treatment_text
from hccfeat.report.methods_results import base_name, judging_text, survival_text
from hccfeat.stats.estimate import count
from hccfeat.stats.survival import FEW_EVENTS

_LIBRARIES = (
    "hccfeat",
    "python",
    "torch",
    "scikit-learn",
    "xgboost",
    "lifelines",
    "scikit-survival",
    "statsmodels",
)

# Parts of a method that belong to one estimate and not to its model.
_OF_ONE_NUMBER = re.compile(r"95 %|^no interval|resamples|^\d+/\d+|^\d+ of \d+ |^no patient")
_COUNTS = re.compile(r"^\s*\d+/\d+,\s*| \(\d+ undefined left out\)")


def methods_text(report: StudyReport) -> list[str]:
    """Return the methods as plain paragraphs, ready to paste into a manuscript.

    Every statement comes from the report's own fields; what is not known is left unsaid.
    """
    paragraphs = [
        _study(report),
        _features(report),
        *(_endpoint(result) for result in report.endpoints),
        judges_text(report),
        missing_text(report),
        judging_text(report),
        survival_text(report),
        _modalities(report),
        treatment_text(report),
        _statistics(report),
        _not_done(report),
        _software(report.versions),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _study(report: StudyReport) -> str:
    cohorts = [
        f"{row.get('title') or row.get('cohort')} ({count(int(row.get('patients') or 0), 'patient')}, "
        f"{count(int(row.get('images') or 0), 'image')})"
        for row in report.cohorts
    ]
    start = "All data were simulated; nothing here is clinical evidence. " if report.simulated else ""
    return f"{start}The study comprised {joined(cohorts)}." if cohorts else start.strip()


def _features(report: StudyReport) -> str:
    facts = report.feature_set
    if facts is None:
        return "No image features were used; all models rest on the clinical table."
    name = facts.get("feature_set") or facts.get("name") or "unnamed"
    text = f"Image features came from feature set {name}"
    if facts.get("encoder"):
        text += f" (encoder {facts['encoder']}"
        text += f", weights SHA-256 {str(facts['weights_sha256'])[:16]}" if facts.get("weights_sha256") else ""
        text += ")"
    seen = encoder_text(facts)
    return f"{text}. {seen}." if seen else f"{text}."


def encoder_text(facts: Mapping[str, Any] | None) -> str:
    """Return how many patients trained, stopped or selected the encoder; empty where it is not known."""
    if facts is None or facts.get("patients_trained") is None:
        return ""
    parts = []
    for role in ("trained", "stopped", "selected"):
        value = facts.get(f"patients_{role}")
        number = len(value) if isinstance(value, list | tuple | set | frozenset) else value
        if isinstance(number, int) and number:
            parts.append(f"{count(number, 'patient')} {role}")
    if not parts:
        return "No patient of this study trained, stopped or selected the encoder"
    return f"{joined(parts)} the encoder, and the analysis refuses to judge a model on any of them"


def _endpoint(result: EndpointResult) -> str:
    horizon = f", horizon {result.horizon_months:g} months" if result.horizon_months is not None else ""
    rule = f" Label: {result.exclusion_rule.rstrip('.')}." if result.exclusion_rule else ""
    models = dict.fromkeys(m.model for m in result.metrics)
    described = [f"{model_label(model)}{_described(result, model)}" for model in models]
    compared = f" Models: {'; '.join(described)}." if described else ""
    return f"Endpoint {result.label} ({result.endpoint}{horizon}).{rule}{compared}"


def _modalities(report: StudyReport) -> str:
    found = [(result, comparison) for result in report.endpoints for comparison in result.modalities]
    if not found:
        return ""
    notes = " ".join(f"{result.label}, {SPLIT_LABELS[one.split]}: {one.note}." for result, one in found)
    return (
        "Modalities were compared by one recipe on the patients who have every modality, fitted in the training "
        f"patients alone: {RECIPE}. {notes} Differences in AUROC are paired (DeLong), with Holm's adjustment "
        "within a comparison; the best single modality is the one with the highest AUROC on the judges themselves, "
        "which works against all together. Encoders have seen the outcomes of the training patients, clinical "
        "items have not, so that a model fitted on both trusts the images too much."
    )


def _described(result: EndpointResult, model: str) -> str:
    """Return what a model is, from the method of its first metric, in brackets."""
    method = next((m.method for m in result.metrics if m.model == model), "")
    parts = [part.strip() for part in method.split(";")[1:]]
    own = [part for part in parts if part and not _OF_ONE_NUMBER.search(part)]
    return f" ({', '.join(own)})" if own else ""


def _intervals(report: StudyReport) -> list[str]:
    """Return ``metric by way`` for every metric with an interval, counts of single estimates left out."""
    ways: dict[str, dict[str, None]] = {}
    for result in report.endpoints:
        for metric in result.metrics:
            for part in metric.method.split(";"):
                if metric.lower is not None and "95 %" in part:
                    way = _COUNTS.sub("", part).strip()
                    ways.setdefault(way, {}).setdefault(metric_label(base_name(metric.metric)))
    return [f"{joined(labels)}, {way}" for way, labels in ways.items()]


def _statistics(report: StudyReport) -> str:
    sentences = []
    described = _intervals(report)
    if described:
        sentences.append(f"Intervals: {'; '.join(described)}.")
    if any(notice.kind == "few_events" for result in report.endpoints for notice in result.notices):
        sentences.append(f"With fewer than {FEW_EVENTS} events no P and no hazard ratio is given.")
    settings = [f"{name} = {text}" for name, text in setting_facts(report) if text]
    if settings:
        sentences.append(f"Settings: {', '.join(settings)}.")
    return " ".join(sentences)


def _not_done(report: StudyReport) -> str:
    """Declare what the analysis never does, because guidelines ask for it."""
    if not report.endpoints:
        return ""
    threshold = report.settings.get("analysis", {}).get("threshold")
    calls = f" The threshold of {threshold:g} is the study file's." if isinstance(threshold, float) else ""
    return (
        "No model was updated or recalibrated after it was judged. In the models compared here no class was "
        "weighted or resampled and no variable was selected by its P. The same steps were applied to every "
        f"patient. Models give a risk.{calls}"
    )


def setting_facts(report: StudyReport) -> list[tuple[str, str]]:
    """Return every setting as (dotted name, text); without images, not that of folds with encoders of their own."""
    facts = flat_facts(public_facts(report.settings))
    return [(name, text) for name, text in facts if report.feature_set is not None or name != "cross_validate"]


def _software(versions: Mapping[str, str]) -> str:
    if not versions:
        return ""
    first = [name for name in _LIBRARIES if name in versions]
    names = first + sorted(name for name in versions if name not in first)
    return f"Software: {', '.join(f'{name} {fact_text(versions[name])}' for name in names)}."
