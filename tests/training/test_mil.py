"""Attention MIL on toy bags."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hccfeat.errors import AnalysisError
from hccfeat.training.mil import MilSettings, fit_mil

FAST = MilSettings(epochs=12, patches=32, learning_rate=5e-3)


def toy(count: int, seed: int, *, told: float = 3.0) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """Bags of 20 to 40 patches; in those of class 1, three patches are moved along one axis."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 2
    bags, marked = [], []
    for label in y:
        bag = random.normal(size=(random.integers(20, 40), 8))
        inside = np.zeros(len(bag), dtype=bool)
        inside[random.choice(len(bag), 3, replace=False)] = label == 1
        bag[inside, 0] += told
        bags.append((0.02 + 1e-3 * bag).astype(np.float32))
        marked.append(inside)
    return bags, y, marked


def test_it_learns_and_its_attention_finds_the_patches_that_tell() -> None:
    bags, y, _ = toy(120, 1)
    model = fit_mil(bags, y, FAST)
    judged, truth, marked = toy(80, 2)
    risk = model.predict(judged)
    assert ((risk > 0) & (risk < 1)).all()
    assert roc_auc_score(truth, risk) > 0.9
    shares = []
    for bag, inside in zip(judged, marked, strict=True):
        weights = model.attention(bag)
        assert weights.sum() == pytest.approx(1.0, abs=1e-5)
        if inside.any():
            shares.append(weights[inside].mean() / weights[~inside].mean())
    assert np.median(shares) > 5


def test_noise_stays_at_chance() -> None:
    areas = []
    for seed in range(3):
        bags, y, _ = toy(60, seed, told=0.0)
        judged, truth, _ = toy(80, 100 + seed, told=0.0)
        areas.append(roc_auc_score(truth, fit_mil(bags, y, FAST).predict(judged)))
    assert abs(np.mean(areas) - 0.5) < 0.08


def test_the_seed_decides_and_nothing_else() -> None:
    bags, y, _ = toy(30, 3)
    quick = MilSettings(epochs=2, patches=8)
    state = torch.random.get_rng_state()
    one = fit_mil(bags, y, quick).predict(bags)
    torch.manual_seed(99)
    assert np.array_equal(one, fit_mil(bags, y, quick).predict(bags))
    assert not np.array_equal(one, fit_mil(bags, y, MilSettings(epochs=2, patches=8, seed=1)).predict(bags))
    torch.random.set_rng_state(state)
    fit_mil(bags, y, quick)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0, 1]])
def test_labels_that_teach_nothing_are_refused(labels: list[int]) -> None:
    bags, _, _ = toy(3, 4)
    with pytest.raises(AnalysisError, match="attention MIL"):
        fit_mil(bags, labels, FAST)


def test_empty_and_broken_bags_are_refused() -> None:
    bags, y, _ = toy(4, 5)
    with pytest.raises(AnalysisError, match="empty bags"):
        fit_mil([*bags[:3], bags[3][:0]], y, FAST)
    bags[0][0, 0] = np.nan
    with pytest.raises(AnalysisError, match="gaps"):
        fit_mil(bags, y, FAST)
