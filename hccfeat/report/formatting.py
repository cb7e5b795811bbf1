"""Numbers and names as the report prints them."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hccfeat.analysis.results import ConditionKind, SplitRole

MISSING = "–"
APPARENT = "apparent: not evidence of performance"
SPLIT_LABELS: dict[SplitRole, str] = {
    "held_out": "held out",
    "external": "external cohort",
    "cross_validation": "cross-validation",
    "apparent": APPARENT,
}
SPLIT_ORDER: tuple[SplitRole, ...] = ("held_out", "external", "cross_validation", "apparent")
METRIC_LABELS = {
    "auroc": "AUROC",
    "auc": "AUROC",
    "aupr": "AUPR",
    "auprc": "AUPR",
    "average_precision": "AUPR",
    "c_index": "C-index",
    "harrell_c": "C-index",
    "harrell_c_index": "C-index",
    "c_index_harrell": "C-index",
    "c_uno": "Uno's C",
    "auc_at": "AUC",
    "ibs": "Integrated Brier score",
    "brier": "Brier score",
    "brier_scaled": "Scaled Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "observed_expected": "O/E ratio",
    "ici": "ICI",
    "e50": "E50",
    "e90": "E90",
    "net_benefit": "Net benefit",
    "likelihood_ratio": "Likelihood ratio χ²",
    "likelihood_ratio_imputed": "Likelihood ratio χ², imputed",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "f1_score": "F1",
    "prevalence": "Prevalence",
}
CONDITION_LABELS: dict[ConditionKind, str] = {
    "few_events": "Too few events",
    "group_without_events": "A group without events",
    "separation": "Separation",
    "non_proportional": "Non-proportional hazards",
    "collinear": "Collinear variables",
    "beyond_follow_up": "Horizon beyond follow-up",
    "one_class": "One class only",
    "missingness": "Missing values",
    "too_many_parameters": "More parameters than events allow",
    "few_expected": "Few expected events",
}
CORRECTED = "_corrected"
IMPUTED = "_imputed"
MODEL_LABELS = {
    "pps_mlp": "PPS-MLP",
    "clinical_logistic": "Clinical logistic",
    "integrated_logistic": "Integrated logistic",
    "xgboost": "XGBoost",
    "mean_colour_logistic": "Mean colour (control)",
    "mri_mlp": "MRI-MLP",
    "cox_clinical": "Cox, indicators",
    "coxnet": "Coxnet",
    "survival_forest": "Random survival forest",
    "xgboost_cox": "XGBoost, Cox",
    "attention_mil": "Attention MIL",
    "treat all": "Treat all",
    "treat none": "Treat none",
}
RISK_SCALES = {
    "cox_clinical": "log hazard",
    "coxnet": "log hazard",
    "xgboost_cox": "log hazard",
    "survival_forest": "expected events",
}
"""What the risk of a model is on, where it is no probability."""
METRIC_ORDER = tuple(dict.fromkeys(METRIC_LABELS.values()))


@dataclass(frozen=True)
class MetricName:
    """A metric's name taken apart: ``auc_at_12_corrected`` is ``auc_at``, 12 months, corrected for optimism."""

    base: str
    months: float | None
    corrected: bool


def is_number(value: Any) -> bool:
    """Tell whether ``value`` is a finite number."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, decimals: int = 3) -> str:
    """Return a number with a fixed count of decimals, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return _unbounded(value)
    text = f"{value:.{decimals}f}"
    return text if float(text) else text.removeprefix("-")


def significant(value: float | None, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, trailing zeros kept (HR 1.060, not 1.06)."""
    if value is None or not math.isfinite(value):
        return _unbounded(value)
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}")))), 0)
    return f"{value:.{decimals}f}"


def ratio(value: float | None) -> str:
    """Return a ratio with four significant digits, or two of its distance from 1 where that is less (1.00057)."""
    distance = abs(value - 1) if value is not None and math.isfinite(value) else 0.0
    if not 1e-6 <= distance < 0.005:
        return significant(value)
    return f"{value:.{1 - math.floor(math.log10(distance))}f}"


def p_value(p: float | None) -> str:
    """Return a P value with three decimals, or ``<0.001``."""
    if p is None or not math.isfinite(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def interval(lower: float | None, upper: float | None, decimals: int = 3) -> str:
    """Return ``lower–upper``, empty where either is missing."""
    if lower is None or upper is None or math.isnan(lower) or math.isnan(upper):
        return ""
    dash = " to " if lower < 0 else "–"
    return f"{fixed(lower, decimals)}{dash}{fixed(upper, decimals)}"


def with_interval(estimate: float | None, lower: float | None, upper: float | None, decimals: int = 2) -> str:
    """Return ``estimate (lower–upper)``."""
    limits = interval(lower, upper, decimals)
    return f"{fixed(estimate, decimals)} ({limits})" if limits else fixed(estimate, decimals)


def metric_parts(metric: str) -> MetricName:
    """Take a metric's name apart."""
    name = metric.removesuffix(CORRECTED)
    timed = re.fullmatch(r"(.+)_(\d+(?:\.\d+)?)", name)
    base, months = (timed[1], float(timed[2])) if timed else (name, None)
    return MetricName(base, months, corrected=metric != name)


def metric_label(metric: str, horizon: float | None = None, threshold: float | None = None) -> str:
    """Return the printed name of a metric: ``AUC at 12 months``; a correction for optimism is not named.

    The AUC without months is that at the ``horizon``; the net benefit is that at the ``threshold``.
    """
    parts = metric_parts(metric)
    base = parts.base.replace("_", " ")
    label = METRIC_LABELS.get(base.lower().replace("-", "_").replace(" ", "_"), base)
    if parts.base == "net_benefit" and threshold is not None:
        label += f" at {threshold:g}"
    months = parts.months if parts.months is not None or parts.base != "auc_at" else horizon
    return label if months is None else f"{label} at {months:g} months"


def metric_rank(metric: str) -> tuple[int, float]:
    """Return where a metric stands among others."""
    parts = metric_parts(metric)
    label = metric_label(parts.base)
    return METRIC_ORDER.index(label) if label in METRIC_ORDER else len(METRIC_ORDER), parts.months or 0.0


def model_label(model: str) -> str:
    """Return the printed name of a model; the data files keep its own."""
    own = model.removesuffix(IMPUTED)
    return MODEL_LABELS.get(own, own) + (", imputed" if own != model else "")


def risk_scale(model: str) -> str:
    """Return what the risk of a model is measured on; empty for a model that is not one of ours."""
    own = model.removesuffix(IMPUTED)
    return RISK_SCALES.get(own, "probability") if own in MODEL_LABELS else ""


def with_printed_names(text: str, labels: Mapping[str, str] | None = None) -> str:
    """Return a text with the printed names of the models and of the clinical variables (``labels``) in it.

    A variable stays whose printed name has it as a word, or differs in the first letter alone: "treatment" and
    "age" are common words.
    """
    names = {name: model_label(name) for name in MODEL_LABELS if " " not in name}
    names |= {f"{name}{IMPUTED}": model_label(f"{name}{IMPUTED}") for name in names}
    names |= {name: label for name, label in (labels or {}).items() if name not in _plain(label)}
    words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"\b(?:{words})\b", lambda found: names[found[0]], text)


def _plain(label: str) -> set[str]:
    """Return the words of a printed name, and the whole of it with a small first letter."""
    return {*label.split(), label[:1].lower() + label[1:]}


def ratio_p_label(fits: Iterable[str]) -> str:
    """Return of which test the P values of some fits are, from their ties or methods: Firth's are not Wald's."""
    firth = ["Firth" in fit for fit in fits]
    if not any(firth):
        return "P (Wald)"
    return "P (likelihood ratio)" if all(firth) else "P (Wald; Firth: likelihood ratio)"


def p_words(p: float | None) -> str:
    """Return ``P 0.031`` for a sentence, ``no P`` where there is none."""
    return "no P" if p is None or not math.isfinite(p) else f"P {p_value(p)}"


def cox_label(ties: Iterable[str]) -> str:
    """Return ``Cox``, with the treatment of ties where some fit has Breslow's and no penalty."""
    return "Cox, Breslow ties" if "breslow" in ties else "Cox"


def joined(words: Iterable[str]) -> str:
    """Return ``a, b and c``."""
    items = list(words)
    return items[0] if len(items) == 1 else " and ".join([", ".join(items[:-1]), items[-1]]) if items else ""


def public_facts(value: Any, key: str = "") -> Any:
    """Return ``value`` without lists of patients or images: those become their counts.

    Nested mappings are followed. A report never names a patient.
    """
    if isinstance(value, Mapping):
        return {str(k): public_facts(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        if any(word in key.lower() for word in ("patient", "image", "seen")):
            return len(value)
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [public_facts(item) for item in items]
    return value


def flat_facts(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return ``(dotted name, text)`` of every leaf of nested mappings, sorted by name."""
    facts: list[tuple[str, str]] = []
    for key in sorted(value, key=str):
        item = value[key]
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            facts += flat_facts(item, f"{name}.")
        else:
            facts.append((name, fact_text(item)))
    return facts


def fact_text(value: Any) -> str:
    """Return one setting as text."""
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, list | tuple):
        return ", ".join(fact_text(item) for item in value)
    return str(value)


def _unbounded(value: float | None) -> str:
    if value is None or math.isnan(value):
        return MISSING
    return "∞" if value > 0 else "-∞"
