"""Every condition on a minimal data set, as the report gets it."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.conditions import TITLES, Condition, condition_notices
from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.notices import judge_notices, missing_notices, training_notices
from hccfeat.analysis.recurrence import add_hazards, analyse
from hccfeat.analysis.results import ConditionKind, EndpointResult, Notice
from hccfeat.config import AnalysisConfig
from tests.analysis.people import cohort, people

Study = Callable[..., EndpointData]


def kinds(notices: list[Notice]) -> list[str | None]:
    return [notice.kind for notice in notices]


def test_every_kind_has_a_title() -> None:
    assert set(TITLES) == set(get_args(ConditionKind))


def test_one_notice_per_kind_joins_equal_reasons() -> None:
    found = [
        Condition("few_events", "a", "only 3 events"),
        Condition("separation", "b", "flat"),
        Condition("few_events", "c", "only 3 events"),
        Condition("few_events", "c", "only 3 events"),
        Condition("few_events", "d", "only 1 event"),
    ]
    first, second = condition_notices(found, people([1], [0]))
    assert (first.kind, first.level, first.title) == ("few_events", "caution", "Too few events in cohort internal")
    assert first.text == "held-out patients of cohort internal. a, c: only 3 events; d: only 1 event."
    assert second.kind == "separation"
    assert condition_notices([], people([1], [0])) == []


def test_judges_of_one_class() -> None:
    assert kinds(judge_notices(people([5, 6, 7.0], [0, 0, 0]))) == ["one_class"]


def test_judges_with_few_events() -> None:
    assert kinds(judge_notices(people(np.arange(1.0, 21), [1] * 4 + [0] * 16))) == ["few_events"]


@pytest.mark.parametrize("left", [0, 1, 2])
def test_horizon_beyond_the_follow_up(left: int) -> None:
    time = np.concatenate([np.linspace(1, 11, 20), np.full(left, 30.0)])
    event = np.concatenate([np.tile([1.0, 0.0], 10), np.zeros(left)])
    notices = judge_notices(people(time, event), 12.0)
    assert kinds(notices) == ([] if left == 2 else ["beyond_follow_up"])
    assert left == 2 or "cannot be judged" in notices[0].text
    assert kinds(judge_notices(people(time, event), None)) == []


def test_missingness_above_the_limit() -> None:
    x = np.ones((10, 2))
    x[:2, 0] = np.nan
    x[:3, 1] = np.nan
    (notice,) = missing_notices(people(np.arange(1.0, 11), np.zeros(10), x, names=["often", "oftener"]))
    assert notice.kind == "missingness"
    assert "oftener 30%" in notice.text
    assert "often 20%" not in notice.text


def test_training_with_more_parameters_than_events_allow_and_a_constant_indicator() -> None:
    time, event, x = cohort(30)
    train = people(time, event, np.column_stack([x, x**2, np.ones(30)]))
    assert kinds(training_notices(train)) == ["too_many_parameters", "collinear"]


def test_a_flag_without_events_reaches_the_report(study: Study, quick: type, settings: AnalysisConfig) -> None:
    data = study()
    ids = data.patients.filter((pl.col("role") == "held_out") & ~pl.col("event"))["patient_id"][:6]
    flagged = data.indicators.with_columns(hbsag=pl.col("patient_id").is_in(ids.to_list()).cast(pl.Float64))
    result = analyse(study(indicators=flagged), settings, fit_images=quick)
    row = next(
        row
        for row in result.hazard_ratios
        if (row.cohort, row.kind, row.term) == ("internal", "univariable", "hbsag")
    )
    assert "Firth" in row.ties
    assert row.lower < row.hr < row.upper < 10
    notice = next(n for n in result.notices if n.kind == "group_without_events" and "internal" in n.title)
    assert "univariable of hbsag" in notice.text


def test_a_described_population_has_survival_incidence_hazards_and_tests(study: Study) -> None:
    data = study()
    result = EndpointResult("1y", "", None, "")
    time, event, x = cohort(120)
    died = ((event == 0) & (time < 20)).astype(float)
    noise = np.random.default_rng(1).normal(size=120)
    patients = people(time, event, np.column_stack([x, noise]), died=died, split="external")
    conditions = add_hazards(result, data, patients, AnalysisConfig())
    assert [row.kind for row in result.hazard_ratios] == ["univariable"] * 2 + ["multivariable"] * 2
    assert [row.test for row in result.tests] == ["likelihood ratio", "Wald", "score"]
    assert [row.model for row in result.proportionality] == ["univariable"] * 2 + ["multivariable"] * 3
    assert (len(result.survival), len(result.incidences)) == (1, 3)
    assert all(isinstance(one, Condition) for one in conditions)
