import itertools

import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test

from hccfeat.errors import AnalysisError
from hccfeat.stats import logrank
from hccfeat.stats.logrank import logrank_table, permutation_logrank


def test_by_hand() -> None:
    found = logrank_table([1, 2, 3, 4], [1, 1, 1, 0], ["a", "b", "a", "b"])
    assert found.groups == ("a", "b")
    assert found.observed.tolist() == [2, 1]
    assert found.expected == pytest.approx([1 / 2 + 1 / 3 + 1 / 2, 1 / 2 + 2 / 3 + 1 / 2])
    variance = 1 / 4 + 2 / 9 + 1 / 4
    assert found.test.chisq == pytest.approx((2 - 4 / 3) ** 2 / variance)


@pytest.mark.parametrize("groups", [2, 4])
def test_it_is_lifelines_test(groups: int) -> None:
    generator = np.random.default_rng(groups)
    time, event = np.ceil(8 * generator.exponential(size=150)), generator.random(150) < 0.6
    group = generator.integers(0, groups, size=150)
    found, expected = logrank_table(time, event, group), multivariate_logrank_test(time, group, event)
    assert found.test.chisq == pytest.approx(expected.test_statistic, rel=1e-9)
    assert found.test.p == pytest.approx(expected.p_value, rel=1e-7)
    assert found.observed.sum() == pytest.approx(found.expected.sum())


def test_permutations_are_those_of_all_labellings(monkeypatch: pytest.MonkeyPatch) -> None:
    time, event, group = np.arange(1.0, 9), np.array([1, 1, 1, 0, 1, 1, 0, 1]), np.repeat([0, 1], 4)
    chosen = [np.isin(np.arange(8), rows) for rows in itertools.combinations(range(8), 4)]
    gaps = [(lambda t: abs(t.observed[1] - t.expected[1]))(logrank_table(time, event, rows)) for rows in chosen]
    found = logrank_table(time, event, group)
    exact = np.mean([gap >= abs(found.observed[1] - found.expected[1]) - 1e-9 for gap in gaps])
    assert permutation_logrank(time, event, group) == (pytest.approx(exact), "all 70 labellings")
    monkeypatch.setattr(logrank, "MOST_LABELLINGS", 69)
    sampled, how = permutation_logrank(time, event, group, permutations=20_000, seed=1)
    assert (sampled, how) == (pytest.approx(exact, abs=0.01), "20000 permutations")
    assert sampled == permutation_logrank(time, event, group, permutations=20_000, seed=1)[0]


def test_permutation_p_is_about_the_asymptotic_one_in_large_groups() -> None:
    generator = np.random.default_rng(3)
    group = np.repeat([0, 1, 2], 200)
    time, event = generator.exponential(size=600), generator.random(600) < 0.5
    p = logrank_table(time, event, group).test.p
    assert permutation_logrank(time, event, group, permutations=4000, seed=2)[0] == pytest.approx(p, abs=0.04)


def test_groups_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(AnalysisError, match="fewer than two"):
        logrank_table([1, 2], [1, 1], [0, 0])
    with pytest.raises(AnalysisError, match="at no event"):
        logrank_table([1, 2, 3], [0, 1, 1], [1, 0, 0])
