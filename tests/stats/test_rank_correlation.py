"""Weighted Spearman correlation against scipy on repeated observations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from hccfeat.stats.rank_correlation import weighted_spearman

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), min_size=3, max_size=15)


@settings(deadline=None, max_examples=60)
@given(pairs)
def test_equals_spearman_of_repeated_observations(rows: list[tuple[int, int, int]]) -> None:
    x, y, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    many = weight.astype(int)
    repeated = np.repeat(x, many), np.repeat(y, many)
    found = weighted_spearman(x, y, weight[None])[0]
    if many.sum() == 0 or np.ptp(repeated[0]) == 0 or np.ptp(repeated[1]) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(*repeated).statistic, abs=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 30))
    weights = rng.multinomial(30, np.full(30, 1 / 30), size=25).astype(float)
    whole = weighted_spearman(x, y, weights)
    monkeypatch.setattr("hccfeat.stats.rank_correlation.BLOCK", 64)
    np.testing.assert_array_equal(weighted_spearman(x, y, weights), whole)
