"""Patch to image to patient."""

import numpy as np
import pytest
import torch

from hccfeat.errors import InputError
from hccfeat.models import create
from hccfeat.training.embed import embed
from hccfeat.training.risk import image_drs, mean_by_patient, recurrence_probabilities


def test_patient_mean_counts_images_not_patches() -> None:
    assert mean_by_patient(["b", "a", "b"], [0.2, 0.5, 0.6]) == {"a": 0.5, "b": pytest.approx(0.4)}
    with pytest.raises(InputError, match="for 2 images"):
        mean_by_patient(["a", "b"], [0.1])


def test_probabilities_of_stored_vectors_equal_those_of_their_pixels() -> None:
    torch.manual_seed(0)
    encoder = create("cnn_sasm", input_px=64, csa_heads=2)
    patches = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), np.uint8)
    vectors, probabilities = embed(encoder, patches)
    encoder.train()
    np.testing.assert_allclose(recurrence_probabilities(encoder, vectors), probabilities, rtol=1e-6)
    assert image_drs(encoder, vectors) == pytest.approx(float(probabilities.mean()))
    assert image_drs(encoder, vectors[:0]) is None
