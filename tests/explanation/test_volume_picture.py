"""Saliency as files: the overlay lies where the volume lies, and the picture shows what the map says."""

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hccfeat.config import VolumeRecipe
from hccfeat.errors import InputError
from hccfeat.explanation.volume_picture import overlay_nifti, saliency_png
from hccfeat.mri.preprocess import Crop, PreparedVolume, prepare_volume
from hccfeat.mri.readers import read_volume
from hccfeat.mri.volume import Volume

SHAPE = (30, 26, 14)
RECIPE = VolumeRecipe(spacing_mm=(5.0, 4.0, 4.0), shape=(8, 16, 16))


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """A body with air round it on an oblique grid whose first axis runs to the left."""
    x, y, z = np.indices(SHAPE)
    radius = ((x - 15) / 13) ** 2 + ((y - 13) / 11) ** 2
    noise = np.random.default_rng(3).normal(0, 5, SHAPE)
    data = np.where(radius < 1, 300 + 40 * np.sin(z) + noise, 0).astype(np.float32)
    angle = 0.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-3.0, 3.0, 5.0])
    affine[:3, 3] = (40.0, -30.0, 100.0)
    path = tmp_path_factory.mktemp("volume") / "pre.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), path)
    return read_volume(path, "exam 1 pre")


@pytest.fixture(scope="module")
def prepared(read: Volume) -> PreparedVolume:
    return prepare_volume(read, Crop(lesion_box=(17, 10, 5, 22, 16, 9)), RECIPE, "exam 1 pre")


def opened(data: bytes, folder: Path) -> nib.Nifti1Image:
    path = folder / "overlay.nii.gz"
    path.write_bytes(data)
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    return image


def test_an_overlay_has_the_shape_and_place_of_the_volume(
    read: Volume, prepared: PreparedVolume, tmp_path: Path
) -> None:
    values = np.zeros(prepared.array.shape, np.float32)
    values[4:6, 8:10, 7:9] = 1.0
    data = overlay_nifti(values, prepared, read)
    image = opened(data, tmp_path)
    assert image.shape == SHAPE
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.affine, read.affine, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    found = np.asarray(image.dataobj)
    assert 0.5 < found.max() <= 1
    assert found.min() == 0
    # the centre of mass in millimetres, by each grid's own affine
    weights = found / found.sum()
    by_overlay = image.affine @ [*(float((weights * axis).sum()) for axis in np.indices(SHAPE)), 1]
    by_map = prepared.affine @ [7.5, 8.5, 4.5, 1]
    np.testing.assert_allclose(by_overlay, by_map, atol=1.5)


def test_equal_overlays_are_equal_bytes_and_tell_that_they_are_simulated(
    read: Volume, prepared: PreparedVolume, tmp_path: Path
) -> None:
    values = np.random.default_rng(1).random(prepared.array.shape, np.float32)
    first = overlay_nifti(values, prepared, read)
    assert overlay_nifti(values, prepared, read) == first
    assert gzip.decompress(first)[:4] == (348).to_bytes(4, "little")
    assert b"SIMULATED" not in bytes(opened(first, tmp_path).header["descrip"])
    marked = opened(overlay_nifti(values, prepared, read, simulated=True), tmp_path)
    assert b"SIMULATED DATA" in bytes(marked.header["descrip"])


def drawn(data: bytes) -> NDArray[np.int64]:
    picture = Image.open(io.BytesIO(data))
    assert picture.mode == "RGB"
    assert not picture.info
    return np.asarray(picture).astype(np.int64)


def colourful(pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels that are no grey, left of the simulation mark and between the captions and the legend."""
    found = pixels.max(axis=2) - pixels.min(axis=2) > 60
    found[:62] = False
    found[-48:] = False
    return found


def test_the_picture_shows_the_map_in_its_phase_and_place() -> None:
    volumes = np.random.default_rng(2).normal(size=(2, 8, 16, 16)).astype(np.float32)
    maps = np.zeros_like(volumes)
    plain = drawn(saliency_png(volumes, maps, (5.0, 4.0, 4.0), "M2"))
    assert not colourful(plain).any()
    maps[1, 5, 3, 4] = 1.0
    pixels = drawn(saliency_png(volumes, maps, (5.0, 4.0, 4.0), "M2"))
    rows, columns = np.nonzero(colourful(pixels))
    assert len(rows) > 20
    middle = (62 + pixels.shape[0] - 48) / 2
    assert rows.min() > middle  # the hepatobiliary phase is the lower row
    # the axial map begins right of the plain plane; y 3 of 16 is low in it, x 4 of 16 on its right
    side = int(190 * 64 / 64)
    axial = (columns >= 52 + side + 8) & (columns < 52 + 2 * side + 8)
    assert not (columns < 52 + side).any()
    assert columns[axial].mean() - (52 + side + 8) == pytest.approx((16 - 4.5) / 16 * side, abs=4)
    top = 62 + (pixels.shape[0] - 48 - 62) / 2
    assert rows[axial].mean() - top == pytest.approx((16 - 3.5) / 16 * side, abs=6)


def test_equal_pictures_are_equal_bytes_and_simulated_ones_are_marked() -> None:
    volumes = np.random.default_rng(2).normal(size=(2, 8, 16, 16)).astype(np.float32)
    maps = np.random.default_rng(3).random((2, 8, 16, 16), np.float32)
    first = saliency_png(volumes, maps, (5.0, 4.0, 4.0), "M2", note="occlusion")
    assert saliency_png(volumes, maps, (5.0, 4.0, 4.0), "M2", note="occlusion") == first
    marked = drawn(saliency_png(volumes, maps, (5.0, 4.0, 4.0), "M2", note="occlusion", simulated=True))
    assert (marked != drawn(first)).any(axis=2)[:32].any()


def test_maps_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="do not match"):
        saliency_png(np.zeros((2, 8, 16, 16), np.float32), np.zeros((2, 8, 16, 8), np.float32), (1, 1, 1), "M0")
