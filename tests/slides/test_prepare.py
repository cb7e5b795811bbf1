"""Whole images: counts, coordinates, statuses, exclusions, determinism, real slides."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

from hccfeat.config import Recipe
from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.patches import PatchStatus
from hccfeat.slides.prepare import PreparedImage, prepare_image
from tests.slides.he import he_image, on_glass, write_pyramid


def recipe(**sections: dict[str, Any]) -> Recipe:
    """A small recipe: 32 px at 1 um/px."""
    small: dict[str, dict[str, Any]] = {
        "patches": {"size_px": 32, "target_mpp": 1.0},
        "tissue": {"thumbnail_mpp": 4.0, "min_area_um2": 100},
    }
    for name, fields in sections.items():
        small[name] = {**small.get(name, {}), **fields}
    return Recipe.model_validate({"name": "small", **small})


def save(path: Path, rgb: np.ndarray) -> Path:
    Image.fromarray(rgb).save(path)
    return path


def check(prepared: PreparedImage, side: int) -> None:
    """What holds for every prepared image."""
    count = len(prepared.patches)
    assert prepared.patches.dtype == np.uint8
    assert prepared.patches.shape == (count, side, side, 3)
    assert prepared.coords.dtype == np.int64
    assert prepared.coords.shape == (count, 2)
    assert prepared.skipped_coords.dtype == np.int64
    assert prepared.skipped_status.dtype == np.uint8
    assert prepared.skipped_coords.shape == (len(prepared.skipped_status), 2)
    assert (prepared.skipped_status != PatchStatus.USABLE).all()
    assert prepared.status == ("ok" if count else "excluded")
    assert bool(prepared.reason) == (prepared.status == "excluded")
    together = np.concatenate([prepared.coords, prepared.skipped_coords])
    assert len(np.unique(together, axis=0)) == len(together)
    assert (np.lexsort((prepared.coords[:, 0], prepared.coords[:, 1])) == np.arange(count)).all()


def test_all_tissue(tmp_path: Path) -> None:
    rgb = he_image(128, 160)
    prepared = prepare_image(save(tmp_path / "a.png", rgb), "c/a", recipe(), mpp=1.0)
    check(prepared, 32)
    assert len(prepared.patches) == 20
    assert prepared.coords.tolist() == [[x, y] for y in range(0, 128, 32) for x in range(0, 160, 32)]
    assert prepared.tissue_fraction > 0.95
    assert prepared.stain is not None
    assert prepared.stain.accepted
    np.testing.assert_allclose(prepared.mean_rgb, rgb.mean((0, 1)), atol=0.01)


def test_raw_pixels_without_stain(tmp_path: Path) -> None:
    rgb = he_image(64, 64)
    plain = recipe(stain={"method": "none"})
    prepared = prepare_image(save(tmp_path / "a.png", rgb), "c/a", plain, mpp=1.0)
    assert prepared.stain is None
    np.testing.assert_array_equal(prepared.patches[1], rgb[:32, 32:])


def test_pyramid_at_half_the_mpp(tmp_path: Path) -> None:
    rgb = he_image(256, 320)
    write_pyramid(tmp_path / "a.tif", rgb, mpp=0.5)
    prepared = prepare_image(tmp_path / "a.tif", "c/a", recipe())
    check(prepared, 32)
    assert prepared.patch_size_level0 == 64
    assert len(prepared.patches) == 20
    assert (prepared.coords % 64 == 0).all()


def test_glass_is_dropped_by_the_patches_own_pixels(tmp_path: Path) -> None:
    field = on_glass(he_image(64, 80), 160, 160)
    prepared = prepare_image(save(tmp_path / "a.png", field), "c/a", recipe(), mpp=1.0)
    check(prepared, 32)
    kept = {tuple(xy) for xy in prepared.coords.tolist()}
    assert {(0, 0), (32, 0), (0, 32), (32, 32)} <= kept
    assert all(x <= 64 and y <= 32 for x, y in kept)
    assert set(prepared.skipped_status.tolist()) <= {PatchStatus.BACKGROUND, PatchStatus.BLANK}


def test_undersampling_is_seeded_and_nested(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", he_image(160, 160))
    few, more = (prepare_image(path, "c/a", recipe(patches={"per_image": n}), mpp=1.0) for n in (5, 12))
    check(few, 32)
    assert len(few.patches) == 5
    assert (few.skipped_status == PatchStatus.NOT_SAMPLED).sum() == 20
    again = prepare_image(path, "c/a", recipe(patches={"per_image": 5}), mpp=1.0)
    np.testing.assert_array_equal(again.coords, few.coords)
    np.testing.assert_array_equal(again.patches, few.patches)
    assert {tuple(c) for c in few.coords.tolist()} <= {tuple(c) for c in more.coords.tolist()}
    for image_id, seed in (("c/b", 2023), ("c/a", 1)):
        other = prepare_image(path, image_id, recipe(patches={"per_image": 5, "seed": seed}), mpp=1.0)
        assert other.coords.tolist() != few.coords.tolist()


def test_blurred_patches_and_images(tmp_path: Path) -> None:
    rgb = he_image(128, 128)
    rgb[:, :64] = gaussian_filter(rgb[:, :64], (3, 3, 0))
    strict = recipe(quality={"min_focus": 0.002})
    prepared = prepare_image(save(tmp_path / "a.png", rgb), "c/a", strict, mpp=1.0)
    check(prepared, 32)
    assert prepared.blurred_fraction == 0.5
    assert (prepared.coords[:, 0] >= 64).all()
    assert (prepared.skipped_status == PatchStatus.BLURRED).sum() == 8
    soft = gaussian_filter(rgb, (3, 3, 0))
    excluded = prepare_image(save(tmp_path / "b.png", soft), "c/b", strict, mpp=1.0)
    check(excluded, 32)
    assert excluded.reason.startswith("out of focus")


def test_lost_tissue_is_excluded(tmp_path: Path) -> None:
    field = on_glass(he_image(30, 30), 300, 300)
    prepared = prepare_image(save(tmp_path / "a.png", field), "c/a", recipe(), mpp=1.0)
    check(prepared, 32)
    assert prepared.reason.startswith("lost tissue")
    empty = save(tmp_path / "b.png", np.full((200, 200, 3), 243, np.uint8))
    assert prepare_image(empty, "c/b", recipe(), mpp=1.0).reason.startswith("lost tissue")


def test_nothing_usable_is_excluded(tmp_path: Path) -> None:
    tiny = prepare_image(save(tmp_path / "a.png", he_image(20, 20)), "c/a", recipe(), mpp=1.0)
    check(tiny, 32)
    assert "smaller than a patch" in tiny.reason
    flat = np.full((64, 64, 3), (200, 90, 150), np.uint8)
    blank = prepare_image(save(tmp_path / "b.png", flat), "c/b", recipe(), mpp=1.0)
    check(blank, 32)
    assert blank.reason == "no usable patch (4 blank)"


def test_a_coarse_slide_is_excluded_not_blown_up(tmp_path: Path) -> None:
    prepared = prepare_image(save(tmp_path / "a.png", he_image(128, 128)), "c/a", recipe(), mpp=2.0)
    check(prepared, 32)
    assert prepared.reason.startswith("too coarse")


def damage(path: Path, tiles: range) -> None:
    """Overwrite the compressed data of some tiles of every level."""
    with tifffile.TiffFile(path) as file:
        spots = [(page.dataoffsets[i], page.databytecounts[i]) for page in file.pages for i in tiles]
    content = bytearray(path.read_bytes())
    for offset, size in spots:
        content[offset : offset + size] = b"\xff" * size
    path.write_bytes(content)


def test_unreadable_regions_never_become_patches(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, he_image(256, 256), mpp=0.5, levels=1)
    damage(path, range(3))
    whole = {"tissue": {"thumbnail_mpp": 0.5}, "patches": {"per_image": None}}
    prepared = prepare_image(path, "c/a", recipe(**whole), mpp=1.0)
    check(prepared, 32)
    failed = prepared.skipped_coords[prepared.skipped_status == PatchStatus.READ_ERROR]
    assert sorted(map(tuple, failed.tolist())) == [(x, y) for x in range(0, 192, 32) for y in (0, 32)]
    assert len(prepared.patches) == 64 - 12


def test_a_mostly_unreadable_slide_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, he_image(256, 256), mpp=0.5, levels=1)
    damage(path, range(12))
    with pytest.raises(SlideError) as caught:
        prepare_image(path, "c/a", recipe(), mpp=0.5)
    assert caught.value.kind is FailureKind.UNREADABLE


def test_one_stain_is_left_alone(tmp_path: Path) -> None:
    pink = he_image(128, 128, vectors=np.array([[0.28, 0.81, 0.52]] * 2))
    prepared = prepare_image(save(tmp_path / "a.png", pink), "c/a", recipe(), mpp=1.0)
    check(prepared, 32)
    assert prepared.stain is not None
    assert not prepared.stain.accepted
    np.testing.assert_array_equal(prepared.patches[0], pink[:32, :32])


@pytest.mark.real_data
@pytest.mark.parametrize(("size", "mpp", "count"), [(224, 0.5, 43), (64, 1.0, 135)])
def test_the_real_slide(real_data: Path, size: int, mpp: float, count: int) -> None:
    path = real_data / "wsi" / "CMU-1-Small-Region.svs"
    paper = Recipe.model_validate(
        {
            "name": "p",
            "patches": {"size_px": size, "target_mpp": mpp, "per_image": None},
            "quality": {"min_focus": 0.002},
        }
    )
    prepared = prepare_image(path, "c/cmu", paper)
    check(prepared, size)
    assert abs(len(prepared.patches) - count) <= 1
    assert prepared.patch_size_level0 == {224: 224, 64: 128}[size]
    assert prepared.coords.max(0)[0] + prepared.patch_size_level0 <= 2220
    assert prepared.coords.max(0)[1] + prepared.patch_size_level0 <= 2967
    assert 0.3 < prepared.tissue_fraction < 0.4
    assert prepared.blurred_fraction == 0
    assert prepared.stain is not None
    assert prepared.stain.accepted


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "count", "haematoxylin", "eosin"),
    [
        ("tile01_HE.jpg", 16, (0.546, 0.740, 0.393), (0.287, 0.804, 0.520)),
        ("tile02_HE.jpg", 53, (0.522, 0.753, 0.400), (0.301, 0.821, 0.486)),
        ("tile03_HE.jpg", 62, (0.525, 0.742, 0.416), (0.309, 0.810, 0.498)),
        ("tile04_HE.jpg", 65, (0.550, 0.748, 0.373), (0.371, 0.802, 0.469)),
    ],
)
def test_real_liver(
    real_data: Path, name: str, count: int, haematoxylin: tuple[float, ...], eosin: tuple[float, ...]
) -> None:
    paper = Recipe.model_validate({"name": "paper", "quality": {"min_focus": 0.002}})
    prepared = prepare_image(real_data / "he_images" / "liver" / name, "c/liver", paper, mpp=0.4942)
    check(prepared, 224)
    assert abs(len(prepared.patches) - count) <= 1
    assert prepared.patch_size_level0 == 227
    assert prepared.info.mpp_source == "override"
    assert prepared.blurred_fraction == 0
    assert prepared.stain is not None
    cosine = (prepared.stain.vectors * np.array([haematoxylin, eosin])).sum(1)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 2.0
