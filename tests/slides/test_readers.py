"""Readers: facts, regions, and every kind of bad file."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.readers import SUPPORTED_SUFFIXES, inspect, open_slide
from tests.slides.he import he_image, write_pyramid

DPI_OF_HALF_MICRON = 50_800


@pytest.fixture(scope="module")
def tissue() -> NDArray[np.uint8]:
    return he_image(192, 256)


def failure(path: Path, **options: float) -> SlideError:
    with pytest.raises(SlideError) as caught:
        inspect(path, **options)  # type: ignore[arg-type]
    assert str(path) == caught.value.entity
    assert caught.value.remedy.endswith(".")
    return caught.value


def test_pyramid_states_its_own_mpp(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    path = tmp_path / "Schnitt Ä 1.TIF"
    write_pyramid(path, tissue, mpp=0.25)
    info = inspect(path)
    assert (info.reader, info.width, info.height) == ("openslide", 256, 192)
    assert info.mpp == pytest.approx(0.25)
    assert info.mpp_source == "tiff resolution"
    assert info.level_downsamples == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize(
    ("name", "source"), [("a.png", "png pHYs"), ("a.JPG", "jpeg density"), ("a.tiff", "tiff resolution")]
)
def test_plain_images_state_their_mpp(tmp_path: Path, tissue: NDArray[np.uint8], name: str, source: str) -> None:
    path = tmp_path / name
    Image.fromarray(tissue).save(path, dpi=(DPI_OF_HALF_MICRON,) * 2)
    info = inspect(path)
    assert info.reader == "pillow"
    assert info.mpp == pytest.approx(0.5, rel=1e-3)
    assert info.mpp_source == source


def test_pixels_come_back_exactly(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    write_pyramid(tmp_path / "a.tif", tissue, mpp=0.5)
    Image.fromarray(tissue).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        with open_slide(tmp_path / name, 0.5) as slide:
            np.testing.assert_array_equal(slide.read(64, 32, 96, 96), tissue[32:128, 64:160])


def test_scaled_regions_agree_between_readers(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    write_pyramid(tmp_path / "a.tif", tissue, mpp=0.5, levels=1)
    Image.fromarray(tissue).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.tif") as first, open_slide(tmp_path / "a.png", 0.5) as second:
        np.testing.assert_array_equal(first.read(0, 0, 90, 40), second.read(0, 0, 90, 40))


def test_outside_and_transparent_are_white(tmp_path: Path) -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :32, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", 0.5) as slide:
        patch = slide.read(0, 0, 96, 96)
    assert (patch[:64, :32] == 0).all()
    assert (patch[:, 32:] == 255).all()
    assert (patch[64:] == 255).all()


def test_thumbnail_has_the_mean_colour(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    write_pyramid(tmp_path / "a.tif", tissue, mpp=0.5)
    with open_slide(tmp_path / "a.tif") as slide:
        thumbnail = slide.thumbnail(4.0)
    assert thumbnail.rgb.shape == (24, 32, 3)
    assert thumbnail.downsample == 8.0
    assert not thumbnail.unread.any()
    np.testing.assert_allclose(thumbnail.rgb.mean((0, 1)), tissue.mean((0, 1)), atol=2)


def test_thumbnail_in_blocks_equals_whole(tmp_path: Path, tissue: NDArray[np.uint8], monkeypatch) -> None:
    Image.fromarray(tissue).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", 0.5) as slide:
        whole = slide.thumbnail(2.0).rgb.astype(int)
        monkeypatch.setattr("hccfeat.slides.base.THUMBNAIL_BLOCK_PX", 64)
        blocks = slide.thumbnail(2.0).rgb.astype(int)
    assert np.abs(whole - blocks).mean() < 4
    inner = np.s_[2:14, 2:14]
    np.testing.assert_array_equal(whole[inner], blocks[inner])


@pytest.mark.parametrize("suffix", sorted(SUPPORTED_SUFFIXES))
def test_zero_bytes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    error = failure(path)
    assert error.kind is FailureKind.UNREADABLE
    assert "empty" in error.problem


@pytest.mark.parametrize("keep", [20, 200, 0.5, 0.95])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_truncated_plain_images(tmp_path: Path, tissue: NDArray[np.uint8], name: str, keep: float) -> None:
    path = tmp_path / name
    Image.fromarray(tissue).save(path, dpi=(DPI_OF_HALF_MICRON,) * 2)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    assert failure(path, mpp=0.5).kind is FailureKind.UNREADABLE


def test_truncated_pyramid(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, tissue, mpp=0.5)
    path.write_bytes(path.read_bytes()[:150])
    assert failure(path).kind is FailureKind.UNREADABLE


def test_no_mpp(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    Image.fromarray(tissue).save(tmp_path / "bare.png")
    Image.fromarray(tissue).save(tmp_path / "screen.jpg", dpi=(96, 96))
    tifffile.imwrite(tmp_path / "ratio.tif", tissue, resolution=(20000, 20000), resolutionunit="NONE")
    write_pyramid(tmp_path / "wild.tif", tissue, mpp=300)
    for name in ("bare.png", "screen.jpg", "ratio.tif", "wild.tif"):
        error = failure(tmp_path / name)
        assert error.kind is FailureKind.NO_MPP
        assert "manifest" in error.remedy
        assert inspect(tmp_path / name, mpp=0.5).mpp_source == "override"


@pytest.mark.parametrize(
    ("name", "content"), [("a.svs", "PNG"), ("a.png", "JPEG"), ("a.jpg", "TIFF"), ("a.TIF", "GIF")]
)
def test_an_extension_that_lies(tmp_path: Path, tissue: NDArray[np.uint8], name: str, content: str) -> None:
    path = tmp_path / name
    Image.fromarray(tissue).save(path, format=content)
    error = failure(path, mpp=0.5)
    assert error.kind is FailureKind.UNREADABLE
    assert f"its content is {content}, its extension says {path.suffix}" in error.problem
    assert error.remedy == "Rename it."


def test_text_with_an_image_extension(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_text("this is no slide")
    assert failure(path).kind is FailureKind.UNREADABLE


@pytest.mark.parametrize("name", ["missing.svs", "notes.txt", "bare"])
def test_missing_and_unsupported(tmp_path: Path, name: str) -> None:
    if name != "missing.svs":
        (tmp_path / name).write_text("x")
    assert failure(tmp_path / name).kind is FailureKind.UNREADABLE


def test_too_large_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (30_000, 17_000)).save(path, dpi=(DPI_OF_HALF_MICRON,) * 2)
    error = failure(path)
    assert error.kind is FailureKind.TOO_LARGE
    assert "510 megapixels" in error.problem
    assert "pyramidal" in error.remedy


def test_sixteen_bit_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(tmp_path / "a.png")
    assert "8-bit" in failure(tmp_path / "a.png", mpp=0.5).problem


def test_errors_cross_process_borders(tmp_path: Path) -> None:
    error = failure(tmp_path / "gone.svs")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (again.kind, str(again)) == (error.kind, str(error))


def test_a_damaged_tile_leaves_the_others_readable(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, tissue, mpp=0.5, levels=1)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 200] = b"\xff" * 200
    path.write_bytes(content)
    with open_slide(path) as slide:
        with pytest.raises(SlideError) as caught:
            slide.read(0, 0, 64, 64)
        assert caught.value.kind is FailureKind.UNREADABLE
        np.testing.assert_array_equal(slide.read(64, 64, 64, 64), tissue[64:128, 64:128])


@pytest.mark.real_data
def test_the_real_slide(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "wsi" / "CMU-1-Small-Region.svs"
    path = tmp_path / "Übung 1.SVS"
    shutil.copy(source, path)
    info = inspect(path)
    assert (info.width, info.height, info.mpp) == (2220, 2967, 0.499)
    assert info.mpp_source == "openslide.mpp-x"
    path.write_bytes(source.read_bytes()[:4000])
    assert failure(path).kind is FailureKind.UNREADABLE


@pytest.mark.real_data
def test_real_images_without_physical_resolution(real_data: Path) -> None:
    images = real_data / "he_images"
    for path in (images / "liver" / "tile01_HE.jpg", images / "stain" / "macenko_example1.tif"):
        assert failure(path).kind is FailureKind.NO_MPP
        assert inspect(path, mpp=0.4942).reader == "pillow"
