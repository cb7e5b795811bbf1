"""The files of the machine-readable twin as the page offers them; small ones are inside the page."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

EMBED_LIMIT = 24 * 1024
"""Bytes up to which a file is inside the page too."""
FILES = {
    "metrics.csv": "Every metric with its interval, n, events and method",
    "comparisons.csv": "Differences between models, with intervals and adjusted P",
    "subgroups.csv": "Every figure of the models within groups of patients",
    "modalities.csv": "Modalities compared: every score and paired difference",
    "hazard_ratios.csv": "Every hazard ratio with its interval, P, n, events and ties",
    "model_tests.csv": "Likelihood-ratio, Wald and score tests of whole Cox models",
    "proportional_hazards.csv": "Tests of proportional hazards",
    "logistic.csv": "Coefficients of the logistic models",
    "groups.csv": "Risk groups and everybody: n, events, medians, restricted means, follow-up, test",
    "at_risk.csv": "Numbers at risk under the Kaplan-Meier curves",
    "curves.csv": "Kaplan-Meier curves with their 95 % bands, at risk and events at each step",
    "incidence.csv": "Cumulative incidence of competing events",
    "roc.csv": "Points of the ROC curves",
    "calibration_curves.csv": "Observed against predicted risk",
    "decision_curves.csv": "Net benefit over threshold risks",
    "risk_distributions.csv": "Patients in bins of the risk, by outcome",
    "treatment.csv": "Interaction, absolute benefit, balance and overlap of the arms",
    "cohorts.csv": "Cohorts",
    "attrition.csv": "Who was left out at ingest, and why",
    "endpoint_attrition.csv": "Who could be labelled, per endpoint and split",
    "baseline.csv": "Baseline characteristics",
    "notices.csv": "Conditions and warnings of this report",
    "guidelines.csv": "Reporting guidelines, item by item",
    "predictions.csv": "Risks of single patients, with their identifiers",
    "citations.bib": "References of this report",
    "about.json": "Settings, versions and provenance",
}
_KINDS = {".csv": "text/csv", ".json": "application/json", ".bib": "text/plain"}


@dataclass(frozen=True)
class Download:
    """One file; ``data`` is its content as a data URI, empty where it is too large or about single patients."""

    name: str
    what: str
    rows: str
    size: str
    data: str


def downloads(files: Mapping[str, str]) -> list[Download]:
    """Return the files that hold anything, in the order of the page."""
    return [_download(name, what, files[name]) for name, what in FILES.items() if _holds(name, files)]


def _holds(name: str, files: Mapping[str, str]) -> bool:
    return name in files and (not name.endswith(".csv") or files[name].count("\n") > 1)


def _download(name: str, what: str, text: str) -> Download:
    raw = text.encode()
    kind = _KINDS["." + name.rsplit(".", 1)[-1]]
    embedded = len(raw) <= EMBED_LIMIT and name != "predictions.csv"
    data = f"data:{kind};charset=utf-8{_embedded(raw)}" if embedded else ""
    rows = f"{max(text.count(chr(10)) - 1, 0):,}" if name.endswith(".csv") else ""
    return Download(name, what, rows, f"{len(raw) / 1024:.1f} KiB", data)


def _embedded(raw: bytes) -> str:
    """Return what follows the kind in a data URI: the text itself or base64, whichever is shorter."""
    plain, packed = quote(raw, safe="!$'()*+,-./;=?@_~"), base64.b64encode(raw).decode("ascii")
    return f",{plain}" if len(plain) < len(packed) else f";base64,{packed}"
