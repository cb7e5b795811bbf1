import numpy as np
import pytest

from hccfeat.stats import resampling
from hccfeat.stats.resampling import bootstrap, bootstrap_weights, percentile_interval


def test_draws_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(bootstrap_weights(7, 50, seed=3)))
    monkeypatch.setattr(resampling, "BLOCK", 20)
    blocks = list(bootstrap_weights(7, 50, seed=3))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), whole)
    assert (whole.sum(axis=1) == 7).all()


def test_bootstrap_of_a_mean_has_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=200)
    replicates = bootstrap(lambda weights: weights @ values / 200, 200, 4000, seed=1)
    assert replicates.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)
    lower, upper, note = percentile_interval(replicates)
    assert lower < values.mean() < upper
    assert "4000 resamples" in note


def test_a_few_undefined_resamples_are_named_and_many_forbid_an_interval() -> None:
    replicates = np.linspace(0, 1, 100)
    replicates[:5] = np.nan
    assert "5 undefined left out" in percentile_interval(replicates)[2]
    replicates[:20] = np.nan
    assert percentile_interval(replicates) == (None, None, "no interval: undefined in 20 of 100 patient resamples")
