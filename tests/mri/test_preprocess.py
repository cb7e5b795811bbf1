"""Preparation of volumes: place, size, intensities, and the way back."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from hccfeat.config import VolumeRecipe
from hccfeat.errors import FailureKind, VolumeError
from hccfeat.mri.preprocess import Crop, PreparedVolume, prepare_volume, to_input_grid
from hccfeat.mri.preview import preview_png
from hccfeat.mri.readers import read_mask, read_volume
from hccfeat.mri.resample import Grid, inside, ras_grid, resample
from hccfeat.mri.volume import Stored, Volume, checked
from tests.mri.files import MARKERS, affine_of, phantom, write_enhanced

ENTITY = "internal/P1 PRE"
FINE = VolumeRecipe(spacing_mm=(6.0, 3.0, 3.0), shape=(12, 40, 48))
COARSE = VolumeRecipe(spacing_mm=(8.0, 6.0, 6.0), shape=(8, 16, 16))


def volume_of(data: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    return checked(Stored(data, affine_of() if affine is None else affine, "nifti"), ENTITY)


def smooth_phantom(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A function of the place in mm, sampled on a grid: a round body with a bright lesion to its right front."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    body = 1 / (1 + np.exp((np.linalg.norm(world / (70, 60, 200), axis=-1) - 1) * 15))
    lesion = np.exp(-(((world - (25, 15, 5)) / 10) ** 2).sum(axis=-1))
    return (300 * body * (1 + 0.2 * np.sin(world[..., 1] / 15)) + 600 * lesion).astype(np.float32)


LESION_MM = np.array([25.0, 15.0, 5.0])


def place(prepared: PreparedVolume, world: np.ndarray) -> np.ndarray:
    """Voxel z, y, x of a place in mm."""
    return (np.linalg.inv(prepared.affine) @ [*world, 1])[:3][::-1]


def brightest(prepared: PreparedVolume) -> np.ndarray:
    return np.array(np.unravel_index(prepared.array.argmax(), prepared.array.shape))


def test_no_interpolation_where_grids_agree() -> None:
    data = phantom()
    prepared = prepare_volume(volume_of(data), Crop(), FINE, ENTITY)
    assert prepared.array.shape == (12, 40, 48)
    assert prepared.array.dtype == np.float32
    assert prepared.array.flags.c_contiguous
    middle = prepared.array[6, 20, 20:28].astype(float)
    to_index = np.linalg.inv(affine_of()) @ prepared.affine
    index = np.round([to_index @ [x, 20, 6, 1] for x in range(20, 28)]).astype(int)
    stored = np.array([data[tuple(voxel[:3])] for voxel in index], float)
    slope, shift = np.polyfit(stored, middle, 1)
    np.testing.assert_allclose(middle, slope * stored + shift, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_storage_order_of_axes_does_not_matter(order: list[int], flips: tuple[bool, ...]) -> None:
    data, affine = phantom((16, 14, 8)), affine_of()
    moved, turned = data.transpose(order), affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            moved = np.flip(moved, axis)
            turned[:3, 3] += turned[:3, axis] * (moved.shape[axis] - 1)
            turned[:3, axis] *= -1
    expected = prepare_volume(volume_of(data, affine), Crop(), COARSE, ENTITY)
    prepared = prepare_volume(volume_of(moved, turned), Crop(), COARSE, ENTITY)
    np.testing.assert_allclose(prepared.affine, expected.affine, atol=1e-9)
    np.testing.assert_allclose(prepared.array, expected.array, atol=1e-4)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_lesion_lands_in_the_right_voxel_of_any_oblique_volume(seed: int) -> None:
    affine, shape = np.eye(4), (40, 38, 24)
    affine[:3, :3] = Rotation.random(rng=np.random.default_rng(seed)).as_matrix() @ np.diag([3.0, 3.0, 5.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    unclipped = FINE.model_copy(update={"clip_sd": 50.0})
    prepared = prepare_volume(volume_of(smooth_phantom(affine, shape), affine), Crop(), unclipped, ENTITY)
    np.testing.assert_allclose(prepared.affine[:3, :3], np.diag([3.0, 3.0, 6.0]))
    assert np.abs(brightest(prepared) - place(prepared, LESION_MM)).max() <= 1.0


def test_axes_lead_to_head_front_and_right() -> None:
    data = phantom((20, 20, 10))
    data[16:, 8:12, 4:6] = 4000
    prepared = prepare_volume(volume_of(data), Crop(), FINE, ENTITY)
    assert brightest(prepared)[2] > 24
    assert prepared.affine[0, 0] > 0
    head = data.copy()
    head[16:, 8:12, 4:6] = 400
    head[8:12, 8:12, 9] = 4000
    assert brightest(prepare_volume(volume_of(head), Crop(), FINE, ENTITY))[0] > 8


def test_body_has_mean_zero_and_sd_one() -> None:
    data = phantom()
    recipe = FINE.model_copy(update={"shape": (10, 32, 40), "clip_sd": 50.0})
    prepared = prepare_volume(volume_of(data), Crop(lesion_box=(0, 0, 0, 40, 32, 10)), recipe, ENTITY)
    inner = prepared.array[data.transpose(2, 1, 0) > 100].astype(np.float64)
    assert inner.mean() == pytest.approx(0, abs=1e-5)
    assert inner.std() == pytest.approx(1, abs=1e-5)
    # Scale and offset of the scanner are gone.
    scaled = volume_of(data.astype(np.float32) * 7 + 40)
    scores = prepare_volume(scaled, Crop(), recipe, ENTITY).array
    np.testing.assert_allclose(scores, prepare_volume(volume_of(data), Crop(), recipe, ENTITY).array, atol=1e-4)


def test_body_excludes_an_arm_and_includes_dark_organs() -> None:
    data = np.zeros((60, 40, 8), np.float32)
    generator = np.random.default_rng(0)
    data[15:45, 5:35] = generator.normal(400, 20, (30, 30, 8))
    data[25:35, 15:25] = generator.normal(30, 5, (10, 10, 8))
    alone = prepare_volume(volume_of(data), Crop(), FINE, ENTITY).array
    data[2:6, 10:20] = 2000
    recipe = FINE.model_copy(update={"clip_sd": 100.0})
    with_arm = prepare_volume(volume_of(data), Crop(), recipe, ENTITY).array
    middle = (slice(3, 9), slice(5, 35), slice(10, 38))
    np.testing.assert_allclose(with_arm[middle], alone[middle], atol=1e-3)
    inner = data[15:45, 5:35].astype(np.float64)
    assert with_arm[6, 8, 24] == pytest.approx((400 - inner.mean()) / inner.std(), abs=0.6)


def test_scores_are_clipped() -> None:
    data = phantom()
    prepared = prepare_volume(volume_of(data), Crop(), FINE.model_copy(update={"clip_sd": 2.0}), ENTITY)
    assert prepared.array.max() == 2.0
    assert prepared.array.min() == -2.0
    assert np.abs(prepare_volume(volume_of(data), Crop(), FINE, ENTITY).array).max() > 3


def test_padding_has_the_value_of_air() -> None:
    data = phantom((16, 14, 8))
    prepared = prepare_volume(volume_of(data), Crop(), FINE, ENTITY)
    within = inside(affine_of(), (16, 14, 8), grid=ras_grid(prepared.affine, (48, 40, 12), (3.0, 3.0, 6.0)))
    outside = prepared.array.transpose(2, 1, 0)[~within]
    assert 0.8 < len(outside) / prepared.array.size < 0.95
    assert len(np.unique(outside)) == 1
    zero = data.astype(np.float32).copy()
    zero[0, 0, 0] = 0
    assert outside[0] == pytest.approx(prepared.array.min(), abs=0.1)
    # Where nothing is as low as 0, air is the lowest value there is.
    raised = prepare_volume(volume_of(zero + 500), Crop(), FINE, ENTITY)
    assert raised.array[0, 0, 0] == pytest.approx(raised.array.min(), abs=1e-6)


def test_oblique_corners_outside_the_field_are_air() -> None:
    affine, shape = np.eye(4), (50, 48, 30)
    affine[:3, :3] = Rotation.from_euler("z", 45, degrees=True).as_matrix() @ np.diag([3.0, 3.0, 5.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    data = phantom(shape)
    data[:2] = 900
    prepared = prepare_volume(volume_of(data, affine), Crop(), VolumeRecipe(), ENTITY)
    assert prepared.array[16, 0, 0] == prepared.array[16, -1, -1] < 0


@pytest.mark.parametrize("recipe", [FINE, COARSE, VolumeRecipe()])
def test_the_crop_is_centred_on_the_lesion(recipe: VolumeRecipe) -> None:
    affine, shape = affine_of(origin=(-90, -80, -30)), (60, 54, 10)
    data = smooth_phantom(affine, shape)
    lesion = data > 550
    volume = volume_of(data, affine)
    liver = np.zeros(shape, bool)
    liver[5:9, 40:44, 2:4] = True
    prepared = prepare_volume(volume, Crop(lesion_mask=lesion, liver_mask=liver), recipe, ENTITY)
    assert prepared.centred_on == "lesion"
    centroid = affine @ [*(axis.mean() for axis in np.nonzero(lesion)), 1]
    middle = (np.array(recipe.shape) - 1) / 2
    assert np.abs(place(prepared, centroid[:3]) - middle).max() <= 0.5 + 1e-9
    assert np.abs(brightest(prepared) - middle).max() <= 2.5
    corners = np.argwhere(lesion)
    box = (*map(int, corners.min(axis=0)), *map(int, corners.max(axis=0) + 1))
    boxed = prepare_volume(volume, Crop(lesion_box=box, liver_mask=liver), recipe, ENTITY)
    assert boxed.centred_on == "lesion"
    assert np.abs(place(boxed, centroid[:3]) - middle).max() <= 1.0


def test_the_order_of_centres_is_the_recipes() -> None:
    volume = volume_of(phantom())
    lesion, liver = np.zeros((2, 40, 32, 10), bool)
    lesion[30, 16, 5] = liver[10:14, 16, 5] = True
    both = Crop(lesion_mask=lesion, liver_mask=liver)
    assert prepare_volume(volume, both, FINE, ENTITY).centred_on == "lesion"
    assert prepare_volume(volume, Crop(liver_mask=liver), FINE, ENTITY).centred_on == "liver"
    assert prepare_volume(volume, Crop(), FINE, ENTITY).centred_on == "body"
    turned = FINE.model_copy(update={"centre": ("liver", "lesion")})
    assert prepare_volume(volume, both, turned, ENTITY).centred_on == "liver"
    with pytest.raises(VolumeError, match="nothing is given") as caught:
        prepare_volume(volume, Crop(), turned, ENTITY)
    assert caught.value.kind == FailureKind.INCOMPLETE


def test_the_body_is_in_the_middle_where_nothing_is_given() -> None:
    data = np.zeros((80, 40, 8), np.int16)
    data[10:30, 5:25] = np.random.default_rng(0).normal(300, 20, (20, 20, 8))
    prepared = prepare_volume(volume_of(data), Crop(), FINE, ENTITY)
    body = np.argwhere(prepared.array > -2)
    np.testing.assert_allclose(body.mean(axis=0), (np.array(FINE.shape) - 1) / 2, atol=0.6)


@pytest.mark.parametrize(
    ("crop", "kind", "words"),
    [
        (Crop(lesion_mask=np.zeros((40, 32, 10), bool)), FailureKind.UNREADABLE, "lesion mask is empty"),
        (Crop(liver_mask=np.zeros((40, 32, 10), bool)), FailureKind.UNREADABLE, "liver mask is empty"),
        (Crop(lesion_mask=np.ones((40, 32, 9), bool)), FailureKind.INCONSISTENT, "40 x 32 x 9 and 40 x 32 x 10"),
        (Crop(lesion_box=(38, 3, 3, 41, 5, 5)), FailureKind.INCONSISTENT, "(38 3 3 41 5 5) lies outside"),
        (Crop(lesion_box=(-1, 3, 3, 4, 5, 5)), FailureKind.INCONSISTENT, "lies outside"),
        (Crop(lesion_box=(5, 3, 3, 5, 5, 5)), FailureKind.INCONSISTENT, "is empty"),
        (Crop(lesion_box=(5, 3, 3, 8)), FailureKind.INCONSISTENT, "is empty"),
    ],
)
def test_bad_masks_and_boxes(crop: Crop, kind: FailureKind, words: str) -> None:
    with pytest.raises(VolumeError) as caught:
        prepare_volume(volume_of(phantom()), crop, FINE, ENTITY)
    assert (caught.value.kind, caught.value.entity) == (kind, ENTITY)
    assert words in caught.value.problem


def test_a_mask_given_as_a_volume_is_noticed() -> None:
    data = np.zeros((40, 32, 10), np.int16)
    data[10:30, 10:20, 2:8] = 1
    with pytest.raises(VolumeError, match="not a mask"):
        prepare_volume(volume_of(data), Crop(), FINE, ENTITY)


def test_fine_stripes_do_not_alias_when_coarsened() -> None:
    stripes = np.tile(np.array([0, 100], np.float32), 60)[:, None, None] * np.ones((1, 8, 8), np.float32)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    coarse = resample(stripes, affine, ras_grid(affine, (120, 8, 8), (5.0, 1.0, 1.0)))
    assert np.abs(coarse[2:-2] - 50).max() < 3
    fine = resample(stripes, affine, ras_grid(affine, (120, 8, 8), (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(fine, stripes, atol=1e-4)


@pytest.mark.parametrize("recipe", [FINE, COARSE, VolumeRecipe()])
@pytest.mark.parametrize("degrees", [0, 25])
def test_a_map_finds_its_way_back(recipe: VolumeRecipe, degrees: float) -> None:
    affine, shape = np.eye(4), (60, 54, 14)
    turn = Rotation.from_euler("xz", (degrees, degrees), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag([-3.0, 3.0, 5.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    data = smooth_phantom(affine, shape)
    volume = volume_of(data, affine)
    prepared = prepare_volume(volume, Crop(), recipe, ENTITY)
    back = to_input_grid(np.clip(prepared.array - 1.5, 0, None), prepared, volume)
    assert back.shape == data.shape
    assert back.dtype == np.float32
    weights = back.astype(float)
    centroid = np.array([(weights * axis).sum() for axis in np.indices(shape)]) / weights.sum()
    found = (affine @ [*centroid, 1])[:3]
    assert np.linalg.norm(found - LESION_MM) < 6
    ones = to_input_grid(np.ones(recipe.shape), prepared, volume)
    assert set(np.unique(ones.round(5))) <= {0.0, 1.0}
    grid = Grid(volume.affine, volume.facts.shape)
    np.testing.assert_array_equal(ones > 0, inside(prepared.affine, recipe.shape[::-1], grid))


def test_equal_inputs_give_equal_bytes() -> None:
    volume = volume_of(phantom())
    kept = volume.data.copy()
    first, second = (prepare_volume(volume, Crop(), COARSE, ENTITY) for _ in range(2))
    assert first.array.tobytes() == second.array.tobytes()
    assert preview_png(first) == preview_png(second)
    np.testing.assert_array_equal(volume.data, kept)
    assert first.facts is volume.facts


def test_preview_shows_three_planes_in_true_proportions() -> None:
    affine, shape = affine_of(origin=(-90, -80, -30)), (60, 54, 10)
    prepared = prepare_volume(volume_of(smooth_phantom(affine, shape), affine), Crop(), VolumeRecipe(), ENTITY)
    picture = Image.open(io.BytesIO(preview_png(prepared)))
    assert (picture.mode, picture.width, picture.height) == ("L", 384, 128)
    pixels = np.asarray(picture)
    axial = pixels[:, :128]
    row, column = np.unravel_index(axial.argmax(), axial.shape)
    # The lesion is to the right and in front: left and on top of the axial plane.
    assert column < 60
    assert row < 60
    assert set(picture.info) == set()


def test_preview_has_no_identifier_in_it(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / MARKERS[0], phantom((20, 18, 8)))
    picture = preview_png(prepare_volume(read_volume(path, ENTITY), Crop(), COARSE, ENTITY))
    assert not any(marker.encode() in picture for marker in MARKERS)
    chunks, at = [], 8
    while at < len(picture):
        chunks.append(picture[at + 4 : at + 8])
        at += 12 + int.from_bytes(picture[at : at + 4], "big")
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}


def test_reading_imports_no_monai() -> None:
    code = (
        "import sys, hccfeat.mri.readers, hccfeat.mri.preprocess, hccfeat.mri.preview;"
        "assert not {'monai', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.real_data
def test_real_liver_is_in_the_middle(real_data: Path) -> None:
    volume = read_volume(real_data / "mri" / "example_mr_sm.nii.gz", ENTITY)
    liver = read_mask(real_data / "mri" / "example_seg_mr.nii.gz", ENTITY, volume, 5)
    prepared = prepare_volume(volume, Crop(liver_mask=liver), VolumeRecipe(), ENTITY)
    assert prepared.centred_on == "liver"
    assert prepared.array.shape == (32, 96, 96)
    carried = to_input_grid(np.ones(prepared.array.shape), prepared, volume)
    assert carried[liver].mean() > 0.95
    # Padded above and below: 60 mm of slices in 128 mm.
    assert np.ptp(prepared.array[0]) == 0
    assert np.ptp(prepared.array[16]) > 1
    # The spine is behind the liver and to the left of it.
    assert prepared.affine[0, 0] > 0
    whole = prepare_volume(volume, Crop(), VolumeRecipe(), ENTITY)
    assert prepared.affine[0, 3] > whole.affine[0, 3] + 30


@pytest.mark.real_data
def test_real_enhanced_file_is_prepared(real_data: Path) -> None:
    volume = read_volume(real_data / "mri" / "IM_0010.dcm", ENTITY)
    prepared = prepare_volume(volume, Crop(), VolumeRecipe(), ENTITY)
    assert prepared.centred_on == "body"
    assert np.isfinite(prepared.array).all()
    # The body is wider than it is deep, and its middle is the middle of the picture.
    body = prepared.array[16] > prepared.array[0, 0, 0] + 0.8
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    assert len(rows) < len(columns) == 96
    assert abs(rows.mean() - 47.5) < 8
