from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from hccfeat.files import sha256_of_file
from hccfeat.simulation.mri.files import Series, write_nifti, write_series

DATA = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
AFFINE = np.diag([-2.0, -1.5, 6.0, 1.0])
AFFINE[:3, 3] = (10.0, 20.0, -30.0)
SERIES = Series("P0001", "PRE", "study", "study/pre", "100000")


def test_nifti_keeps_voxels_and_places(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_nifti(tmp_path / f"{name}.nii.gz", DATA, AFFINE)
    assert sha256_of_file(tmp_path / "one.nii.gz") == sha256_of_file(tmp_path / "other.nii.gz")
    image = nib.load(tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), DATA)
    np.testing.assert_allclose(image.affine, AFFINE)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_xyzt_units()[0] == "mm"


def test_series_keeps_voxels_and_places_and_names_nobody(tmp_path: Path) -> None:
    write_series(tmp_path / "one", DATA, AFFINE, SERIES)
    write_series(tmp_path / "other", DATA, AFFINE, SERIES)
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) == 3
    for file in files:
        assert sha256_of_file(file) == sha256_of_file(tmp_path / "other" / file.name)
    slices = sorted((pydicom.dcmread(file) for file in files), key=lambda one: one.ImagePositionPatient[2])
    assert [one.InstanceNumber for one in slices] == [3, 2, 1]
    for z, one in enumerate(slices):
        np.testing.assert_array_equal(one.pixel_array.T, DATA[:, :, z])
        assert list(one.ImagePositionPatient) == [-10.0, -20.0, -30.0 + 6 * z]  # LPS
        assert list(one.PixelSpacing) == [1.5, 2.0]
        assert (one.PatientID, str(one.PatientName)) == ("P0001", "SIMULATED")
        assert not {"PatientBirthDate", "StudyDate", "InstitutionName"} & set(one.dir())
    assert len({one.SOPInstanceUID for one in slices}) == 3
    assert len({one.SeriesInstanceUID for one in slices}) == 1


def test_other_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="axial"):
        write_series(tmp_path / "one", DATA, np.diag([2.0, 2.0, 2.0, 1.0]), SERIES)
