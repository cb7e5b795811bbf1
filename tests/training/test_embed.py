"""Embedding: shapes, precision, evaluation mode."""

import numpy as np
import pytest
import torch

from hccfeat.models import Encoder, create
from hccfeat.training.embed import embed


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return create("cnn_sasm", input_px=64, csa_heads=2)


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (7, 64, 64, 3), np.uint8)


def test_shapes_types_and_batches(encoder: Encoder, patches: np.ndarray) -> None:
    vectors, probabilities = embed(encoder.train(), patches, batch_size=3)
    assert (vectors.shape, vectors.dtype) == ((7, 128), np.float32)
    assert (probabilities.shape, probabilities.dtype) == ((7,), np.float32)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    whole, _ = embed(encoder, patches)
    np.testing.assert_allclose(vectors, whole, rtol=1e-4, atol=1e-6)
    again, _ = embed(encoder.train(), patches)
    assert np.array_equal(whole, again)
    assert not encoder.training


def test_no_patches_give_no_vectors(encoder: Encoder, patches: np.ndarray) -> None:
    vectors, probabilities = embed(encoder, patches[:0])
    assert (vectors.shape, probabilities.shape) == ((0, 128), (0,))


def test_read_only_maps_are_taken(encoder: Encoder, patches: np.ndarray, tmp_path: object) -> None:
    np.save(f"{tmp_path}/patches.npy", patches)
    mapped = np.load(f"{tmp_path}/patches.npy", mmap_mode="r")
    assert np.array_equal(embed(encoder, mapped)[0], embed(encoder, patches)[0])


def test_bf16_changes_the_trunk_only(encoder: Encoder, patches: np.ndarray) -> None:
    exact, _ = embed(encoder, patches)
    rounded, _ = embed(encoder, patches, precision="bf16")
    assert rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, rtol=0.05, atol=1e-3)
