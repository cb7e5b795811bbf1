import numpy as np
import pytest

from hccfeat.analysis.judges import NOT_RUN
from hccfeat.analysis.projection import Embedded, embedded, project
from tests.analysis.subset_study import IMAGES, PATCHES, make_bench

DRAW = {"resamples": 100, "seed": 5}


def points(n: int = 60, dim: int = 8, signal: float = 2.0, seed: int = 0) -> Embedded:
    generator = np.random.default_rng(seed)
    owners = [f"p{k // 3:03d}" for k in range(n)]
    relapsed = np.array([k // 3 % 2 == 0 for k in range(n)])
    vectors = generator.normal(size=(n, dim)) * 0.3
    vectors[:, 3] += signal * relapsed
    return Embedded(vectors, relapsed + 0.1 * generator.random(n), relapsed, owners, "patches", n)


def test_pca_is_turned_towards_the_probability_not_the_label() -> None:
    found = points()
    right = project(found, "pca", **DRAW)
    assert right.separation.value > 0.98
    assert (right.separation.n, right.patients, right.events) == (20, 20, 10)
    wrong = Embedded(found.vectors, -found.probability, found.relapsed, found.owners, "patches", 60)
    assert project(wrong, "pca", **DRAW).separation.value == pytest.approx(1 - right.separation.value)
    assert right.explained[0] > right.explained[1] > 0
    scaled = Embedded(found.vectors * 1e-6, found.probability, found.relapsed, found.owners, "patches", 60)
    np.testing.assert_allclose(project(scaled, "pca", **DRAW).points, right.points, atol=1e-6)


def test_without_signal_the_first_component_says_nothing() -> None:
    found = project(points(300, signal=0.0), "pca", **DRAW)
    assert found.separation.lower < 0.5 < found.separation.upper


def test_tsne_is_the_same_twice_and_keeps_clusters_apart() -> None:
    one, two = (project(points(signal=5.0), "tsne", **DRAW) for _ in range(2))
    np.testing.assert_array_equal(one.points, two.points)
    centre = [one.points[one.relapsed == value].mean(axis=0) for value in (True, False)]
    spread = np.mean([one.points[one.relapsed == value].std() for value in (True, False)])
    assert np.linalg.norm(centre[0] - centre[1]) > spread
    assert one.separation is None


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_points_are_not_projected(n: int, method: str) -> None:
    found = project(points(n), method, **DRAW)
    assert found.points is None
    assert "fewer than 5" in found.reason
    assert found.separation is None


@pytest.mark.parametrize("n", [5, 7])
def test_few_points_are_projected_without_warnings(n: int) -> None:
    for method in ("pca", "tsne"):
        found = project(points(n), method, **DRAW)
        assert found.points.shape == (n, 2)
        assert np.isfinite(found.points).all()


def test_equal_or_one_dimensional_embeddings_say_why_not() -> None:
    flat = Embedded(np.ones((9, 4)), np.ones(9), np.arange(9) < 4, [str(k) for k in range(9)], "images", 9)
    assert "are equal" in project(flat, "tsne", **DRAW).reason
    thin = Embedded(np.arange(9.0)[:, None], np.ones(9), np.arange(9) < 4, [str(k) for k in range(9)], "images", 9)
    assert "one dimension" in project(thin, "pca", **DRAW).reason


def test_embeddings_belong_to_their_rows() -> None:
    bench = make_bench(lambda model, subset: 6.0)
    draw = {"seed": 1}
    patches = embedded(bench, "cnn_sasm", "1/2", "test", "patch", limit=10_000, **draw)
    images = embedded(bench, "cnn_sasm", "1/2", "test", "image", limit=10_000, **draw)
    patients = len(bench.judges.of_group("test", "1/2"))
    assert patches.vectors.shape[0] == patients * IMAGES * PATCHES == PATCHES * images.vectors.shape[0]
    # The vectors carry the score, so that rows out of step would lose this.
    assert np.corrcoef(patches.vectors.sum(axis=1), patches.probability)[0, 1] > 0.8
    np.testing.assert_allclose(images.vectors[0], patches.vectors[:PATCHES].mean(axis=0), atol=1e-6)
    few = embedded(bench, "cnn_sasm", "1/2", "strict", "patch", limit=15, **draw)
    assert (len(few.vectors), few.of) == (15, 8 * IMAGES * PATCHES)
    again = embedded(bench, "cnn_sasm", "1/2", "strict", "patch", limit=15, **draw)
    np.testing.assert_array_equal(few.vectors, again.vectors)
    assert embedded(make_bench(finals=()), "cnn_sasm", "1/2", "test", "patch", limit=5, seed=1) == NOT_RUN
