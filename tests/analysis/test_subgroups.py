"""Models judged within groups of patients, beside the same numbers taken by hand."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.results import EndpointResult, Prediction, SplitRole, SubgroupMetric
from hccfeat.analysis.subgroups import add_subgroups, patient_groups
from hccfeat.cohort.descriptions import Variable
from hccfeat.errors import ConfigError
from hccfeat.stats.calibration import calibration, survival_calibration
from hccfeat.stats.concordance import concordance
from hccfeat.stats.discrimination import auroc
from tests.analysis.test_comparisons import study

N = 150
SEX = np.array(["female", "male", "male"] * 50)
RARE = np.array(["yes"] * 4 + ["no"] * 146)
VARIABLES = {
    "age": Variable(label="Age", type="number", unit="years", cut=50),
    "size": Variable(label="Size", type="number"),
    "hbsag": Variable(label="HBsAg", type="flag"),
    "sex": Variable(label="Sex", type="category", coding={"m": "male", "f": "female"}),
    "site": Variable(label="Site", type="text"),
    "afp": Variable(label="AFP", type="number"),
}


def data(**changes: object) -> EndpointData:
    made = study(N)
    groups = pl.DataFrame({"patient_id": made.patients["patient_id"], "sex": SEX, "rare": RARE})
    return replace(made, groups=groups, **changes)  # type: ignore[arg-type]


def risks(made: EndpointData) -> np.ndarray:
    return -np.log(made.patients["months"].to_numpy()) + np.random.default_rng(1).normal(size=N)


def judged(made: EndpointData, split: SplitRole = "held_out") -> list[Prediction]:
    ids, risk = made.patients["patient_id"].to_list(), risks(made)
    rows = [Prediction("1y", "internal", split, "m", ids[k], float(risk[k])) for k in range(N)]
    return rows + [replace(row, split="apparent") for row in rows]


def result() -> EndpointResult:
    return EndpointResult("1y", "Recurrence", 12.0, "none")


def told(rows: list[Prediction]) -> list[Prediction]:
    """The same, with a probability each."""
    return [replace(row, probability=float(1 / (1 + np.exp(-row.risk)))) for row in rows]


def one(found: EndpointResult, level: str, ratio: bool = False) -> SubgroupMetric:
    (row,) = [row for row in found.subgroups if row.level == level and (row.metric == "observed_expected") == ratio]
    return row


def test_levels_of_every_type_and_of_what_is_not_recorded() -> None:
    table = pl.DataFrame(
        {
            "patient_id": list("abcd"),
            "age": [40.0, 50.0, 51.0, None],
            "size": [1.0, 3.0, 9.0, None],
            "hbsag": [True, False, None, True],
            "sex": ["male", None, "female", "male"],
            "site": ["Essen", "Essen", None, "<b>"],
        }
    )
    found = patient_groups(table, list(VARIABLES), VARIABLES, learners=["a", "b", "d"])
    assert found.columns == ["patient_id", *VARIABLES]
    assert found["age"].to_list() == ["≤ 50 years", "≤ 50 years", "> 50 years", "not recorded"]
    assert found["size"].to_list() == ["≤ 2", "> 2", "> 2", "not recorded"]  # the median of a and b
    assert found["hbsag"].to_list() == ["yes", "no", "not recorded", "yes"]
    assert found["sex"].to_list() == ["male", "not recorded", "female", "male"]
    assert found["site"].to_list() == ["Essen", "Essen", "not recorded", "<b>"]
    assert found["afp"].to_list() == ["not recorded"] * 4
    unknown = patient_groups(table.with_columns(size=pl.lit(None)), ["size"], VARIABLES, learners=["a"])
    assert unknown["size"].to_list() == ["not recorded"] * 4
    with pytest.raises(ConfigError, match="subgroups names colour, unknown"):
        patient_groups(table, ["sex", "colour"], VARIABLES, learners=["a"])


def test_each_level_is_judged_as_if_it_were_alone() -> None:
    made, found = data(), result()
    add_subgroups(found, made, judged(made))
    p, risk = made.patients, risks(made)
    for level in ("female", "male"):
        rows = level == SEX
        time, event = p["time"].to_numpy()[rows], p["event"].to_numpy()[rows]
        mine = one(found, level)
        expected = concordance(time, event, risk[rows]).estimate()
        assert (mine.estimate, mine.lower, mine.upper) == (expected.value, expected.lower, expected.upper)
        assert (mine.n, mine.events, mine.metric, mine.item) == (rows.sum(), event.sum(), "c_index", "sex")
    assert {row.split for row in found.subgroups} == {"held_out"}
    untimed, labels = data(timed=False), result()
    add_subgroups(labels, untimed, judged(untimed))
    y = p["y"].cast(pl.Float64).to_numpy()
    known = (SEX == "male") & ~np.isnan(y)
    assert one(labels, "male").estimate == auroc(y[known], risk[known]).value
    assert one(labels, "male").metric == "auroc"


def test_few_events_give_no_figure_but_a_condition() -> None:
    made, found = data(), result()
    add_subgroups(found, made, judged(made))
    mine = one(found, "yes")
    assert (mine.estimate, mine.lower, mine.n) == (None, None, 4)
    assert "fewer than 5" in mine.method
    (notice,) = found.notices
    assert (notice.kind, notice.level) == ("few_events", "caution")
    assert "rare yes: only " in notice.text


def test_a_cross_validation_is_judged_inside_its_folds() -> None:
    made, found = data(), result()
    crossed = judged(made, "cross_validation")
    add_subgroups(found, made, crossed)
    assert found.subgroups == []
    fold = np.arange(N) % 4
    folds = dict(zip(made.patients["patient_id"], fold.tolist(), strict=True))
    add_subgroups(found, made, crossed, folds)
    p, risk = made.patients, risks(made)
    right = pairs = 0.0
    for number in range(4):
        rows = (SEX == "male") & (fold == number)
        time, event, mine = p["time"].to_numpy()[rows], p["event"].to_numpy()[rows], risk[rows]
        for i in np.flatnonzero(event):
            later = (time > time[i]) | ((time == time[i]) & ~event)
            pairs += later.sum()
            right += (mine[i] > mine[later]).sum()
    found_male = one(found, "male")
    assert found_male.estimate == pytest.approx(right / pairs)
    assert 0.03 < found_male.upper - found_male.estimate < 0.2
    assert "pairs inside folds" in found_male.method
    labels, untimed = result(), data(timed=False)
    add_subgroups(labels, untimed, crossed, folds)
    y = p["y"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    right = pairs = 0.0
    for number in range(4):
        rows = (SEX == "male") & (fold == number)
        cases, others = risk[rows & (y == 1)], risk[rows & (y == 0)]
        pairs += len(cases) * len(others)
        right += (cases[:, None] > others).sum()
    assert one(labels, "male").estimate == pytest.approx(right / pairs)
    # One fold: the standard errors of DeLong and of the influence functions are about the same.
    single = result()
    add_subgroups(single, untimed, judged(made))
    alone = result()
    add_subgroups(alone, untimed, crossed, {patient: int(k == 0) for k, patient in enumerate(folds)})
    assert one(alone, "male").upper == pytest.approx(one(single, "male").upper, abs=0.02)


@pytest.mark.parametrize("folds", [1, 4])
def test_observed_over_expected_by_hand(folds: int) -> None:
    """Of everybody in the group, in a cross-validation too: probabilities of its folds are on one scale."""
    made, found = data(), result()
    ids = made.patients["patient_id"].to_list()
    given = {patient: k % folds for k, patient in enumerate(ids)}
    rows = judged(made, "cross_validation" if folds > 1 else "held_out")
    rows = told(rows) + [replace(row, model="ranks") for row in rows]
    add_subgroups(found, made, rows, given)
    p, probability, male = made.patients, 1 / (1 + np.exp(-risks(made))), SEX == "male"
    months, recurred = p["months"].to_numpy()[male], p["recurred"].to_numpy()[male].astype(float)
    expected = survival_calibration(months, recurred, probability[male], 12.0).ratio
    mine = [row for row in found.subgroups if row.model == "m"]
    ratio = one(replace(found, subgroups=mine), "male", ratio=True)
    assert (ratio.estimate, ratio.lower) == (pytest.approx(expected.value), pytest.approx(expected.lower))
    assert ("out-of-fold" in ratio.method) == (folds > 1)
    assert (ratio.n, ratio.events) == (male.sum(), ((months <= 12) & (recurred == 1)).sum())
    assert one(replace(found, subgroups=mine), "yes", ratio=True).estimate is None
    assert {row.model for row in found.subgroups if row.metric == "observed_expected"} == {"m"}
    plain, label = data(timed=False, horizon_months=None), result()
    add_subgroups(label, plain, told(judged(plain)))
    known = male & p["y"].is_not_null().to_numpy()
    expected = calibration(p["y"].cast(pl.Float64).to_numpy()[known], probability[known]).ratio
    assert one(label, "male", ratio=True).estimate == pytest.approx(expected.value)


def test_nothing_is_judged_unless_it_is_asked_for() -> None:
    found = result()
    add_subgroups(found, study(N), told(judged(study(N))))
    assert found.subgroups == []
