"""Reporting guidelines: what is data, what a rule sees, and what an empty statement reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hccfeat.analysis.results import (
    CalibrationCurve,
    CohortSurvival,
    DecisionCurve,
    ModelComparison,
    ProportionalityTest,
    StudyReport,
)
from hccfeat.config import StatementConfig
from hccfeat.report import write_report
from hccfeat.report.guidelines import GUIDELINES, guideline_views, load_guideline, statement_view
from hccfeat.report.guidelines.parts import Part, together
from hccfeat.report.guidelines.rules import RULES
from tests.report.conftest import MAKERS
from tests.report.plain import plain
from tests.report.sample import clinical_report, full_report, hostile_report

EVIL = "<script>alert(1)</script>"
PARTS = {
    3: "abc",
    5: "ab",
    6: "abc",
    8: "abc",
    9: "abc",
    12: "abcdefg",
    18: "abcdef",
    20: "abc",
    23: "ab",
    27: "abc",
}
"""Letters of TRIPOD+AI's items with parts; the others have none."""


def item(report: StudyReport, guideline: str, number: str):
    view = next(view for view in guideline_views(report) if view.name == guideline)
    return next(one for one in view.items if one.number == number)


def with_curves(report: StudyReport) -> StudyReport:
    """The report with what the statistics of every endpoint can give."""
    values = np.array([0.1, 0.5])
    for result in report.endpoints:
        key = ("pps_mlp", "internal", "held_out", 12.0)
        result.calibrations = [CalibrationCurve(*key, values, values, values, values, 73, 25, "x")]
        result.decisions = [DecisionCurve(*key, values, values, 73, 25, "x")]
        result.proportionality = [ProportionalityTest("internal", "held_out", "m", "GLOBAL", 1.0, 1, 0.3, "km", 25)]
        curve = result.groups[0].curves[0]
        result.survival = [CohortSurvival("internal", "held_out", curve, 30.0, 25.0, 35.0)]
        result.comparisons = [
            ModelComparison(
                *(result.endpoint, "internal", "held_out", "pps_mlp", "clinical_logistic", "auroc"),
                *(0.1, 0.0, 0.2, 0.04, 0.08, 73, 25, "paired"),
            )
        ]
    return report


def test_every_published_item_is_there_once() -> None:
    published = [f"{n}{letter}" for n in range(1, 28) for letter in PARTS.get(n, [""])]
    assert len(published) == 52
    assert [one.number for one in load_guideline("tripod-ai").items] == published
    assert [one.number for one in load_guideline("remark").items] == [str(n) for n in range(1, 21)]


def test_every_rule_is_used_and_every_name_is_a_rule() -> None:
    used = {rule for name in GUIDELINES for one in load_guideline(name).items for rule in one.rules}
    assert used == set(RULES)


def test_every_key_of_the_statement_is_asked_for_by_some_guideline() -> None:
    asked = {key for name in GUIDELINES for one in load_guideline(name).items for key in one.fields}
    assert asked == set(StatementConfig.model_fields)


@pytest.mark.parametrize("make", [full_report, clinical_report, hostile_report])
def test_every_item_has_a_status_and_a_reason_or_a_place(make) -> None:
    for view in (*guideline_views(make()), *guideline_views(plain(make()))):
        assert sum(view.counts.values()) == len(view.items)
        for one in view.items:
            assert one.answer
            assert (one.status == "missing") == (one.anchor == ""), one


def test_an_empty_statement_reads_not_reported() -> None:
    found = item(plain(full_report()), "TRIPOD+AI", "17")
    assert (found.status, found.answer, found.anchor) == ("missing", "Ethics: not reported.", "")
    assert {row.text for row in statement_view(plain(full_report()))} == {"not reported"}


def test_a_text_of_the_study_file_answers_its_items_and_stays_text() -> None:
    report = replace(plain(full_report()), statement={"ethics": EVIL, "funding": "  "})
    assert item(report, "TRIPOD+AI", "17").status == "reported"
    assert item(report, "TRIPOD+AI", "17").anchor == "statement-ethics"
    assert item(report, "TRIPOD+AI", "18a").status == "missing"
    rows = {row.key: row for row in statement_view(report)}
    assert rows["ethics"].text == EVIL  # the page escapes it
    assert rows["funding"].text == "not reported"


def test_a_full_statement_leaves_only_what_the_analysis_lacks() -> None:
    report = with_curves(plain(full_report()))
    report = replace(report, statement=dict.fromkeys(StatementConfig.model_fields, "told"))
    views = {view.name: view for view in guideline_views(report)}
    assert views["TRIPOD+AI"].counts["missing"] == 0
    lacking = {one.number: one.answer for one in views["TRIPOD+AI"].items if one.status == "partial"}
    assert set(lacking) == {"5a", "6c", "23a"}, lacking


def test_calibration_counts_only_where_every_endpoint_has_it() -> None:
    report = plain(full_report())
    assert "No calibration" in item(report, "TRIPOD+AI", "12e").answer
    full = with_curves(plain(full_report()))
    assert item(full, "TRIPOD+AI", "12e").status == "reported"
    full.endpoints[1].calibrations = []
    found = item(full, "TRIPOD+AI", "12e")
    assert found.status == "partial"
    assert found.answer == "No calibration for Recurrence within 2 years."


def test_apparent_figures_are_no_validation() -> None:
    report = plain(clinical_report())
    assert item(report, "TRIPOD+AI", "23a").status == "partial"
    assert "apparent" in item(report, "TRIPOD+AI", "23a").answer
    assert item(report, "TRIPOD+AI", "20c").status == "missing"
    held_out = item(plain(full_report()), "TRIPOD+AI", "20c")
    assert (held_out.status, held_out.anchor) == ("reported", "baseline")


def test_folds_of_sites_tell_places_apart() -> None:
    report = plain(clinical_report())
    result = report.endpoints[0]
    result.metrics = [replace(metric, split="cross_validation") for metric in result.metrics]
    assert item(report, "TRIPOD+AI", "12d").status == "missing"
    assert item(report, "TRIPOD+AI", "20c").status == "reported"  # the same patients, in different folds
    by_site = report.settings["analysis"] | {"folds_by": "site"}
    assert item(replace(report, settings={"analysis": by_site}), "TRIPOD+AI", "12d").status == "reported"


def test_a_finding_without_a_time_is_not_asked_for_survival() -> None:
    report = plain(clinical_report())
    assert item(report, "REMARK", "18").status == "missing"
    report.endpoints[0].timed = False
    assert "without a time" in item(report, "REMARK", "18").answer
    assert item(report, "REMARK", "7").status == "missing"  # this sample states no rule of its outcome


def test_path_does_not_apply_without_treatment_and_says_so() -> None:
    view = guideline_views(plain(full_report()))[-1]
    assert (view.name, view.applies, view.counts["reported"]) == ("PATH", False, 0)
    assert view.note.startswith("Does not apply")


def test_path_is_judged_where_treatment_was_analysed() -> None:
    report = full_report()
    found = {one.number: one for one in guideline_views(report)[-1].items}
    assert (found["B8"].status, found["B8"].anchor) == ("reported", "e1-2y-treatment")
    assert found["B2"].status == "partial"
    assert found["B5"].status == "missing"
    assert found["A1"].answer == "Overall effect: not reported."
    treatment = report.endpoints[1].treatment
    risk = replace(treatment.balance[0], covariate="pps_mlp risk")
    report.endpoints[1].treatment = replace(treatment, interactions=(), benefits=(), cautions=(), balance=(risk,))
    found = {one.number: one for one in guideline_views(report)[-1].items}
    assert "not its distribution" in found["B5"].answer
    found = {number: one.status for number, one in found.items()}
    assert (found["B1"], found["B6"], found["B8"], found["D1"]) == ("missing",) * 4
    assert found["C2"] == "partial"


def test_one_missing_part_makes_an_item_partial() -> None:
    assert together([Part("reported"), Part("reported")]) == "reported"
    assert together([Part("reported"), Part("missing")]) == "partial"
    assert together([Part("missing"), Part("missing")]) == "missing"
    assert together([Part("partial"), Part("partial")]) == "partial"


@pytest.mark.parametrize("name", MAKERS)
def test_every_link_leads_to_a_place_in_the_page(written: dict[str, Path], name: str) -> None:
    text = written[name].read_text(encoding="utf-8")
    views = guideline_views(MAKERS[name]())
    anchors = {anchor for view in views for one in view.items for anchor, _ in one.links}
    assert anchors
    assert {anchor for anchor in anchors if f'id="{anchor}"' not in text} == set()
    assert {row.anchor for row in statement_view(MAKERS[name]()) if f'id="{row.anchor}"' not in text} == set()


def test_a_hostile_statement_stays_text_in_the_page(tmp_path: Path) -> None:
    report = replace(
        full_report(), endpoints=[], example_patches=[], statement={"ethics": EVIL, "sample_size": EVIL}
    )
    text = write_report(tmp_path, report).read_text(encoding="utf-8")
    assert EVIL not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
