import numpy as np
import pytest

from hccfeat.simulation.mri.items import draw_items
from hccfeat.simulation.mri.latents import draw_latents
from hccfeat.simulation.mri.oracle import ceilings, population_ceilings
from hccfeat.simulation.mri.parameters import load_mri_parameters


def test_nothing_is_trivial_and_each_source_adds() -> None:
    figures = population_ceilings(load_mri_parameters("paper"))
    assert 0.84 <= figures["auc_latents"] <= 0.90
    assert 0.72 <= figures["auc_image"] <= 0.78
    assert 0.72 <= figures["auc_items"] <= 0.78
    assert 0.65 < figures["auc_image_pre"] < figures["auc_image_hbp"] < figures["auc_image"]
    assert max(figures["auc_image"], figures["auc_items"]) + 0.05 < figures["auc_image_and_items"]
    assert figures["auc_image_and_items"] < figures["auc_latents"]


def test_with_k_alone_the_image_tells_nothing_and_items_tell_all_there_is() -> None:
    figures = population_ceilings(load_mri_parameters("tiny", {"weight_s": 0, "weight_i": 0}))
    assert figures["auc_image"] == figures["auc_image_pre"] == 0.5
    assert figures["auc_items"] > 0.65
    assert figures["auc_image_and_items"] == pytest.approx(figures["auc_items"], abs=0.003)


def test_an_image_that_shows_nothing_leaves_the_items() -> None:
    figures = population_ceilings(load_mri_parameters("tiny", {"image_s": 0, "image_i": 0}))
    assert figures["auc_image"] == pytest.approx(0.5, abs=0.001)
    assert figures["auc_image_and_items"] == pytest.approx(figures["auc_items"], abs=0.005)


def test_probabilities_are_calibrated_not_only_ranked() -> None:
    from hccfeat.simulation.mri.oracle import _given_both, _given_image, _given_items, _posterior
    from hccfeat.simulation.mri.parameters import FEATURES

    parameters = load_mri_parameters("tiny")
    latents = draw_latents(parameters, 5, np.random.default_rng(5).standard_normal(6000))
    items = draw_items(parameters, latents, 5)
    density = {name: _posterior(parameters, items, name) for name in ("s", "k")}
    for found in (
        _given_image(parameters, latents, FEATURES),
        _given_items(parameters, density),
        _given_both(parameters, latents, density),
    ):
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
        for grade in range(3):
            sure = found[:, grade] > 0.6
            if sure.sum() > 100:
                said = found[sure, grade].mean()
                assert (latents.grade[sure] == grade).mean() == pytest.approx(said, abs=0.05)


def test_without_patients_of_a_grade_there_is_no_figure() -> None:
    parameters = load_mri_parameters("tiny")
    latents = draw_latents(parameters, 5, np.zeros(2))
    figures = ceilings(parameters, latents, draw_items(parameters, latents, 5))
    assert figures["grades"] == [1, 1, 0]
    assert figures["auc_latents"] is None
