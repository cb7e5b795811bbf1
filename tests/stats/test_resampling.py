import numpy as np
import pytest

from hccfeat.stats import resampling
from hccfeat.stats.discrimination import average_precision
from hccfeat.stats.paired_bootstrap import paired_auroc
from hccfeat.stats.resampling import bootstrap, bootstrap_weights, percentile_interval
from hccfeat.stats.threshold import threshold_metrics


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


def test_resamples_that_do_not_differ_give_no_interval() -> None:
    """An F1 of 0 or an average precision of 1 is not known exactly; a difference of equal risks neither."""
    for replicates in (np.zeros(100), np.full(100, 1 / 3) + np.tile([0, 1e-16], 50)):
        assert percentile_interval(replicates) == (
            None,
            None,
            "no interval: every patient resample gives the same value",
        )
    y, risk = np.repeat([1, 0], 20), np.repeat([0.4, 0.2], 20)
    f1 = threshold_metrics(y, risk, 0.5, resamples=50, seed=0)["f1"]
    perfect = average_precision(y, risk, resamples=50, seed=0)
    equal = paired_auroc(y, risk, risk, resamples=50, seed=0)
    for found, value in ((f1, 0.0), (perfect, 1.0), (equal, 0.0)):
        assert (found.value, found.lower, found.upper) == (value, None, None)
        assert "no interval" in found.method
