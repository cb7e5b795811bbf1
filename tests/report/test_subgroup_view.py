"""The part about groups of patients: figure, table, twin, methods and guideline."""

import csv
import io
from dataclasses import replace

from hccfeat.analysis.results import StudyReport, SubgroupMetric
from hccfeat.report.blocks import Scene
from hccfeat.report.methods import methods_text
from hccfeat.report.subgroup_view import subgroups
from hccfeat.report.twin import twin_files
from tests.report.plain import plain
from tests.report.sample import clinical_report, full_report
from tests.report.test_guidelines import EVIL, item

ROWS = [
    SubgroupMetric(
        "internal", "held_out", "pps_mlp", "sex", "male", "c_index", 0.7, 0.6, 0.8, 50, 20, "Harrell's C"
    ),
    SubgroupMetric(
        "internal", "held_out", "pps_mlp", "sex", EVIL, "c_index", None, None, None, 9, 2, "only 2 events"
    ),
    SubgroupMetric(
        "internal", "held_out", "pps_mlp", "sex", "male", "observed_expected", 1.2, 0.8, 1.8, 50, 20, "x"
    ),
]
SCENE = Scene(0, {"pps_mlp": 0}, simulated=True, labels={"sex": "Sex"})


def report() -> StudyReport:
    made = plain(full_report())
    for result in made.endpoints:
        result.subgroups = list(ROWS)
    return replace(made, labels={"sex": "Sex"}, settings={"analysis": {"subgroups": ["sex"]}})


def test_the_figure_draws_what_was_judged_and_the_table_holds_every_number() -> None:
    result = report().endpoints[0]
    found = subgroups(result, SCENE, "e0")
    assert found is not None
    (part,) = found.parts
    (figure,) = part.figures
    assert "C-index of PPS-MLP with 95 % intervals within groups, internal, held out" in figure.caption
    assert "Sex: male" in figure.svg
    (table,) = part.tables
    assert table.count("Sex: male") == 2
    assert "0.600–0.800" in table
    assert "1.200" in table
    assert EVIL not in table
    assert subgroups(replace(result, subgroups=[]), SCENE, "e0") is None


def test_the_twin_has_a_row_for_each_number() -> None:
    rows = list(csv.DictReader(io.StringIO(twin_files(report())["subgroups.csv"])))
    assert len(rows) == 2 * len(ROWS)
    assert (rows[0]["item"], rows[0]["level"], rows[0]["estimate"]) == ("sex", "male", "0.7")
    assert rows[1]["estimate"] == ""


def test_the_guideline_asks_for_groups_and_for_sites() -> None:
    without = item(plain(full_report()), "TRIPOD+AI", "23a")
    assert (without.status, "names none" in without.answer) == ("partial", True)
    made = report()
    assert item(made, "TRIPOD+AI", "23a").status == "reported"
    made.endpoints[1].subgroups = []
    assert item(made, "TRIPOD+AI", "23a").status == "partial"
    single = plain(clinical_report())
    result = single.endpoints[0]
    result.metrics = [replace(metric, split="cross_validation") for metric in result.metrics]
    assert item(single, "TRIPOD+AI", "23b").status == "missing"
    result.subgroups = [replace(ROWS[0], item="site", split="cross_validation")]
    assert item(single, "TRIPOD+AI", "23b").status == "reported"


def test_the_methods_say_that_groups_are_not_tested() -> None:
    texts = " ".join(str(one) for one in methods_text(report()))
    assert "judged (C-index and O/E ratio) within groups of patients by Sex" in texts
    assert "differences between groups were not tested" in texts
