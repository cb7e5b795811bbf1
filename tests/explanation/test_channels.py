"""Channel weights and their ranking."""

import numpy as np
import pytest
import torch

from hccfeat.errors import ConfigError, InputError
from hccfeat.explanation.channels import attention_weights, rank_channels
from hccfeat.models import create


def test_weights_are_the_column_means_of_the_attention() -> None:
    torch.manual_seed(0)
    model = create("cnn_sasm", input_px=64, csa_heads=2).eval()
    patches = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)
    weights = attention_weights(model, patches)  # more than one batch
    assert weights.shape == (9, 512)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert weights.std() > 0
    assert not model.csa._forward_pre_hooks
    # one channel that every query looks for
    with torch.no_grad():
        model.csa.qkv.weight.zero_()
        model.csa.qkv.bias.zero_()
    np.testing.assert_allclose(attention_weights(model, patches[:1]), 1 / 512, rtol=1e-5)


def test_an_encoder_without_csa_is_named() -> None:
    model = create("cnn_ssa", input_px=64)
    with pytest.raises(ConfigError, match="has no CSA module"):
        attention_weights(model, np.zeros((1, 64, 64, 3), np.uint8))


def test_every_patient_counts_once() -> None:
    # patient a has three patches for channel 0, b and c one each for channel 2
    weights = np.array([[9, 0, 0], [9, 0, 0], [9, 0, 0], [0, 1, 8], [0, 3, 6]], dtype=float)
    ranking = rank_channels(weights, ["a", "a", "a", "b", "c"])
    assert ranking.order.tolist() == [2, 0, 1]
    np.testing.assert_allclose(ranking.mean, [3, 4 / 3, 14 / 3])
    assert ranking.sd is not None
    np.testing.assert_allclose(ranking.sd[2], np.std([0, 8, 6], ddof=1))
    assert (ranking.patients, ranking.patches, ranking.rank(1)) == (3, 5, 3)
    assert rank_channels(weights[:2], ["a", "a"]).sd is None


def test_no_patch_is_refused() -> None:
    with pytest.raises(InputError):
        rank_channels(np.zeros((0, 3)), [])
    with pytest.raises(InputError):
        rank_channels(np.zeros((2, 3)), ["a"])
