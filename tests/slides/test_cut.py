"""Cutting: the same whoever reads, wherever the pixels lie, in whatever order they came."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import laplace

from hccfeat.config import Recipe
from hccfeat.cores import one_core, shared_cores
from hccfeat.slides import cut as cutting
from hccfeat.slides.optical import OPTICAL_DENSITY
from hccfeat.slides.patches import BLANK_SPREAD, focus, is_blank
from hccfeat.slides.prepare import PreparedImage, prepare_image
from hccfeat.slides.readers import open_slide
from tests.slides.he import he_image, write_pyramid
from tests.slides.test_prepare import recipe


def same(a: PreparedImage, b: PreparedImage) -> None:
    for name in ("patches", "coords", "skipped_coords", "skipped_status"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.mean_rgb, a.blurred_fraction, a.status) == (b.mean_rgb, b.blurred_fraction, b.status)
    assert a.stain is not None
    assert b.stain is not None
    np.testing.assert_array_equal(a.stain.vectors, b.stain.vectors)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "a.tif"
    rgb = np.tile(he_image(128, 132), (8, 8, 1))
    rgb[300:500, 200:700] = 244  # glass in the middle
    write_pyramid(path, rgb, mpp=1.0)
    return path


@pytest.mark.parametrize("per_image", [None, 40])
def test_helping_cores_change_nothing(slide: Path, per_image: int | None) -> None:
    small: Recipe = recipe(patches={"per_image": per_image})
    alone = prepare_image(slide, "c/a", small)
    with shared_cores(4), one_core():
        helped = prepare_image(slide, "c/a", small)
    same(alone, helped)
    assert set(alone.seconds) == {"read", "decode", "tissue", "stain"}
    assert len(alone.patches) == per_image or (per_image is None and len(alone.patches) > 500)


def test_many_patches_lie_in_an_unnamed_file(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = prepare_image(slide, "c/a", recipe())
    monkeypatch.setattr(cutting, "MOST_IN_MEMORY", 1000)
    prepared = prepare_image(slide, "c/a", recipe(), scratch=tmp_path / "scratch")
    assert isinstance(prepared.patches, np.memmap)
    assert list((tmp_path / "scratch").iterdir()) == []
    same(prepared, expected)


def test_rows_are_arranged_in_place() -> None:
    generator = np.random.default_rng(0)
    for count in (0, 1, 2, 57):
        order = generator.permutation(count)
        rows = generator.integers(0, 256, (count, 2, 2, 3), np.uint8)
        expected = rows[order]
        cutting._arrange(rows, order)
        np.testing.assert_array_equal(rows, expected)


def test_a_twin_reads_the_same_in_another_thread(slide: Path, tmp_path: Path) -> None:
    plain = tmp_path / "b.png"
    Image.fromarray(he_image(200, 200)).save(plain)
    for path, shared in ((slide, False), (plain, True)):
        with open_slide(path, 1.0) as opened:
            twin = opened.twin()
            assert (twin is opened) == shared
            found: list[np.ndarray] = []
            thread = threading.Thread(
                target=lambda other, to: to.append(other.read(10, 20, 64, 64)), args=(twin, found)
            )
            thread.start()
            thread.join()
            np.testing.assert_array_equal(found[0], opened.read(10, 20, 64, 64))


def test_blank_is_by_numpys_percentiles() -> None:
    generator = np.random.default_rng(1)
    seen = set()
    for _ in range(300):
        side = int(generator.integers(5, 60))
        specks = generator.random((side, side, 3)) < generator.random() * 0.03
        patch = (int(generator.integers(0, 250)) + specks * generator.integers(0, 5, (side, side, 3))).astype(
            np.uint8
        )
        low, high = np.percentile(patch.reshape(-1, 3), (1, 99), axis=0)
        seen.add(is_blank(patch))
        assert is_blank(patch) == bool((high - low).max() < BLANK_SPREAD)
    assert seen == {True, False}


def test_focus_is_the_variance_of_the_laplacian() -> None:
    patch = he_image(70, 70)
    density = OPTICAL_DENSITY[patch].mean(-1, dtype=np.float64)
    assert focus(patch) == pytest.approx(laplace(density)[1:-1, 1:-1].var(), rel=1e-4)
