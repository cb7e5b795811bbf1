"""What the template needs to show a whole study: facts, notices, sections and downloads."""

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.results import Notice, StudyReport
from hccfeat.report.blocks import BANNER, LEVELS
from hccfeat.report.canvas import line_look
from hccfeat.report.citations import citations
from hccfeat.report.cohort_view import (
    baseline_table,
    cohort_notes,
    cohorts_table,
    feature_facts,
    flows,
    recipe_facts,
)
from hccfeat.report.downloads import downloads
from hccfeat.report.endpoint_view import EndpointView, endpoint_view
from hccfeat.report.formatting import CONDITION_LABELS, joined, model_label, public_facts, with_printed_names
from hccfeat.report.guidelines import guideline_views, statement_view
from hccfeat.report.layout import model_styles
from hccfeat.report.methods import encoder_text, methods_text, setting_facts
from hccfeat.report.tables import Column, table

NO_IMAGES = "There are no images in this cohort"
MAX_PICTURES = 24
MINIMUM = "the cohort's minimum follow-up"
"""As the rules of the endpoints name it."""
LEVEL_WORDS = {"stop": "Stop", "caution": "Caution", "info": "Note"}


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
        endpoints=[
            replace(
                e,
                notices=[_named(notice, report.labels) for notice in e.notices],
                exclusion_rule=_rule(e.exclusion_rule, report),
            )
            for e in report.endpoints
        ],
    )
    styles = model_styles([model for e in report.endpoints for model in _models(e)])
    views = [endpoint_view(e, i, styles, report) for i, e in enumerate(report.endpoints)]
    return {
        "report": report,
        "banner": BANNER if report.simulated else "",
        "facts": _facts(report, len(styles)),
        "notices": study_notices(report),
        "cautions": caution_titles(report),
        "conditions": _conditions(report),
        "tally": _tally(report),
        "models": [(i, model_label(model), line_look(i)["color"]) for model, i in styles.items()],
        "endpoints": views,
        "has_images": _images(report) > 0,
        "no_images": NO_IMAGES,
        "cohorts": cohorts_table(report),
        "cohort_notes": cohort_notes(report),
        "flows": flows(report),
        "baseline": baseline_table(report),
        "feature_facts": feature_facts(report),
        "recipe": recipe_facts(report),
        "pictures": [
            {"caption": caption, "kind": _kind_of(png), "data": base64.b64encode(png).decode("ascii")}
            for caption, png in report.example_patches[:MAX_PICTURES]
        ],
        "methods": methods_text(report),
        "settings": setting_facts(report),
        "versions": sorted(report.versions.items()),
        "statement": statement_view(report),
        "guidelines": guideline_views(report),
        "citations": citations(report),
        "anchors": _anchors(report, views),
        "downloads": downloads(files),
    }


def _named(notice: Notice, labels: Mapping[str, str]) -> Notice:
    """Return a notice that calls models and clinical variables by their printed names, as a sentence."""
    title, text = (with_printed_names(one, labels) for one in (notice.title, notice.text))
    return replace(notice, title=title, text=text[:1].upper() + text[1:])


def _rule(rule: str, report: StudyReport) -> str:
    """Return the rule of a label with the months of the minimum follow-up, or without its sentence."""
    found: dict[str, list[str]] = {}
    for row in report.cohorts:
        if months := row.get("minimum_follow_up_months"):
            found.setdefault(f"{months:g} months", []).append(str(row.get("cohort")))
    if not found:
        return " ".join(one for one in re.split(r"(?<=\.) ", rule) if MINIMUM not in one)
    named = "; ".join(f"{months} in {joined(cohorts)}" for months, cohorts in found.items())
    return rule.replace(MINIMUM, f"{MINIMUM} ({named})")


def study_notices(report: StudyReport) -> list[Notice]:
    """Return what a reader must know first: notices about the study, and every endpoint's stops."""
    own = [*_simulated(report), *_without_images(report), *_judges(report)]
    for result in report.endpoints:
        own += [replace(n, title=f"{result.label}: {n.title}") for n in result.notices if n.level == "stop"]
    return sorted(own, key=lambda notice: LEVELS.index(notice.level))


def caution_titles(report: StudyReport) -> list[dict[str, Any]]:
    """Return the titles of the endpoints' cautions, each once, with links to where the text stands."""
    links: dict[str, dict[tuple[str, str], None]] = {}
    for index, result in enumerate(report.endpoints):
        for notice in result.notices:
            if notice.level == "caution":
                links.setdefault(notice.title, {}).setdefault((f"endpoint-{index}", result.label))
    return [{"title": title, "links": list(found)} for title, found in links.items()]


def _models(result: Any) -> list[str]:
    """Names of the models of an endpoint, in the order of its metrics, curves and groups."""
    sources = (result.metrics, result.rocs, result.groups, result.calibrations, result.distributions)
    return [item.model for source in sources for item in source]


def _conditions(report: StudyReport) -> Markup:
    """Every condition of every endpoint with its reason, the gravest first."""
    columns = [
        Column("condition", "Condition"),
        Column("level", "Status"),
        Column("endpoint", "Endpoint"),
        Column("reason", "Reason and consequence", "wide"),
    ]
    found = [(notice, i, e.label) for i, e in enumerate(report.endpoints) for notice in e.notices]
    rows = [
        {
            "condition": CONDITION_LABELS[notice.kind] if notice.kind else notice.title,
            "level": Markup('<span class="chip {0}">{1}</span>').format(notice.level, LEVEL_WORDS[notice.level]),
            "endpoint": Markup('<a href="#endpoint-{}">{}</a>').format(index, label),
            "reason": f"{notice.title}. {notice.text}" if notice.kind else notice.text,
        }
        for notice, index, label in sorted(found, key=lambda one: LEVELS.index(one[0].level))
    ]
    return table("conditions-table", columns, rows, caption="Conditions that the analysis met")


def _tally(report: StudyReport) -> list[tuple[str, str]]:
    """Return (level, ``3 cautions``) for each level that occurs."""
    counts = Counter(notice.level for e in report.endpoints for notice in e.notices)
    words = {"stop": ("stop", "stops"), "caution": ("caution", "cautions"), "info": ("note", "notes")}
    return [(level, f"{counts[level]} {words[level][counts[level] != 1]}") for level in LEVELS if counts[level]]


def _anchors(report: StudyReport, views: Sequence[EndpointView]) -> set[str]:
    """Return the ids that links of guideline items may point at."""
    own = {"main", "summary", "cohorts", "features", "methods", "citations", "statement", "guidelines", "data"}
    own |= {"baseline"} if report.baseline else set()
    own |= {"conditions"} if any(e.notices for e in report.endpoints) else set()
    own |= {row.anchor for row in statement_view(report)}
    return own | {view.id for view in views} | {block.id for view in views for block in view.blocks}


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
        (f"{_images(report):,}", "image" if _images(report) == 1 else "images"),
        (f"{len(report.cohorts)}", "cohort" if len(report.cohorts) == 1 else "cohorts"),
        (f"{len(report.endpoints)}", "endpoint" if len(report.endpoints) == 1 else "endpoints"),
        (f"{models}", "model" if models == 1 else "models"),
    ]
