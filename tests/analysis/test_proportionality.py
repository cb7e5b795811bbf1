import numpy as np
import pytest

from hccfeat.analysis.proportionality import proportionality
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.proportional import proportional_hazards
from tests.analysis.people import cohort, people


def crossing(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A group that is worse at first and better later."""
    generator = np.random.default_rng(6)
    group = np.repeat([0.0, 1.0], n // 2)
    time = np.where(group == 1, generator.exponential(1, n) ** 2 * 8, generator.uniform(6, 14, n))
    return time + 0.01, np.ones(n), group


def test_crossing_hazards_are_a_condition() -> None:
    time, event, group = crossing()
    rows, conditions = proportionality(people(time, event), "univariable", time, event, group, ["group"])
    (row,) = rows
    expected = proportional_hazards(cox_model(time, event, group)).terms[0]
    assert (row.chisq, row.df, row.p) == (expected.chisq, 1, expected.p)
    assert row.p < 0.001
    assert (row.transform, row.events, row.term) == ("km", 200, "group")
    (condition,) = conditions
    assert condition.kind == "non_proportional"
    assert condition.about.startswith("univariable (group P = ")
    assert "changes with time" in condition.reason


def test_several_terms_are_tested_alone_and_together_and_the_last_decides() -> None:
    time, event, group = crossing()
    noise = np.random.default_rng(2).normal(size=200)
    x = np.column_stack([group, noise])
    rows, conditions = proportionality(people(time, event), "multivariable", time, event, x, ["group", "noise"])
    assert [(row.term, row.df) for row in rows] == [("group", 1), ("noise", 1), ("GLOBAL", 2)]
    assert rows[2].p == pytest.approx(proportional_hazards(cox_model(time, event, x)).together.p)
    assert "group P" in conditions[0].about


def test_proportional_hazards_are_none() -> None:
    time, event, x = cohort()
    rows, conditions = proportionality(people(time, event), "univariable", time, event, x, ["x"])
    assert rows[0].p > 0.05
    assert conditions == []


def test_without_a_model_or_a_second_time_there_is_no_test() -> None:
    assert proportionality(people([1, 2], [0, 0]), "m", np.ones(2), np.zeros(2), np.arange(2.0), ["x"]) == ([], [])
    time, event = np.array([1.0, 1, 1, 1, 2, 2]), np.array([1.0, 1, 1, 1, 0, 0])
    rows, conditions = proportionality(people(time, event), "m", time, event, np.array([1.0, 2, 1, 3, 1, 2]), ["x"])
    assert [(row.chisq, row.p) for row in rows] == [(None, None)]
    assert conditions == []
