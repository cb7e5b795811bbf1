from dataclasses import replace

from hccfeat.report.cohort_view import cohort_notes, flows
from hccfeat.report.html import render
from hccfeat.report.twin import twin_files
from tests.report.sample import clinical_report

STEPS = (
    ("rows in the table", 12, 0, None),
    ("patients", 10, 2, "the same patient in several rows"),
    ("os: event and time recorded (4 events)", 9, 1, "not recorded"),
    ("os: usable (3 events)", 8, 1, "survival time is zero"),
    ("pfi: event and time recorded (6 events)", 10, 0, ""),
    ("site: a step of no outcome", 10, 0, None),
    ("patients with a readable image", 10, 0, "no readable image"),
)
REPORT = replace(
    clinical_report(),
    attrition=[
        {"cohort": "li2014", "step_number": k, "step": step, "n": n, "excluded": left, "reason": why}
        for k, (step, n, left, why) in enumerate(STEPS)
    ],
)


def test_outcomes_and_images_branch_from_all_patients() -> None:
    (flow,) = flows(REPORT)
    assert [step["step"] for step in flow["steps"]] == [
        *("rows in the table", "patients", "site: a step of no outcome")
    ]
    found = {branch["title"]: [step["step"] for step in branch["steps"]] for branch in flow["branches"]}
    assert found == {
        "Overall survival": ["event and time recorded (4 events)", "usable (3 events)"],
        "Progression-free interval": ["event and time recorded (6 events)"],
        "Images": ["patients with a readable image"],
    }
    assert flow["branches"][2]["steps"][0]["reason"] == ""
    assert flow["branches"][0]["steps"][1]["reason"] == "survival time is zero"


def test_the_rule_of_a_label_names_a_minimum_follow_up_where_there_is_one() -> None:
    rule = "1 = event; 0 = none. Patients seen before the cohort's minimum follow-up leave."
    report = replace(REPORT, endpoints=[replace(REPORT.endpoints[0], exclusion_rule=rule)])
    assert "Rule: 1 = event; 0 = none.<" in render(report, twin_files(report))
    known = [{**row, "minimum_follow_up_months": 24.0} for row in report.cohorts]
    told = render(replace(report, cohorts=known), twin_files(report))
    assert (
        "Label: 1 = event; 0 = none. Patients seen before the cohort&#39;s minimum follow-up (24 months in" in told
    )
    assert cohort_notes(report) == [("li2014", "coding of the source kept")]
