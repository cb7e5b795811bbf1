"""Numbers and names as the report prints them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hccfeat.analysis.results import SplitRole

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
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "f1_score": "F1",
    "prevalence": "Prevalence",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
}
MODEL_LABELS = {
    "pps_mlp": "PPS-MLP",
    "clinical_logistic": "Clinical logistic",
    "integrated_logistic": "Integrated logistic",
    "xgboost": "XGBoost",
    "mean_colour_logistic": "Mean colour (control)",
    "mri_mlp": "MRI-MLP",
}
METRIC_ORDER = tuple(dict.fromkeys(METRIC_LABELS.values()))


def is_number(value: Any) -> bool:
    """Tell whether ``value`` is a finite number."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, decimals: int = 3) -> str:
    """Return a number with a fixed count of decimals, or a dash where there is none."""
    return f"{value:.{decimals}f}" if value is not None and math.isfinite(value) else _unbounded(value)


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


def metric_label(metric: str) -> str:
    """Return the printed name of a metric."""
    return METRIC_LABELS.get(metric.lower().replace("-", "_").replace(" ", "_"), metric.replace("_", " "))


def model_label(model: str) -> str:
    """Return the printed name of a model; the data files keep its own."""
    return MODEL_LABELS.get(model, model)


def count(n: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 patient``, ``2 patients``."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


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
