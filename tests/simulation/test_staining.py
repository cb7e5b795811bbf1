import numpy as np
import pytest

from hccfeat.simulation.parameters import load_parameters
from hccfeat.simulation.staining import Stain, develop, draw_stain, to_rgb

SCANNERS = load_parameters("tiny").scanners


@pytest.mark.parametrize("name", ["internal", "external"])
def test_stains_vary_around_those_of_the_laboratory(name: str) -> None:
    rng = np.random.default_rng(0)
    stains = [draw_stain(SCANNERS[name], rng) for _ in range(300)]
    vectors = np.array([stain.vectors for stain in stains])
    assert (vectors >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1)
    assert (vectors[:, 0, 0] > vectors[:, 1, 0]).all()  # haematoxylin absorbs more red
    middle = np.array([SCANNERS[name].haematoxylin, SCANNERS[name].eosin])
    angles = np.rad2deg(np.arccos(np.clip((vectors * middle).sum(axis=2), -1, 1)))
    assert 1.0 < np.median(angles) < 6.0
    strengths = np.log([stain.strength for stain in stains])
    np.testing.assert_allclose(strengths.std(axis=0), SCANNERS[name].strength_log_sd, atol=0.05)


def test_the_two_laboratories_differ() -> None:
    for stain in ("haematoxylin", "eosin"):
        one, other = (np.array(getattr(SCANNERS[name], stain)) for name in ("internal", "external"))
        assert np.rad2deg(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))) > 4


def _mean_colour(nuclear_share: float, stain: Stain) -> np.ndarray:
    rng = np.random.default_rng(1)
    nucleus = rng.random((200, 200)) < nuclear_share
    raw = np.stack([np.where(nucleus, 1.2, 0.12), np.where(nucleus, 0.3, 0.6)]).astype(np.float32)
    return to_rgb(develop(raw, np.ones((200, 200), np.float32), stain), stain).mean(axis=(0, 1))


def test_the_mean_colour_does_not_tell_how_much_chromatin_there_is() -> None:
    stain = draw_stain(SCANNERS["internal"], np.random.default_rng(2))
    little, much = _mean_colour(0.08, stain), _mean_colour(0.30, stain)
    np.testing.assert_allclose(little, much, atol=2.0)


def test_a_field_without_tissue_stays_white() -> None:
    stain = draw_stain(SCANNERS["internal"], np.random.default_rng(2))
    empty = np.zeros((2, 32, 32), np.float32)
    np.testing.assert_allclose(to_rgb(develop(empty, empty[0], stain), stain)[0, 0], stain.white, rtol=1e-6)
