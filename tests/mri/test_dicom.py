"""DICOM: series of slices and enhanced files, their geometry, every kind of bad input, and identifiers."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)
from scipy.spatial.transform import Rotation

from hccfeat.errors import FailureKind
from hccfeat.mri.readers import read_mask, read_volume, volume_files
from tests.mri.files import (
    MARKERS,
    affine_of,
    phantom,
    point_at,
    rewrite,
    write_enhanced,
    write_nifti,
    write_series,
)
from tests.mri.test_nifti import ENTITY, failure, outcome, world_of_brightest


def sagittal() -> np.ndarray:
    """Columns to the front, rows to the feet, slices 5 mm to the patient's left."""
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2] = 2.0, -2.5, -5.0
    affine[:, 3] = (30, -70, 90, 1)
    return affine


def test_slices_are_sorted_by_position_not_by_name_or_number(tmp_path: Path) -> None:
    data = phantom()
    write_series(tmp_path / "s", data)
    volume = read_volume(tmp_path / "s", ENTITY)
    np.testing.assert_array_equal(volume.data[::-1, ::-1], data[::-1, ::-1])
    np.testing.assert_allclose(volume.affine, affine_of(), atol=1e-6)
    facts = volume.facts
    assert (facts.format, facts.shape, facts.spacing_mm) == ("dicom series", (40, 32, 10), (3.0, 3.0, 6.0))
    assert (facts.slices, facts.missing_slices) == (10, 0)
    assert facts.acquired_s == 10 * 3600 + 15 * 60 + 0.5


def test_series_and_nifti_of_the_same_volume_are_the_same(tmp_path: Path) -> None:
    data = phantom((14, 12, 8))
    for number, affine in enumerate((affine_of(), sagittal())):
        write_series(tmp_path / f"s{number}", data, affine)
        write_nifti(tmp_path / f"{number}.nii", data, affine)
        series = read_volume(tmp_path / f"s{number}", ENTITY)
        nifti = read_volume(tmp_path / f"{number}.nii", ENTITY)
        to_nifti = np.linalg.inv(nifti.affine) @ series.affine
        for index in ((0, 0, 0), (3, 5, 7), (13, 11, 2)):
            place = np.round((to_nifti @ [*index, 1])[:3]).astype(int)
            assert series.data[index] == nifti.data[tuple(place)]


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(0, 8), st.integers(0, 6), st.integers(0, 7)),
    st.booleans(),
)
def test_a_point_keeps_its_place_in_any_oblique_series(
    tmp_path_factory: pytest.TempPathFactory, seed: int, index: tuple[int, int, int], enhanced: bool
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(rng=np.random.default_rng(seed)).as_matrix() @ np.diag([1.5, 2.0, 4.0])
    affine[:3, 3] = (-20, 15, 400)
    folder = tmp_path_factory.mktemp("oblique")
    data = point_at((9, 7, 8), index)
    if enhanced:
        path = write_enhanced(folder / "a", data, affine)
    else:
        write_series(folder, data, affine)
        path = folder
    volume = read_volume(path, ENTITY)
    np.testing.assert_allclose(world_of_brightest(volume), (affine @ [*index, 1])[:3], atol=0.01)
    np.testing.assert_allclose(volume.facts.spacing_mm, (1.5, 2.0, 4.0), atol=1e-3)


def test_a_sagittal_point_lands_where_it_is(tmp_path: Path) -> None:
    write_series(tmp_path, point_at((9, 7, 8), (2, 3, 1)), sagittal())
    volume = read_volume(tmp_path, ENTITY)
    # Left of the first slice by 5 mm, in front of the first column by 4 mm, below the first row by 7.5 mm.
    np.testing.assert_allclose(world_of_brightest(volume), (25, -66, 82.5), atol=1e-3)


def test_signed_values_and_rescaling(tmp_path: Path) -> None:
    data = phantom((8, 7, 5)) - np.int16(300)

    def rescale(dataset: Dataset, _: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.25", "-10"

    write_series(tmp_path / "signed", data, edit=rescale)
    np.testing.assert_allclose(read_volume(tmp_path / "signed", ENTITY).data, data * 0.25 - 10)
    large = data.astype(np.uint16) + np.uint16(40_000)
    write_series(tmp_path / "unsigned", large)
    np.testing.assert_array_equal(read_volume(tmp_path / "unsigned", ENTITY).data, large)


def test_enhanced_file_with_or_without_suffix_and_alone_in_a_folder(tmp_path: Path) -> None:
    data = phantom((14, 12, 6))
    slopes = np.array([1, 2, 3, 4, 5, 6.5])
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "IM_0001", tmp_path / "a.dcm", tmp_path / "b.7", tmp_path / "folder" / "IM1"):
        write_enhanced(path, data, slopes=slopes)
    for path in (tmp_path / "IM_0001", tmp_path / "a.dcm", tmp_path / "b.7", tmp_path / "folder"):
        volume = read_volume(path, ENTITY)
        np.testing.assert_allclose(volume.data, data * slopes - 5)
        np.testing.assert_allclose(volume.affine, affine_of(), atol=1e-6)
        assert volume.facts.format == "dicom enhanced"
        assert volume.facts.acquired_s == 10 * 3600 + 15 * 60 + 0.25


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("101530.5", 36930.5), ("1015", 36900.0), ("10:15:30", 36930.0), ("", None), ("25", None), ("noon", None)],
)
def test_time_of_day(tmp_path: Path, value: str, seconds: float | None) -> None:
    def set_time(dataset: Dataset, _: int) -> None:
        dataset.add(DataElement("AcquisitionTime", "TM", value, validation_mode=config.IGNORE))

    write_series(tmp_path, phantom((8, 7, 5)), edit=set_time)
    assert read_volume(tmp_path, ENTITY).facts.acquired_s == seconds


def test_content_time_where_acquisition_is_not_stated(tmp_path: Path) -> None:
    def set_time(dataset: Dataset, k: int) -> None:
        del dataset.AcquisitionTime
        if k == 3:
            dataset.ContentTime = "0001"

    write_series(tmp_path, phantom((8, 7, 5)), edit=set_time)
    assert read_volume(tmp_path, ENTITY).facts.acquired_s == 60.0


def test_files_of_a_volume(tmp_path: Path) -> None:
    paths = write_series(tmp_path, phantom((8, 7, 5)))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "DICOMDIR").write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    assert volume_files(tmp_path) == sorted(paths)
    assert read_volume(tmp_path, ENTITY).facts.slices == 5


def test_a_nifti_mask_fits_a_series_whatever_its_axes(tmp_path: Path) -> None:
    data = phantom((14, 12, 8))
    write_series(tmp_path / "s", data)
    flipped = affine_of() @ np.diag([1.0, -1.0, 1.0, 1.0])
    flipped[:3, 3] = (affine_of() @ [0, 11, 0, 1])[:3]
    path = write_nifti(tmp_path / "m.nii", (data[:, ::-1] > 600).astype(np.uint8), flipped)
    volume = read_volume(tmp_path / "s", ENTITY)
    np.testing.assert_array_equal(read_mask(path, ENTITY, volume), volume.data > 600)


# Bad series: an edit of the files of a good one, the kind of failure, words of the message.


def mixed_series(_: Path, files: list[Path]) -> None:
    rewrite(files[3], lambda dataset: setattr(dataset, "SeriesInstanceUID", generate_uid()))


def gap(_: Path, files: list[Path]) -> None:
    files[4].unlink()


def wide_gap(_: Path, files: list[Path]) -> None:
    for path in files[3:6]:
        path.unlink()


def copy_of_a_slice(folder: Path, files: list[Path]) -> None:
    shutil.copy(files[2], folder / "copy.dcm")


def copy_of_all(folder: Path, files: list[Path]) -> None:
    for number, path in enumerate(files):
        shutil.copy(path, folder / f"copy{number}.dcm")


def second_time_point(folder: Path, files: list[Path]) -> None:
    for number, path in enumerate(files):
        shutil.copy(path, folder / f"t2_{number}.dcm")
        rewrite(folder / f"t2_{number}.dcm", lambda dataset: setattr(dataset, "SOPInstanceUID", generate_uid()))


def uneven(_: Path, files: list[Path]) -> None:
    rewrite(files[4], lambda dataset: dataset.ImagePositionPatient.__setitem__(2, 6.7))


def sideways(_: Path, files: list[Path]) -> None:
    for number, path in enumerate(files):
        rewrite(path, lambda dataset, shift=2.0 * number: dataset.ImagePositionPatient.__setitem__(0, shift))


def other_pixels(_: Path, files: list[Path]) -> None:
    rewrite(files[4], lambda dataset: setattr(dataset, "PixelSpacing", [3, 3.1]))


def other_turn(_: Path, files: list[Path]) -> None:
    turned = [0.995, 0.0999, 0, -0.0999, 0.995, 0]
    rewrite(files[4], lambda dataset: setattr(dataset, "ImageOrientationPatient", turned))


def other_matrix(_: Path, files: list[Path]) -> None:
    def shrink(dataset: Dataset) -> None:
        dataset.Rows -= 1
        dataset.PixelData = dataset.PixelData[: dataset.Rows * dataset.Columns * 2]

    rewrite(files[4], shrink)


def few(_: Path, files: list[Path]) -> None:
    for path in files[3:]:
        path.unlink()


def cut_pixels(_: Path, files: list[Path]) -> None:
    for path in files[:2]:
        path.write_bytes(path.read_bytes()[:-50])


def cut_header(_: Path, files: list[Path]) -> None:
    files[1].write_bytes(files[1].read_bytes()[:400])


def no_position(_: Path, files: list[Path]) -> None:
    rewrite(files[0], lambda dataset: dataset.__delattr__("ImagePositionPatient"))


def no_orientation(_: Path, files: list[Path]) -> None:
    for path in files:
        rewrite(path, lambda dataset: dataset.__delattr__("ImageOrientationPatient"))


def askew(_: Path, files: list[Path]) -> None:
    for path in files:
        rewrite(path, lambda dataset: setattr(dataset, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]))


def no_spacing(_: Path, files: list[Path]) -> None:
    for path in files:
        rewrite(path, lambda dataset: setattr(dataset, "PixelSpacing", None))


def undecodable(_: Path, files: list[Path]) -> None:
    def compress(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        dataset["PixelData"].VR = "OB"

    for path in files:
        rewrite(path, compress)


def unknown_syntax(_: Path, files: list[Path]) -> None:
    for path in files:
        content = path.read_bytes()
        assert content.count(b"1.2.840.10008.1.2.1\0") == 1
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"Zzyzx.840.1008.1.21\0"))


def colour(_: Path, files: list[Path]) -> None:
    def paint(dataset: Dataset) -> None:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = "RGB"
        dataset.PixelData = dataset.PixelData * 3

    rewrite(files[0], paint)


def computed_tomography(_: Path, files: list[Path]) -> None:
    for path in files:
        rewrite(path, lambda dataset: setattr(dataset, "Modality", "CT"))


def foreign_file(folder: Path, _: list[Path]) -> None:
    (folder / MARKERS[0]).write_bytes(b"no image at all " * 30)


def empty_slice(_: Path, files: list[Path]) -> None:
    files[0].write_bytes(b"")


def report(folder: Path, files: list[Path]) -> None:
    shutil.copy(files[0], folder / "report.dcm")
    rewrite(folder / "report.dcm", lambda dataset: dataset.__delattr__("PixelData"))


def black(_: Path, files: list[Path]) -> None:
    for path in files:
        rewrite(path, lambda dataset: setattr(dataset, "PixelData", bytes(len(dataset.PixelData))))


def no_slope(_: Path, files: list[Path]) -> None:
    for path in files:
        rewrite(path, lambda dataset: setattr(dataset, "RescaleSlope", "0"))


BAD = [
    (mixed_series, FailureKind.INCONSISTENT, "2 different series are mixed in 8 slices"),
    (gap, FailureKind.INCOMPLETE, "missing slices: 1 lacking in 1 gap(s) between 7 slices"),
    (wide_gap, FailureKind.INCOMPLETE, "missing slices: 3 lacking"),
    (copy_of_a_slice, FailureKind.INCONSISTENT, "duplicate slices: 1 of 8 positions"),
    (copy_of_all, FailureKind.INCONSISTENT, "duplicate slices: 8 of 8 positions"),
    (second_time_point, FailureKind.INCONSISTENT, "4-D: 2 volumes (time points or echoes) of 8 slices"),
    (uneven, FailureKind.INCONSISTENT, "spacing between slices is inconsistent (3.30 to 8.70 mm)"),
    (sideways, FailureKind.INCONSISTENT, "shifted sideways"),
    (other_pixels, FailureKind.INCONSISTENT, "different pixel spacing"),
    (other_turn, FailureKind.INCONSISTENT, "different orientation"),
    (other_matrix, FailureKind.INCONSISTENT, "different matrix are mixed (11 x 14, 12 x 14)"),
    (few, FailureKind.INCOMPLETE, "14 x 12 x 3 voxels"),
    (cut_pixels, FailureKind.UNREADABLE, "pixel data are incomplete (2 of 8 files)"),
    (cut_header, FailureKind.UNREADABLE, "no pixel data (1 of 8 files)"),
    (no_position, FailureKind.UNREADABLE, "missing geometry: no valid position"),
    (no_orientation, FailureKind.UNREADABLE, "missing geometry: no valid position, orientation"),
    (askew, FailureKind.UNREADABLE, "missing geometry: the orientation is not"),
    (no_spacing, FailureKind.UNREADABLE, "missing geometry"),
    (undecodable, FailureKind.UNREADABLE, "JPEG Lossless, Non-Hierarchical, First-Order Prediction"),
    (unknown_syntax, FailureKind.UNREADABLE, "an unknown transfer syntax cannot be decoded"),
    (colour, FailureKind.UNREADABLE, "a colour image"),
    (computed_tomography, FailureKind.UNREADABLE, "modality is not MR (8 of 8 files)"),
    (foreign_file, FailureKind.UNREADABLE, "no DICOM"),
    (empty_slice, FailureKind.UNREADABLE, "(1 of 8 files)"),
    (report, FailureKind.UNREADABLE, "without an image"),
    (black, FailureKind.UNREADABLE, "empty: every voxel is 0"),
    (no_slope, FailureKind.UNREADABLE, "empty: every voxel is 0"),
]


@pytest.mark.parametrize(("edit", "kind", "words"), BAD, ids=[case[0].__name__ for case in BAD])
def test_bad_series(
    tmp_path: Path, edit: Callable[[Path, list[Path]], None], kind: FailureKind, words: str
) -> None:
    folder = tmp_path / f"{MARKERS[0]}_{MARKERS[1]}"
    edit(folder, write_series(folder, phantom((14, 12, 8))))
    assert words in failure(folder, kind).problem


def test_the_remedy_of_an_undecodable_syntax(tmp_path: Path) -> None:
    undecodable(tmp_path, write_series(tmp_path, phantom((14, 12, 8))))
    assert "Explicit VR Little Endian" in failure(tmp_path, FailureKind.UNREADABLE).remedy
    assert "NIfTI" in failure(tmp_path, FailureKind.UNREADABLE).remedy


def test_one_single_frame_file_asks_for_its_folder(tmp_path: Path) -> None:
    path = write_series(tmp_path, phantom((14, 12, 8)))[0]
    assert "name the folder" in failure(path, FailureKind.INCOMPLETE).remedy


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_other_transfer_syntaxes_are_read(tmp_path: Path, syntax: str) -> None:
    data = phantom((14, 12, 6))
    for path in write_series(tmp_path, data):
        dataset = pydicom.dcmread(path)
        if syntax == RLELossless:
            dataset.compress(RLELossless)
        else:
            dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(tmp_path, ENTITY).data, data)


def test_slices_without_preamble_are_read(tmp_path: Path) -> None:
    data = phantom((14, 12, 6))
    for path in write_series(tmp_path, data):
        content = path.read_bytes()
        # Behind the preamble and the file meta group, whose length stands in its first element.
        path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])
    np.testing.assert_array_equal(read_volume(tmp_path, ENTITY).data, data)


# Bad enhanced files.


def two_stacks(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[2].FrameContentSequence[0].StackID = "2"


def one_group_less(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[-1]


def no_groups(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence


def no_place(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence


def no_measures(dataset: Dataset) -> None:
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


@pytest.mark.parametrize(
    ("edit", "order", "kind", "words"),
    [
        (two_stacks, None, FailureKind.INCONSISTENT, "2 stacks"),
        (None, [0, 1, 2, 3, 4, 5] * 2, FailureKind.INCONSISTENT, "4-D: 2 volumes"),
        (None, [0, 1, 2, 2, 3, 4, 5], FailureKind.INCONSISTENT, "duplicate slices: 1 of 6"),
        (None, [0, 1, 2, 4, 5], FailureKind.INCOMPLETE, "missing slices: 1 lacking"),
        (None, [0, 1, 2], FailureKind.INCOMPLETE, "at least 4 slices"),
        (one_group_less, None, FailureKind.UNREADABLE, "differ in the number of frames"),
        (no_groups, None, FailureKind.UNREADABLE, "missing geometry"),
        (no_place, None, FailureKind.UNREADABLE, "missing geometry"),
        (no_measures, None, FailureKind.UNREADABLE, "missing geometry"),
    ],
)
def test_bad_enhanced_files(
    tmp_path: Path,
    edit: Callable[[Dataset], None] | None,
    order: list[int] | None,
    kind: FailureKind,
    words: str,
) -> None:
    path = write_enhanced(tmp_path / f"{MARKERS[1]}.dcm", phantom((14, 12, 6)), order=order, edit=edit)
    assert words in failure(path, kind).problem


@pytest.mark.parametrize("share", [0.05, 0.4, 0.95])
def test_truncated_enhanced_files(tmp_path: Path, share: float) -> None:
    path = write_enhanced(tmp_path / f"{MARKERS[1]}.dcm", phantom((14, 12, 6)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "truncated DICOM" in failure(path, FailureKind.UNREADABLE).problem


def test_damaged_bytes_make_errors_and_nothing_else(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", phantom((6, 5, 4)))
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(content)
        for place in generator.integers(132, len(content), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        outcomes.add(outcome(path))
    assert {"read", FailureKind.UNREADABLE} <= outcomes


def test_pydicom_is_silent_and_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_series(tmp_path, phantom((14, 12, 6)))
    for path in paths:
        # A UID with a leading zero, a time with a letter, an odd date.
        content = path.read_bytes().replace(MARKERS[2].encode(), b"1933x303").replace(b"1015", b"10z5")
        path.write_bytes(content)
    mode, level = config.settings.reading_validation_mode, logging.getLogger("pydicom").level
    with caplog.at_level(logging.DEBUG):
        assert read_volume(tmp_path, ENTITY).facts.acquired_s is None
    assert caplog.records == []
    assert config.settings.reading_validation_mode == mode
    assert logging.getLogger("pydicom").level == level


def test_no_identifier_is_in_what_a_reader_returns(tmp_path: Path) -> None:
    write_series(tmp_path / "s", phantom((14, 12, 6)), prefix=MARKERS[0])
    write_enhanced(tmp_path / "e", phantom((14, 12, 6)))
    for path in (tmp_path / "s", tmp_path / "e"):
        assert any(marker.encode() in volume_files(path)[0].read_bytes() for marker in MARKERS)
        volume = read_volume(path, ENTITY)
        assert not any(marker in f"{volume!r} {volume.facts!r}" for marker in MARKERS)
        assert set(vars(volume)) == {"data", "affine", "facts"}


@pytest.mark.real_data
def test_real_enhanced_file(real_data: Path) -> None:
    volume = read_volume(real_data / "mri" / "IM_0010.dcm", ENTITY)
    facts = volume.facts
    assert (facts.format, facts.shape) == ("dicom enhanced", (256, 256, 20))
    assert facts.spacing_mm == pytest.approx((1.5625, 1.5625, 7.0))
    # Axial, columns to the left, rows to the back; of the public functional groups, not of the vendor's.
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([-1.5625, -1.5625, 7.0]), atol=1e-6)
    np.testing.assert_allclose(volume.affine[:3, 3], (194.70974, 149.94026, -77.15706), atol=1e-4)
    dataset = pydicom.dcmread(real_data / "mri" / "IM_0010.dcm")
    assert volume.data[:, :, 0].max() == pytest.approx(dataset.pixel_array[0].max() * 2.15579975579975)
    assert facts.acquired_s == pytest.approx(11 * 3600 + 15 * 60 + 44.65)
    assert "travelkidney" not in repr(volume)
