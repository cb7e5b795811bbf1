"""What the template needs to show a whole study: facts, notices, sections and downloads."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.results import Notice, StudyReport
from hccfeat.report.endpoint_view import endpoint_view
from hccfeat.report.figures import model_styles
from hccfeat.report.formatting import fact_text, flat_facts, joined, public_facts
from hccfeat.report.methods import encoder_text, methods_text, setting_facts
from hccfeat.report.tables import Column, table

BANNER = "SIMULATED DATA - not clinical evidence"
NO_IMAGES = "There are no images in this cohort"
EMBED_LIMIT = 64 * 1024
MAX_PICTURES = 24
_FILES = {
    "metrics.csv": "Every metric with its interval, n, events and method",
    "modalities.csv": "Modalities compared: every score and paired difference",
    "hazard_ratios.csv": "Every hazard ratio with its interval, P, n, events and ties",
    "logistic.csv": "Coefficients of the logistic models",
    "groups.csv": "Risk groups: cut, n, events, medians, log-rank",
    "at_risk.csv": "Numbers at risk under the Kaplan-Meier curves",
    "curves.csv": "Kaplan-Meier curves with their 95 % bands",
    "roc.csv": "Points of the ROC curves",
    "cohorts.csv": "Cohorts",
    "attrition.csv": "Who was left out at ingest, and why",
    "endpoint_attrition.csv": "Who could be labelled, per endpoint and split",
    "baseline.csv": "Baseline characteristics",
    "notices.csv": "Warnings of this report",
    "about.json": "Settings, versions and provenance",
}


def page_view(report: StudyReport, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the template's context.

    Parameters
    ----------
    report : StudyReport
        What ``analyze`` found.
    files : mapping
        The machine-readable twin, name -> text: small files are also embedded in the page.
    """
    report = replace(
        report,
        settings=public_facts(report.settings),
        feature_set=None if report.feature_set is None else public_facts(report.feature_set),
    )
    models = [m.model for e in report.endpoints for m in e.metrics] + [
        roc.model for e in report.endpoints for roc in e.rocs
    ]
    styles = model_styles(models)
    return {
        "report": report,
        "banner": BANNER if report.simulated else "",
        "facts": _facts(report, len(set(models))),
        "notices": study_notices(report),
        "cautions": caution_titles(report),
        "endpoints": [endpoint_view(e, i, styles, report.simulated) for i, e in enumerate(report.endpoints)],
        "has_images": _images(report) > 0,
        "no_images": NO_IMAGES,
        "cohorts": _cohorts(report),
        "flows": _flows(report),
        "baseline": _baseline(report),
        "feature_facts": _feature_facts(report),
        "recipe": _recipe(report),
        "pictures": [
            {"caption": caption, "kind": _kind_of(png), "data": base64.b64encode(png).decode("ascii")}
            for caption, png in report.example_patches[:MAX_PICTURES]
        ],
        "methods": methods_text(report),
        "settings": setting_facts(report.settings),
        "versions": sorted(report.versions.items()),
        "downloads": _downloads(files),
    }


def study_notices(report: StudyReport) -> list[Notice]:
    """Return what a reader must know first: notices about the study, and every endpoint's stops."""
    own = [*_simulated(report), *_without_images(report), *_judges(report)]
    for result in report.endpoints:
        own += [replace(n, title=f"{result.label}: {n.title}") for n in result.notices if n.level == "stop"]
    rank = {"stop": 0, "caution": 1, "info": 2}
    return sorted(own, key=lambda notice: rank[notice.level])


def caution_titles(report: StudyReport) -> list[dict[str, Any]]:
    """Return the titles of the endpoints' cautions, each once, with links to where the text stands."""
    links: dict[str, dict[tuple[str, str], None]] = {}
    for index, result in enumerate(report.endpoints):
        for notice in result.notices:
            if notice.level == "caution":
                links.setdefault(notice.title, {}).setdefault((f"endpoint-{index}", result.label))
    return [{"title": title, "links": list(found)} for title, found in links.items()]


def _simulated(report: StudyReport) -> list[Notice]:
    if not report.simulated:
        return []
    named = [str(row.get("cohort")) for row in report.cohorts if row.get("simulated")]
    where = f" Simulated: {joined(named)}." if named else ""
    text = f"A simulator made the patients, outcomes and images; no number here is about a disease.{where}"
    return [Notice("stop", BANNER, text)]


def _without_images(report: StudyReport) -> list[Notice]:
    empty = [str(row.get("cohort")) for row in report.cohorts if not int(row.get("images") or 0)]
    if report.cohorts and len(empty) == len(report.cohorts):
        title = NO_IMAGES if len(empty) == 1 else "There are no images in these cohorts"
        text = "No image features were used; every number below rests on the clinical table alone."
        return [Notice("info", title, text)]
    notices = [
        Notice("info", f"{NO_IMAGES}: {cohort}", "It is described by its clinical table only.") for cohort in empty
    ]
    if report.feature_set is None:
        text = "Images are in the store, but no feature set was used: the models rest on the clinical table alone."
        notices.append(Notice("info", "No image features in this analysis", text))
    return notices


def _judges(report: StudyReport) -> list[Notice]:
    splits = {m.split for result in report.endpoints for m in result.metrics}
    if splits == {"apparent"}:
        text = (
            "All patients helped to fit the models, so these figures describe the data; "
            "they are no evidence of performance on other patients."
        )
        return [Notice("caution", "Apparent figures only", text)]
    if not splits:
        return []
    encoder = f" {encoder_text(report.feature_set)}." if encoder_text(report.feature_set) else ""
    text = (
        "Models are judged only on patients that no model and no encoder has seen. Grey rows called apparent "
        f"are the training patients' own and are no evidence of performance.{encoder}"
    )
    return [Notice("info", "Who judges", text)]


def _kind_of(picture: bytes) -> str:
    return "image/jpeg" if picture.startswith(b"\xff\xd8") else "image/png"


def _images(report: StudyReport) -> int:
    return sum(int(row.get("images") or 0) for row in report.cohorts)


def _facts(report: StudyReport, models: int) -> list[tuple[str, str]]:
    patients = sum(int(row.get("patients") or 0) for row in report.cohorts)
    return [
        (f"{patients:,}", "patient" if patients == 1 else "patients"),
        (f"{_images(report):,}", "images"),
        (f"{len(report.cohorts)}", "cohort" if len(report.cohorts) == 1 else "cohorts"),
        (f"{len(report.endpoints)}", "endpoint" if len(report.endpoints) == 1 else "endpoints"),
        (f"{models}", "model" if models == 1 else "models"),
    ]


def _cohorts(report: StudyReport) -> Markup:
    columns = [
        Column("cohort", "Cohort"),
        Column("title", "Title"),
        Column("format", "Format"),
        Column("kind", "Data"),
        Column("patients", "Patients", "right"),
        Column("images", "Images", "right"),
        Column("exams", "MRI exams", "right"),
        Column("image_patients", "With images", "right", "Patients with at least one image or exam"),
        Column("note", "Note"),
    ]
    rows = []
    for row in report.cohorts:
        shown = {key: "" if value is None else value for key, value in row.items()}
        shown["kind"] = "simulated" if row.get("simulated") else "real"
        for key in ("patients", "images", "exams", "image_patients"):
            shown[key] = f"{int(row.get(key) or 0):,}"
        rows.append(shown)
    return table("cohorts-table", columns, rows, caption="Cohorts of the study")


def _flows(report: StudyReport) -> list[dict[str, Any]]:
    flows = []
    for cohort in dict.fromkeys(str(row.get("cohort")) for row in report.attrition):
        rows = [row for row in report.attrition if str(row.get("cohort")) == cohort]
        rows.sort(key=lambda row: int(row.get("step_number") or 0))
        steps = [
            {
                "step": row.get("step") or "",
                "n": f"{int(row['n']):,}" if row.get("n") is not None else "",
                "excluded": f"{int(row['excluded']):,}" if row.get("excluded") else "",
                "reason": row.get("reason") or "",
            }
            for row in rows
        ]
        flows.append({"cohort": cohort, "steps": steps})
    return flows


def _baseline(report: StudyReport) -> Markup:
    keys = list(dict.fromkeys(key for row in report.baseline for key in row))
    others = [key for key in keys if key not in ("variable", "level")]
    columns = [Column("variable", "Variable"), Column("level", "Level")]
    columns += [Column(key, key, "right") for key in others]
    rows = []
    last = None
    for row in report.baseline:
        shown = {key: "" if value is None else value for key, value in row.items()}
        shown["variable"] = "" if row.get("variable") == last else shown.get("variable", "")
        last = row.get("variable")
        rows.append(shown)
    return table("baseline-table", columns, rows, caption="Baseline characteristics")


def _feature_facts(report: StudyReport) -> list[tuple[str, str]]:
    if report.feature_set is None:
        return []
    plain = {key: value for key, value in report.feature_set.items() if key != "recipe"}
    names = {"weights_sha256": "weights SHA-256", "sha256": "identity SHA-256", "dim": "dimensions"}
    facts = {key: value for key, value in plain.items() if not isinstance(value, Mapping)}
    nested = {key: value for key, value in plain.items() if isinstance(value, Mapping)}
    return [(names.get(key, key.replace("_", " ")), fact_text(value)) for key, value in facts.items()] + flat_facts(
        nested
    )


def _recipe(report: StudyReport) -> list[tuple[str, str]]:
    recipe = (report.feature_set or {}).get("recipe")
    if isinstance(recipe, str):
        try:
            recipe = json.loads(recipe)
        except ValueError:
            return [("recipe", recipe)] if recipe else []
    return flat_facts(recipe) if isinstance(recipe, Mapping) else []


def _downloads(files: Mapping[str, str]) -> list[dict[str, Any]]:
    downloads = []
    for name, what in _FILES.items():
        raw = files[name].encode()
        kind = "application/json" if name.endswith(".json") else "text/csv"
        data = f"data:{kind};charset=utf-8;base64,{base64.b64encode(raw).decode('ascii')}"
        rows = "" if name.endswith(".json") else f"{max(files[name].count(chr(10)) - 1, 0):,}"
        embedded = data if len(raw) <= EMBED_LIMIT else ""
        size = f"{len(raw) / 1024:.1f} KiB"
        downloads.append({"name": name, "what": what, "rows": rows, "size": size, "data": embedded})
    return downloads
