"""Items 18-23, 41 and 42 on a made-up cohort."""

import pytest

from hccfeat.errors import AnalysisError
from hccfeat.report.formatting import fixed
from hccfeat.reproduction.items.prognosis import ITEMS
from hccfeat.reproduction.printed import printed
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.groups import compare_groups
from tests.analysis.risk_study import rated
from tests.reproduction.risk_context import RiskContext, built, figures, notes, tables

BY_NUMBER = {item.number: item for item in ITEMS}


@pytest.fixture(scope="module")
def context() -> RiskContext:
    return RiskContext(train=50, held_out=60, external=40)


def test_the_items_are_these() -> None:
    assert sorted(BY_NUMBER) == [18, 19, 20, 21, 22, 23, 41, 42]


@pytest.mark.parametrize(("number", "place"), [(18, "held_out"), (21, "external")])
def test_roc_of_three_horizons_beside_the_paper(context: RiskContext, number: int, place: str) -> None:
    blocks = built(BY_NUMBER[number], context)
    (shown,), (figure,) = tables(blocks), figures(blocks)
    assert [row["endpoint"] for row in shown.data] == ["1y", "2y", "final"]
    for row in shown.data:
        judges = rated(context.inputs, context.results, row["endpoint"], place)
        y = judges.patients.y
        assert row["estimate"] == auroc(y[y == y], judges.risk[y == y]).value
        assert row["lower"] < row["estimate"] < row["upper"]
        value = printed("prognosis", "internal" if place == "held_out" else "external", row["endpoint"])
        assert row["printed"] == value
        if value is not None:
            assert row["difference"] == pytest.approx(row["estimate"] - value)
    assert shown.rows[0]["printed"] == {18: "0.818", 21: "0.713"}[number]
    svg = figure.draw("x", False)
    assert "SIMULATED" not in svg
    for label in ("within 1 year", "within 2 years", "by last follow-up"):
        assert label in svg


@pytest.mark.parametrize(("number", "place"), [(19, "held_out"), (22, "external")])
def test_times_by_group_have_the_papers_test_and_those_that_see_censoring(
    context: RiskContext, number: int, place: str
) -> None:
    blocks = built(BY_NUMBER[number], context)
    (shown,) = tables(blocks)
    for row in shown.data:
        judges = rated(context.inputs, context.results, row["endpoint"], place)
        expected = compare_groups(judges.months[~judges.high], judges.months[judges.high])
        assert (row["test"], row["p"]) == (expected.test, expected.p)
        assert row["n_low"] + row["n_high"] == len(judges)
        assert row["recurred_low"] + row["recurred_high"] == judges.recurred.sum()
        assert row["logrank_p"] is not None
        assert row["c_index_lower"] < row["c_index"] < row["c_index_upper"]
    assert "31b" in notes(blocks)
    assert len(figures(blocks)) == 1


@pytest.mark.parametrize("number", [20, 23])
def test_survival_of_the_groups_is_that_of_the_analysis(context: RiskContext, number: int) -> None:
    blocks = built(BY_NUMBER[number], context)
    (shown,) = tables(blocks)
    split = {20: "held_out", 23: "external"}[number]
    for row in shown.data:
        result = context.result(row["endpoint"])
        (group,) = [g for g in result.groups if (g.model, g.split) == ("pps_mlp", split)]
        assert (row["logrank_p"], row["cut"]) == (group.logrank_p, group.cut)
        assert row["n_low"] + row["n_high"] == sum(curve.n for curve in group.curves)
        assert row["hr_risk_group"] > 1
    assert len(figures(blocks)) == 3
    if number == 23:
        assert [row["printed_p"] for row in shown.data] == [0.003, 0.0014, None]
        assert shown.data[0]["difference"] == pytest.approx(shown.data[0]["logrank_p"] - 0.003)
        assert [row["printed"] for row in shown.rows[:2]] == ["0.003", "0.0014"]


@pytest.mark.parametrize(("number", "place", "auprc"), [(41, "held_out", 0.697), (42, "external", 0.785)])
def test_supplement_has_precision_recall_threshold_and_regression(
    context: RiskContext, number: int, place: str, auprc: float
) -> None:
    blocks = built(BY_NUMBER[number], context)
    areas, threshold, regression = tables(blocks)
    assert areas.data[0]["printed"] == auprc
    assert {row["metric"] for row in threshold.data} == {"accuracy", "precision", "recall", "f1"}
    assert [row["printed"] for row in threshold.data[:4]] == (
        [0.702, 0.632, 0.545, 0.585] if place == "held_out" else [None] * 4
    )
    for row in regression.data:
        assert row["slope_months_per_unit"] < 0
        assert row["pearson_r"] ** 2 == pytest.approx(row["r2"])
    assert regression.rows[0]["slope"].startswith(fixed(regression.data[0]["slope_months_per_unit"] / 10, 2))
    assert len(figures(blocks)) == 2


def test_rows_of_metrics_are_fit_for_the_catalog(context: RiskContext) -> None:
    for number in (18, 41):
        for row in tables(built(BY_NUMBER[number], context, draw=False))[0].data:
            assert (row["cohort"], row["split"], row["model"]) == ("internal", "held_out", "pps_mlp")
            assert row["method"]


@pytest.mark.parametrize("number", [21, 22, 23, 42])
def test_without_an_external_cohort_an_item_says_what_to_do(number: int) -> None:
    alone = RiskContext(None, train=10, held_out=5, external=0)
    with pytest.raises(AnalysisError, match="Ingest one"):
        built(BY_NUMBER[number], alone)


def test_a_horizon_that_cannot_be_analysed_is_named_and_the_others_are_shown() -> None:
    partly = RiskContext(lacking=("2y",), train=30, held_out=20, external=10)
    for number in (18, 19, 20, 41):
        blocks = built(BY_NUMBER[number], partly, draw=False)
        assert [row["endpoint"] for row in tables(blocks)[0].data] == ["1y", "final"]
        assert "2y: endpoint 2y: has one class" in notes(blocks)
    nothing = RiskContext(lacking=("1y", "2y", "final"), train=30, held_out=20, external=10)
    with pytest.raises(AnalysisError, match="nothing can be shown"):
        built(BY_NUMBER[18], nothing)


def test_a_handful_of_judges_give_reasons_instead_of_numbers() -> None:
    few = RiskContext(train=24, held_out=4, external=3, seed=1)
    for item in ITEMS:
        built(item, few)
    blocks = built(BY_NUMBER[19], few, draw=False)
    assert all(row["logrank_p"] is None and row["reason"] for row in tables(blocks)[0].data)
    assert "not given" in notes(blocks)
    assert all(row["note"] for row in tables(built(BY_NUMBER[20], few, draw=False))[0].data)
