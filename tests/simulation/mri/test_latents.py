import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from hccfeat.simulation.mri.latents import cut_grades, draw_latents, largest_remainder
from hccfeat.simulation.mri.parameters import load_mri_parameters

N = 20_000
A = np.random.default_rng(0).standard_normal(N)


def test_the_papers_counts_are_exact_at_its_size() -> None:
    parameters = load_mri_parameters("paper")
    for seed in range(3):
        latents = draw_latents(parameters, seed, A[:270])
        assert np.bincount(latents.grade).tolist() == [128, 93, 49]
        assert latents.score[latents.grade == 0].max() < latents.score[latents.grade == 1].min()
        assert latents.score[latents.grade == 1].max() < latents.score[latents.grade == 2].min()


@settings(max_examples=50, deadline=None)
@given(total=st.integers(0, 2000))
def test_other_sizes_have_the_same_shares_by_largest_remainder(total: int) -> None:
    counts = largest_remainder(total, (128, 93, 49))
    assert sum(counts) == total
    assert all(abs(count - total * share / 270) < 1 for count, share in zip(counts, (128, 93, 49), strict=True))
    assert np.bincount(cut_grades(np.arange(float(total)), (128, 93, 49)), minlength=3).tolist() == counts


def test_latents_are_standard_normal_and_only_s_follows_aggressiveness() -> None:
    latents = draw_latents(load_mri_parameters("tiny"), 4, A)
    for values in (latents.s, latents.i, latents.k):
        assert kstest(values, "norm").pvalue > 0.001
    together = np.corrcoef([A, latents.s, latents.i, latents.k])
    assert together[0, 1] == pytest.approx(0.5, abs=0.02)
    assert np.abs(together[0, 2:]).max() < 0.03
    assert np.abs(together[1, 2:]).max() < 0.03
    assert abs(together[2, 3]) < 0.03


def test_the_image_shows_i_strongly_s_weakly_and_k_not() -> None:
    latents = draw_latents(load_mri_parameters("tiny"), 4, A)
    for signal in latents.signals.T:
        with_i, with_s, with_k = (np.corrcoef(signal, latent)[0, 1] for latent in (latents.i, latents.s, latents.k))
        assert with_i > 0.6
        assert 0.2 < with_s < 0.4
        assert abs(with_k) < 0.03


def test_arms_of_a_comparison_are_paired() -> None:
    one = draw_latents(load_mri_parameters("tiny"), 4, A)
    other = draw_latents(load_mri_parameters("tiny", {"weight_s": 0, "weight_i": 0}), 4, A)
    for name in ("s", "i", "k", "signals", "diameter_mm"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert abs(np.corrcoef(other.grade, other.i)[0, 1]) < 0.03 < np.corrcoef(one.grade, one.i)[0, 1]
    assert np.corrcoef(other.grade, other.k)[0, 1] > 0.5


def test_the_lesion_has_the_size_of_the_clinical_table() -> None:
    parameters = load_mri_parameters("tiny")
    sizes = np.array([0.5, 3.0, 25.0])
    np.testing.assert_array_equal(draw_latents(parameters, 1, A[:3], sizes).diameter_mm, [16.0, 30.0, 90.0])
    drawn = draw_latents(parameters, 1, A)
    assert np.median(drawn.diameter_mm) == pytest.approx(38, abs=1)
    assert abs(np.corrcoef(drawn.diameter_mm, drawn.i)[0, 1]) < 0.03


def test_features_rise_with_the_signal_and_are_capped() -> None:
    parameters = load_mri_parameters("tiny", {"image_i": 30.0})
    latents = draw_latents(parameters, 1, A[:50])
    low, high = (int(np.argmin(latents.i)), int(np.argmax(latents.i)))
    for name, feature in parameters.image.features.items():
        assert latents.feature(parameters, name, low) < feature.typical < latents.feature(parameters, name, high)
        assert latents.feature(parameters, name, high) <= feature.most
