"""Small MRI exams on disk, and studies of them."""

from pathlib import Path

import nibabel
import numpy as np

from hccfeat.study import Study, init_study

AFFINE = np.diag([6.0, 6.0, 8.0, 1.0])
SHAPE = (40, 36, 20)


def write_volume(path: Path, seed: int, *, bright: float = 150.0, shape: tuple[int, int, int] = SHAPE) -> Path:
    """A block of body with noise, in air."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.zeros(shape, dtype=np.int16)
    inner = data[6:-6, 6:-6, 2:-2]
    inner[:] = np.random.default_rng(seed).normal(bright, 12, inner.shape)
    nibabel.save(nibabel.Nifti1Image(data, AFFINE), path)
    return path


def write_mask(path: Path, corner: tuple[int, int, int] = (10, 10, 5), side: int = 4) -> Path:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[tuple(slice(start, start + side) for start in corner)] = 1
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), path)
    return path


def write_exams(folder: Path, patients: list[str], *, seed: int = 0) -> Path:
    for number, patient in enumerate(patients):
        for place, phase in enumerate(("PRE", "HBP")):
            write_volume(folder / patient / f"{phase}.nii.gz", seed + 10 * number + place)
    return folder


def clinical_table(path: Path, patients: list[str]) -> Path:
    rows = [f"{patient},M{n % 3},{40 + n},{'male' if n % 2 else 'female'}" for n, patient in enumerate(patients)]
    path.write_text("\n".join(["patient_id,mvi_grade,age,sex", *rows]) + "\n", encoding="utf-8")
    return path


def mri_only_study(folder: Path, patients: list[str]) -> Study:
    """A study whose development cohort ``liver`` has MRI exams and no slides; nothing is ingested yet."""
    write_exams(folder / "mri", patients)
    clinical_table(folder / "clinical.csv", patients)
    return init_study(folder / "study", name="mri-only", mri_recipe="mri-tiny", cohort="liver")
