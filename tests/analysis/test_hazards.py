import numpy as np
import pytest

from hccfeat.analysis.hazards import FIRTH_TIES, PERMUTATIONS, group_test, guarded_hazard, univariable
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.firth import firth_cox
from hccfeat.stats.logrank import logrank_table, permutation_logrank
from tests.analysis.people import cohort, people

ONES = np.ones(20)


def eventless() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twenty patients of whom six share a level without events."""
    generator = np.random.default_rng(1)
    group = np.repeat([0.0, 1.0], [6, 14])
    return generator.uniform(1, 20, 20), (group == 1) & (np.arange(20) % 2 == 0), group


def test_a_plain_hazard_ratio_is_walds_with_efrons_ties() -> None:
    time, event, x = cohort()
    fit, condition = guarded_hazard(time, event, x, "x")
    assert condition is None
    assert fit.hr == pytest.approx(float(np.exp(cox_model(time, event, x).coefficients[0])))
    assert fit.ties == "efron"


def test_a_level_without_events_gets_firths_hazard_ratio_and_says_so() -> None:
    time, event, group = eventless()
    fit, condition = guarded_hazard(time, event.astype(float), group, "flag")
    assert condition.kind == "group_without_events"
    assert "no events among the 6 patients" in condition.reason
    assert "profile-likelihood" in condition.reason
    (term,) = firth_cox(time, event, group).terms
    assert fit.hr == pytest.approx(np.exp(term.coefficient))
    assert (fit.lower, fit.upper, fit.p) == (
        pytest.approx(np.exp(term.lower)),
        pytest.approx(np.exp(term.upper)),
        pytest.approx(term.p),
    )
    assert fit.ties == FIRTH_TIES
    assert 1 < fit.hr < 100


def test_a_covariate_that_orders_the_events_is_separation() -> None:
    time = np.arange(1.0, 13.0)
    fit, condition = guarded_hazard(time, np.ones(12), -time, "x")
    assert condition.kind == "separation"
    assert fit.ties == FIRTH_TIES
    assert fit.hr > 1
    assert np.isfinite(fit.hr)


def test_too_few_events_give_no_hazard_ratio_and_no_p() -> None:
    event = np.array([1.0] * 4 + [0.0] * 16)
    fit, condition = guarded_hazard(np.arange(1.0, 21.0), event, np.arange(20.0), "x")
    assert (fit.hr, fit.p, condition.kind) == (None, None, "few_events")
    assert "only 4 events" in condition.reason


def test_a_constant_covariate_is_named() -> None:
    fit, condition = guarded_hazard(np.arange(1.0, 21.0), ONES, ONES, "x")
    assert (fit.hr, condition.kind) == (None, "collinear")


def test_univariable_rows_have_their_own_patients_and_tests() -> None:
    time, event, x = cohort(60)
    missing = np.where(np.arange(60) < 10, np.nan, x)
    rows, conditions, tests = univariable(
        "1y", people(time, event, np.column_stack([x, missing, np.ones(60)]), names=["a", "b", "c"]), "univariable"
    )
    assert [row.n for row in rows] == [60, 50, 60]
    assert [row.hr is None for row in rows] == [False, False, True]
    assert [(row.term, row.df) for row in tests] == [("a", 1), ("b", 1)]
    assert {one.kind for one in conditions} == {"collinear"}


def test_groups_with_events_enough_get_the_log_rank_test() -> None:
    time, event, x = cohort()
    found = group_test(time, event, np.where(x > 0, "high", "low"), "groups", 1)
    table = logrank_table(time, event, np.where(x > 0, "high", "low"))
    assert (found.chisq, found.p, found.test) == (table.test.chisq, table.test.p, "log-rank")
    assert found.expected == pytest.approx(table.expected)
    assert found.condition is None


@pytest.mark.parametrize(("empty", "kind"), [(True, "group_without_events"), (False, "few_expected")])
def test_groups_with_few_events_get_the_permutation_test(empty: bool, kind: str) -> None:
    time, event, group = eventless()
    event = event.astype(float)
    event[0] = 0.0 if empty else 1.0
    found = group_test(time, event, group, "groups", 7)
    assert found.chisq is None
    p, labellings = permutation_logrank(time, event, group, permutations=PERMUTATIONS, seed=7)
    assert (found.p, found.test) == (p, f"permutation log-rank, {labellings}")
    assert found.condition.kind == kind
    assert min(found.expected) < 5


def test_fewer_than_five_events_in_all_give_curves_without_p() -> None:
    time, _, group = eventless()
    found = group_test(time, np.array([1.0] * 4 + [0.0] * 16), group, "groups", 1)
    assert (found.chisq, found.p, found.condition.kind) == (None, None, "few_events")
    assert "withheld: only 4 events" in found.note


def test_one_group_is_not_compared() -> None:
    found = group_test(np.arange(1.0, 21.0), ONES, np.zeros(20), "groups", 1)
    assert (found.p, found.condition) == (None, None)
    assert "fewer than two groups" in found.note


def test_groups_never_at_risk_together_get_the_permutation_test() -> None:
    time = np.concatenate([np.full(10, 1.0), np.full(10, 9.0)])
    event = np.repeat([0.0, 1.0], 10)
    found = group_test(time, event, np.repeat([0.0, 1.0], 10), "groups", 1)
    assert found.p is not None
    assert found.condition.kind == "group_without_events"
