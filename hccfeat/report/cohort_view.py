"""What the template shows of a study's cohorts: tables, who was left out, baseline, and the image features."""

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.results import StudyReport
from hccfeat.report.formatting import fact_text, flat_facts
from hccfeat.report.tables import Column, table

OUTCOME_LABELS = {
    "recurrence": "Recurrence",
    "os": "Overall survival",
    "dss": "Disease-specific survival",
    "dfi": "Disease-free interval",
    "pfi": "Progression-free interval",
}


PICTURED = {" with a readable image": "Images", " with a readable MRI exam": "MRI exams"}


def cohorts_table(report: StudyReport) -> Markup:
    """Return the cohorts with their patients and images."""
    columns = [
        Column("cohort", "Cohort"),
        Column("title", "Title"),
        Column("format", "Format"),
        Column("kind", "Data"),
        Column("patients", "Patients", "right"),
        Column("images", "Images", "right"),
        Column("exams", "MRI exams", "right"),
        Column("image_patients", "With images", "right", "Patients with at least one image or exam"),
    ]
    rows = []
    for row in report.cohorts:
        shown = {key: "" if value is None else value for key, value in row.items()}
        shown["kind"] = "simulated" if row.get("simulated") else "real"
        for key in ("patients", "images", "exams", "image_patients"):
            shown[key] = f"{int(row.get(key) or 0):,}"
        rows.append(shown)
    return table("cohorts-table", columns, rows, caption="Cohorts of the study")


def cohort_notes(report: StudyReport) -> list[tuple[str, str]]:
    """Return (cohort, note) of the cohorts that have one."""
    return [(str(row.get("cohort")), str(row["note"])) for row in report.cohorts if row.get("note")]


def flows(report: StudyReport) -> list[dict[str, Any]]:
    """Return, per cohort, the steps from the table to the patients, who was left out, and the branches from there.

    A branch is about one outcome, or about the images: it starts from all patients, not from the branch before it.
    """
    found = []
    for cohort in dict.fromkeys(str(row.get("cohort")) for row in report.attrition):
        rows = [row for row in report.attrition if str(row.get("cohort")) == cohort]
        rows.sort(key=lambda row: int(row.get("step_number") or 0))
        trunk: list[dict[str, str]] = []
        branches: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            title, step = _branch(str(row.get("step") or ""))
            (branches.setdefault(title, []) if title else trunk).append(_step(row, step))
        shown = [{"title": title, "steps": steps} for title, steps in branches.items()]
        found.append({"cohort": cohort, "steps": trunk, "branches": shown})
    return found


def _branch(step: str) -> tuple[str, str]:
    """Return the title of the branch that a step belongs to, empty for the trunk, and the step without it."""
    outcome, colon, rest = step.partition(": ")
    if colon and outcome in OUTCOME_LABELS:
        return OUTCOME_LABELS[outcome], rest
    return next((title for what, title in PICTURED.items() if step.endswith(what)), ""), step


def _step(row: Mapping[str, Any], step: str) -> dict[str, str]:
    left = bool(row.get("excluded"))
    return {
        "step": step,
        "n": f"{int(row['n']):,}" if row.get("n") is not None else "",
        "excluded": f"{int(row['excluded']):,}" if left else "",
        "reason": (row.get("reason") or "") if left else "",
    }


def baseline_table(report: StudyReport) -> Markup:
    """Return the baseline characteristics; a variable is named in its first row."""
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


def feature_facts(report: StudyReport) -> list[tuple[str, str]]:
    """Return what is known of the feature set, its recipe left out."""
    if report.feature_set is None:
        return []
    plain = {key: value for key, value in report.feature_set.items() if key != "recipe"}
    names = {"weights_sha256": "weights SHA-256", "sha256": "identity SHA-256", "dim": "dimensions"}
    facts = {key: value for key, value in plain.items() if not isinstance(value, Mapping)}
    nested = {key: value for key, value in plain.items() if isinstance(value, Mapping)}
    return [(names.get(key, key.replace("_", " ")), fact_text(value)) for key, value in facts.items()] + flat_facts(
        nested
    )


def recipe_facts(report: StudyReport) -> list[tuple[str, str]]:
    """Return every setting of the feature set's recipe."""
    recipe = (report.feature_set or {}).get("recipe")
    if isinstance(recipe, str):
        try:
            recipe = json.loads(recipe)
        except ValueError:
            return [("recipe", recipe)] if recipe else []
    return flat_facts(recipe) if isinstance(recipe, Mapping) else []
