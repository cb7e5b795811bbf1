import unicodedata
from pathlib import Path

import pytest

from hccfeat.cohort.exams import find_exams
from hccfeat.errors import InputError

PATIENTS = {"internal/P1", "internal/P2", "internal/P3"}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def exam(folder: Path, patient: str, *names: str) -> None:
    for name in names:
        touch(folder / patient / name)


def find(folder, manifest=None, patients=PATIENTS):
    exams, problems = find_exams(folder, manifest, "internal", patients)
    return {found.patient_id: found for found in exams}, problems


def errors(problems):
    return [item for item in problems if item.level == "error"]


def manifest(path: Path, *rows: str, header: str = "patient_id,phase,path,lesion_mask,lesion_box") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_nothing_asked_for_is_no_problem():
    assert find(None) == ({}, [])


def test_folders_of_patients_with_named_phases(tmp_path):
    exam(tmp_path, "P1", "PRE.nii.gz", "HBP.nii.gz")
    exam(tmp_path, "P2", "pre/1.dcm", "pre/2.dcm", "Hbp/1.dcm")
    exam(tmp_path, "P3", "PRE.dcm", "hbp.nii", ".DS_Store")
    exams, problems = find(tmp_path)
    assert problems == []
    assert [found.exam_id for found in exams.values()] == [f"internal/P{n}-mri" for n in (1, 2, 3)]
    assert {phase: volume.path.name for phase, volume in exams["internal/P2"].volumes.items()} == {
        "pre": "pre",
        "hbp": "Hbp",
    }
    assert exams["internal/P1"].volumes["pre"].path == tmp_path / "P1" / "PRE.nii.gz"


@pytest.mark.parametrize(
    "name", ["T1_HBP.nii.gz", "HBP_20min.nii.gz", "HBP.png", "hepatobiliary.nii.gz", "ART.nii.gz"]
)
def test_a_phase_is_never_guessed(tmp_path, name):
    exam(tmp_path, "P1", "PRE.nii.gz", name)
    exam(tmp_path, "P2", "PRE.nii.gz", "HBP.nii.gz")
    exams, problems = find(tmp_path)
    assert set(exams["internal/P1"].volumes) == {"pre"}
    assert set(exams["internal/P2"].volumes) == {"pre", "hbp"}
    named = {item.entity: item for item in errors(problems)}
    problem = named[str(tmp_path / "P1")]
    assert problem.problem == "holds 1 entries whose names do not say which phase they are"
    assert "manifest" in problem.remedy
    assert name not in problem.problem + problem.remedy
    assert named["internal/P1-mri"].problem == "phase HBP is missing"


def test_a_phase_named_twice_is_not_taken(tmp_path):
    exam(tmp_path, "P1", "PRE.nii.gz", "PRE.nii", "HBP/1.dcm")
    exams, problems = find(tmp_path)
    assert set(exams["internal/P1"].volumes) == {"hbp"}
    assert exams["internal/P1"].refused == {"pre": "phase PRE is named 2 times"}
    assert len(errors(problems)) == 2


def test_folders_of_strangers_and_empty_folders_are_problems_of_their_own(tmp_path):
    exam(tmp_path, "P9", "PRE.nii.gz", "HBP.nii.gz")
    (tmp_path / "P1").mkdir()
    exam(tmp_path, "P2", "PRE.nii.gz", "HBP.nii.gz")
    touch(tmp_path / "notes.txt")
    exams, problems = find(tmp_path)
    assert set(exams["internal/P2"].volumes) == {"pre", "hbp"}
    assert "internal/P9" not in exams
    text = " ".join(f"{item.entity} {item.problem}" for item in errors(problems))
    assert "not in the clinical table" in text
    assert "P1 is empty" in text
    infos = {item.entity for item in problems if item.level == "info"}
    assert infos == {str(tmp_path / "notes.txt"), "internal/P3"}


def test_names_in_decomposed_unicode_and_with_a_prefix(tmp_path):
    patients = {"internal/Müller 1", "internal/P_2"}
    exam(tmp_path, unicodedata.normalize("NFD", "Müller 1"), "PRE.nii.gz", "HBP.nii.gz")
    exams, problems = find(tmp_path, patients=patients)
    assert list(exams) == ["internal/Müller 1"]
    assert errors(problems) == []


def test_a_manifest_names_volumes_masks_and_boxes(tmp_path):
    folder = tmp_path / "mri"
    for name in ("a.nii.gz", "lesion.nii.gz", "liver.nii.gz", "series/1.dcm"):
        touch(folder / name)
    touch(tmp_path / "beside.nii")
    table = manifest(
        tmp_path / "m.csv",
        "P1,pre,a.nii.gz,lesion.nii.gz,,,",
        "P1,HBP,series,,0 1 2 10 11 12,liver.nii.gz,4",
        "internal/P2,PRE,beside.nii,NA,,,",
        "P2,Hbp,mri/../beside.nii,,,,",
        header="patient_id,phase,path,lesion_mask,lesion_box,liver_mask,liver_label",
    )
    exams, problems = find(folder, table)
    assert errors(problems) == []
    first = exams["internal/P1"].volumes
    assert first["pre"].lesion_mask == folder / "lesion.nii.gz"
    assert first["pre"].lesion_box is None
    assert (first["hbp"].path, first["hbp"].lesion_box) == (folder / "series", (0, 1, 2, 10, 11, 12))
    assert (first["hbp"].liver_mask, first["hbp"].liver_label) == (folder / "liver.nii.gz", 4)
    assert {volume.path for volume in exams["internal/P2"].volumes.values()} == {tmp_path / "beside.nii"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("P1,ART,a.nii.gz,,", "known are PRE and HBP"),
        ("P1,,a.nii.gz,,", "names no phase"),
        (",PRE,a.nii.gz,,", "names no patient"),
        ("P7,PRE,a.nii.gz,,", "not in the clinical table"),
        ("P1,PRE,gone.nii.gz,,", "does not exist"),
        ("P1,PRE,,,", "names no volume"),
        ("P1,PRE,../outside.nii.gz,,", "outside"),
        ("P1,PRE,/etc/hostname,,", "outside"),
        ("P1,PRE,a.nii.gz,gone.nii.gz,", "lesion_mask gone.nii.gz, which does not exist"),
        ("P1,PRE,a.nii.gz,,0 0 0 5 5", "not six whole numbers"),
        ("P1,PRE,a.nii.gz,,0 0 0 5 5 -5", "not six whole numbers"),
        ("P1,PRE,a.nii.gz,,0 0 5 5 5 5", "empty lesion_box"),
        ("P1,PRE,a.nii.gz,,0,1", "6 fields"),
    ],
)
def test_a_bad_row_lets_the_others_through(tmp_path, row, problem):
    folder = tmp_path / "in" / "mri"
    touch(folder / "a.nii.gz")
    touch(tmp_path / "outside.nii.gz")
    table = manifest(tmp_path / "in" / "m.csv", row, "P1,HBP,a.nii.gz,,", "P2,PRE,a.nii.gz,,", "P2,HBP,a.nii.gz,,")
    exams, problems = find(folder, table)
    assert set(exams["internal/P2"].volumes) == {"pre", "hbp"}
    assert set(exams["internal/P1"].volumes) == {"hbp"}
    rows = [item for item in errors(problems) if "row 2" in item.entity]
    assert len(rows) == 1
    assert problem in rows[0].problem
    assert rows[0].remedy


def test_a_phase_in_two_rows_is_not_taken(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        touch(tmp_path / name)
    table = manifest(tmp_path / "m.csv", "P1,PRE,a.nii.gz,,", "P1,PRE,b.nii.gz,,", "P1,HBP,b.nii.gz,,")
    exams, problems = find(None, table)
    assert set(exams["internal/P1"].volumes) == {"hbp"}
    assert sum("named 2 times" in item.problem for item in errors(problems)) == 2


def test_a_liver_label_needs_a_mask_and_a_number(tmp_path):
    touch(tmp_path / "a.nii.gz")
    header = "patient_id,phase,path,liver_mask,liver_label"
    table = manifest(
        tmp_path / "m.csv", "P1,PRE,a.nii.gz,,1", "P2,PRE,a.nii.gz,a.nii.gz,0", "P3,PRE,a.nii.gz,a.nii.gz,x",
        header=header,
    )  # fmt: skip
    exams, problems = find(None, table)
    assert all(not found.volumes for found in exams.values())
    assert sum("liver_label" in item.problem for item in errors(problems)) == 3


def test_what_cannot_be_used_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        find(tmp_path / "none")
    with pytest.raises(InputError, match="lacks the columns phase"):
        find(tmp_path, manifest(tmp_path / "m.csv", "P1,a", header="patient_id,path"))
    with pytest.raises(InputError, match="does not exist"):
        find(tmp_path, tmp_path / "gone.csv")
