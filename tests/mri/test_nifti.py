"""NIfTI files: values, geometry, and every kind of bad file."""

import gzip
import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import FailureKind, VolumeError
from hccfeat.mri.readers import read_mask, read_volume, volume_files
from hccfeat.mri.volume import Volume
from tests.mri.files import MARKERS, affine_of, phantom, point_at, write_nifti

ENTITY = "internal/P1 PRE"


def failure(path: Path, kind: FailureKind) -> VolumeError:
    """The error of reading; its text names the entity and nothing of the file."""
    with pytest.raises(VolumeError) as caught:
        read_volume(path, ENTITY)
    error = caught.value
    assert error.kind == kind
    assert error.entity == ENTITY
    assert error.remedy.endswith(".")
    assert error.__cause__ is None
    assert not any(marker in str(error) for marker in (*MARKERS, path.name))
    return error


def outcome(path: Path) -> str:
    """How reading ends: "read" or the kind of failure, never another exception."""
    try:
        read_volume(path, ENTITY)
    except VolumeError as error:
        return "leaked" if any(marker in str(error) for marker in MARKERS) else error.kind
    return "read"


def world_of_brightest(volume: Volume) -> np.ndarray:
    index = np.unravel_index(volume.data.argmax(), volume.data.shape)
    return (volume.affine @ [*index, 1])[:3]


@pytest.mark.parametrize("name", ["a.nii", "b.nii.gz", "C.NII.GZ"])
def test_voxels_geometry_and_facts(tmp_path: Path, name: str) -> None:
    data = phantom()
    volume = read_volume(write_nifti(tmp_path / name, data), ENTITY)
    np.testing.assert_array_equal(volume.data, data)
    assert volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.affine, affine_of())
    facts = volume.facts
    assert (facts.format, facts.shape, facts.spacing_mm) == ("nifti", (40, 32, 10), (3.0, 3.0, 6.0))
    assert (facts.slices, facts.missing_slices, facts.acquired_s) == (10, 0, None)
    low, high = np.percentile(data[data != 0], (1, 99))
    assert (facts.intensity_low, facts.intensity_high) == pytest.approx((low, high))
    assert volume_files(tmp_path / name) == [tmp_path / name]
    assert not any(marker in repr(facts) for marker in MARKERS)


def test_scale_factors_are_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(phantom(), affine_of())
    image.header.set_slope_inter(0.5, 7)
    # nibabel then writes the array as it is.
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii", ENTITY).data, phantom() * 0.5 + 7)


def test_one_volume_written_as_four_dimensional_is_a_volume(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", phantom()[..., None])
    assert read_volume(path, ENTITY).facts.shape == (40, 32, 10)


def test_units_are_millimetres(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(phantom(), np.diag([0.003, 0.003, 0.006, 1.0]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii", ENTITY).facts.spacing_mm == pytest.approx((3, 3, 6))


@settings(max_examples=25, deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3),
    st.tuples(st.integers(0, 6), st.integers(0, 7), st.integers(0, 8)),
)
def test_a_point_keeps_its_place_whatever_the_axes(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[int],
    signs: tuple[float, ...],
    index: tuple[int, int, int],
) -> None:
    affine = np.eye(4)
    for axis, (world, sign, spacing) in enumerate(zip(order, signs, (1.5, 2.0, 4.0), strict=True)):
        affine[:3, axis] = 0
        affine[world, axis] = sign * spacing
    affine[:3, 3] = (-7, 11, 30)
    path = tmp_path_factory.mktemp("point") / "a.nii"
    volume = read_volume(write_nifti(path, point_at((7, 8, 9), index), affine), ENTITY)
    np.testing.assert_allclose(world_of_brightest(volume), (affine @ [*index, 1])[:3], atol=1e-4)


def test_missing_empty_unknown_and_wrong_files(tmp_path: Path) -> None:
    assert "no file or folder" in failure(tmp_path / "absent.nii", FailureKind.UNREADABLE).problem
    assert volume_files(tmp_path / "absent.nii") == []
    (tmp_path / "empty.nii.gz").touch()
    assert "zero bytes" in failure(tmp_path / "empty.nii.gz", FailureKind.UNREADABLE).problem
    (tmp_path / "a.nii").write_bytes(b"plain text " * 100)
    assert "not NIfTI" in failure(tmp_path / "a.nii", FailureKind.UNREADABLE).problem
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" * 100)
    error = failure(tmp_path / "a.jpg", FailureKind.UNREADABLE)
    assert "format is not known" in error.problem
    assert ".nii.gz" in error.remedy


def test_folders_without_slices_say_what_they_hold(tmp_path: Path) -> None:
    assert "no DICOM slices" in failure(tmp_path, FailureKind.UNREADABLE).problem
    (tmp_path / MARKERS[0]).mkdir()
    assert "but 1 folder(s)" in failure(tmp_path, FailureKind.UNREADABLE).problem
    write_nifti(tmp_path / "a.nii", phantom())
    assert "holds NIfTI" in failure(tmp_path, FailureKind.UNREADABLE).problem


def test_a_file_without_access_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / f"{MARKERS[1]}.nii", phantom())

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert "Permission denied" in failure(path, FailureKind.UNREADABLE).problem


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated_files(tmp_path: Path, name: str, share: float) -> None:
    path = write_nifti(tmp_path / name, phantom())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    problem = failure(path, FailureKind.UNREADABLE).problem
    assert "truncated" in problem or "damaged" in problem


def test_a_damaged_byte_of_a_compressed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_nifti(tmp_path / "a.nii", phantom())
    # Stored blocks: a changed voxel still decompresses, and only the checksum tells.
    content = bytearray(gzip.compress((tmp_path / "a.nii").read_bytes(), compresslevel=0))
    content[5000] ^= 0xFF
    path.write_bytes(content)
    assert "damaged" in failure(path, FailureKind.UNREADABLE).problem


def test_several_volumes_in_one_file(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", np.stack([phantom(), phantom(seed=1)], axis=-1))
    error = failure(path, FailureKind.INCONSISTENT)
    assert "4-D: 2 volumes" in error.problem
    assert "one file per phase" in error.remedy


def test_too_few_slices_and_too_few_dimensions(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", phantom((40, 32, 3)))
    assert "40 x 32 x 3" in failure(path, FailureKind.INCOMPLETE).problem
    path = write_nifti(tmp_path / "b.nii", phantom()[:, :, 0])
    assert "2-D" in failure(path, FailureKind.UNREADABLE).problem


def test_missing_or_impossible_geometry(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(phantom(), None)
    nibabel.save(image, tmp_path / "a.nii")
    assert "geometry is missing" in failure(tmp_path / "a.nii", FailureKind.UNREADABLE).problem
    for number, affine in enumerate(
        (np.diag([0.003, 0.003, 0.006, 1]), np.diag([3.0, 3, 500, 1]), np.diag([40.0, 3, 3, 1]))
    ):
        path = write_nifti(tmp_path / f"{number}.nii", phantom(), affine)
        assert "mm" in failure(path, FailureKind.UNREADABLE).problem
    flat = affine_of()
    flat[:3, 1] = flat[:3, 0]
    assert (
        "right angles" in failure(write_nifti(tmp_path / "f.nii", phantom(), flat), FailureKind.UNREADABLE).problem
    )
    broken = nibabel.Nifti1Image(phantom(), affine_of())
    broken.header["srow_x"] = (np.nan, 0, 0, 0)
    (tmp_path / "n.nii").write_bytes(broken.header.binaryblock + b"\0" * 4 + phantom().tobytes(order="F"))
    failure(tmp_path / "n.nii", FailureKind.UNREADABLE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((5, 6, 7), np.int16), "empty"),
        (np.full((5, 6, 7), 3, np.int16), "constant"),
        (np.where(np.arange(210).reshape(5, 6, 7) == 4, np.nan, 1.0), "1 of 210 voxels are not finite"),
        (np.where(np.arange(210).reshape(5, 6, 7) < 2, np.inf, 1.0), "2 of 210 voxels are not finite"),
        (np.where(np.arange(210).reshape(5, 6, 7) < 2, 1e300, 1.0), "2 of 210 voxels are not finite"),
        (np.ones((5, 6, 7), np.complex64), "complex64"),
        (np.ones((5, 6, 7), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "not single numbers"),
    ],
)
def test_unusable_voxels(tmp_path: Path, values: np.ndarray, words: str) -> None:
    assert words in failure(write_nifti(tmp_path / "a.nii", values), FailureKind.UNREADABLE).problem


def test_a_header_that_announces_terabytes_is_refused_before_reading(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(phantom(), affine_of())
    header = image.header.copy()
    header["dim"][1:4] = 30_000
    (tmp_path / "a.nii").write_bytes(header.binaryblock + b"\0" * 1000)
    assert "27,000,000,000,000 voxels" in failure(tmp_path / "a.nii", FailureKind.TOO_LARGE).problem


class TestMask:
    def volume(self, folder: Path) -> Volume:
        return read_volume(write_nifti(folder / "volume.nii", phantom()), ENTITY)

    def labels(self) -> np.ndarray:
        values = np.zeros((40, 32, 10), np.uint8)
        values[5:9, 6:8, 2] = 5
        values[20:25, 6:8, 4] = 1
        return values

    def test_all_or_one_label(self, tmp_path: Path) -> None:
        volume, path = self.volume(tmp_path), write_nifti(tmp_path / "m.nii.gz", self.labels())
        mask = read_mask(path, ENTITY, volume)
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, self.labels() > 0)
        np.testing.assert_array_equal(read_mask(path, ENTITY, volume, 5), self.labels() == 5)

    def test_axes_may_be_turned(self, tmp_path: Path) -> None:
        volume = self.volume(tmp_path)
        for axes in ("LPS", "SRA", "ASL"):
            turned = nibabel.Nifti1Image(self.labels(), affine_of()).as_reoriented(
                nibabel.orientations.axcodes2ornt(tuple(axes))
            )
            assert nibabel.aff2axcodes(turned.affine) != tuple("RAS")
            nibabel.save(turned, tmp_path / "m.nii")
            np.testing.assert_array_equal(read_mask(tmp_path / "m.nii", ENTITY, volume), self.labels() > 0)

    @pytest.mark.parametrize("change", ["shift", "size", "spacing", "turn"])
    def test_another_grid_is_refused(self, tmp_path: Path, change: str) -> None:
        labels, affine = self.labels(), affine_of()
        if change == "shift":
            affine[0, 3] += 1.0
        elif change == "size":
            labels = labels[:-1]
        elif change == "spacing":
            affine = affine_of((3.0, 3.0, 5.8))
        else:
            affine[:2, :2] = 3 * np.array([[0.995, -0.0998], [0.0998, 0.995]])
        path = write_nifti(tmp_path / "m.nii", labels, affine)
        with pytest.raises(VolumeError, match="another grid") as caught:
            read_mask(path, ENTITY, self.volume(tmp_path))
        assert caught.value.kind == FailureKind.INCONSISTENT

    def test_rounded_headers_are_the_same_grid(self, tmp_path: Path) -> None:
        path = write_nifti(tmp_path / "m.nii", self.labels(), affine_of((3.001, 3.0, 6.0)))
        assert read_mask(path, ENTITY, self.volume(tmp_path)).any()

    def test_nothing_marked(self, tmp_path: Path) -> None:
        volume, path = self.volume(tmp_path), write_nifti(tmp_path / "m.nii", self.labels())
        with pytest.raises(VolumeError, match="label 7"):
            read_mask(path, ENTITY, volume, 7)
        with pytest.raises(VolumeError, match="mask is empty"):
            read_mask(write_nifti(tmp_path / "e.nii", 0 * self.labels()), ENTITY, volume)


@pytest.mark.real_data
def test_real_volume_and_label_map(real_data: Path) -> None:
    volume = read_volume(real_data / "mri" / "example_mr_sm.nii.gz", ENTITY)
    assert volume.facts.shape == (117, 91, 20)
    assert volume.facts.spacing_mm == (3.0, 3.0, 3.0)
    assert nibabel.aff2axcodes(volume.affine) == ("L", "P", "S")
    liver = read_mask(real_data / "mri" / "example_seg_mr.nii.gz", ENTITY, volume, 5)
    centre = volume.affine @ [*(axis.mean() for axis in np.nonzero(liver)), 1]
    middle = volume.affine @ [*(side / 2 for side in volume.data.shape), 1]
    assert centre[0] > middle[0] + 30, "the liver is on the patient's right"


def test_damaged_bytes_make_errors_and_nothing_else(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", phantom((6, 5, 4)))
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    outcomes = set()
    for change, _ in itertools.product(("cut", "flip"), range(80)):
        damaged = bytearray(content)
        if change == "cut":
            damaged = damaged[: generator.integers(1, len(content))]
        else:
            damaged[generator.integers(0, 352)] = generator.integers(0, 256)
        path.write_bytes(damaged)
        outcomes.add(outcome(path))
    assert {"read", FailureKind.UNREADABLE} <= outcomes
    assert "leaked" not in outcomes
