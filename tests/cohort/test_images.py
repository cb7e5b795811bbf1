import unicodedata
from pathlib import Path

import pytest

from hccfeat.cohort.images import find_images
from hccfeat.errors import InputError
from hccfeat.files import quick_hash

SUFFIXES = frozenset({".png", ".tif", ".svs"})
PATIENTS = {"internal/P1", "internal/P2"}


def touch(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.as_posix().encode() if content is None else content)
    return path


def find(slides, manifest=None, patients=PATIENTS, cohort="internal"):
    images, problems = find_images(slides, manifest, cohort, patients, SUFFIXES)
    return {row["image_id"]: row for row in images}, problems


def of_level(problems, level):
    return [item for item in problems if item.level == level]


def test_images_and_patients_from_names(tmp_path):
    one = touch(tmp_path / "a" / "P1_1.PNG")
    touch(tmp_path / "P1_2.tif")
    touch(tmp_path / "P2.svs")
    images, problems = find(tmp_path)
    assert list(images) == ["internal/P1_1", "internal/P1_2", "internal/P2"]
    row = images["internal/P1_1"]
    assert row["patient_id"] == "internal/P1"
    assert row["path"] == str(one)
    assert row["mpp"] is None
    assert (row["bytes"], row["mtime_ns"]) == (one.stat().st_size, one.stat().st_mtime_ns)
    assert row["quick_sha256"] == quick_hash(one)
    assert problems == []


def test_ids_with_underscores_unicode_and_spaces(tmp_path):
    patients = {"internal/P_1", "internal/Müller 1"}
    touch(tmp_path / "mit leerzeichen ü" / (unicodedata.normalize("NFD", "Müller 1_core A") + ".png"))
    touch(tmp_path / "P_1_2.png")
    images, problems = find(tmp_path, patients=patients)
    assert images["internal/Müller 1_core A"]["patient_id"] == "internal/Müller 1"
    assert images["internal/P_1_2"]["patient_id"] == "internal/P_1"
    assert Path(images["internal/Müller 1_core A"]["path"]).is_file()
    assert problems == []


def test_tcga_barcodes(tmp_path):
    touch(tmp_path / "TCGA-DD-AAVP-01Z-00-DX1.0A1B.svs")
    images, _ = find(tmp_path, patients={"tcga/TCGA-DD-AAVP"}, cohort="tcga")
    assert images["tcga/TCGA-DD-AAVP-01Z-00-DX1.0A1B"]["patient_id"] == "tcga/TCGA-DD-AAVP"


@pytest.mark.parametrize("names", [("a/P1_1.png", "b/P1_1.png"), ("P1_1.png", "P1_1.tif")])
def test_two_images_of_one_name_are_both_left_out_and_the_others_taken(tmp_path, names):
    for name in names:
        touch(tmp_path / name)
    touch(tmp_path / "P2_1.png")
    images, problems = find(tmp_path)
    assert list(images) == ["internal/P2_1"]
    errors = of_level(problems, "error")
    assert sorted(item.entity for item in errors) == sorted(str(tmp_path / name) for name in names)
    assert all("same name" in item.problem and item.remedy for item in errors)


def test_a_slide_without_patient_and_a_patient_without_slide(tmp_path):
    touch(tmp_path / "P1_1.png")
    touch(tmp_path / "P9_1.png")
    images, problems = find(tmp_path)
    assert list(images) == ["internal/P1_1"]
    (error,) = of_level(problems, "error")
    assert error.entity.endswith("P9_1.png")
    assert "not in the clinical table" in error.problem
    (info,) = of_level(problems, "info")
    assert (info.entity, info.problem) == ("internal/P2", "has no image")


def test_a_clinical_only_cohort_has_no_problems():
    assert find(None) == ({}, [])


def test_other_files_are_listed_and_hidden_ones_not(tmp_path):
    touch(tmp_path / "Thumbs.db")
    touch(tmp_path / "._P1_1.png")
    touch(tmp_path / ".cache" / "P1_1.png")
    images, problems = find(tmp_path, patients=set())
    assert images == {}
    assert [Path(item.entity).name for item in problems] == ["Thumbs.db"]
    assert ".svs" in problems[0].remedy


def test_an_empty_slide_is_passed_on_to_the_reader(tmp_path):
    touch(tmp_path / "P1_1.png", b"")
    images, _ = find(tmp_path)
    assert images["internal/P1_1"]["bytes"] == 0


def test_the_same_content_in_two_patients_is_pointed_out(tmp_path):
    touch(tmp_path / "P1_1.png", b"same")
    touch(tmp_path / "P2_1.png", b"same")
    images, problems = find(tmp_path)
    assert len(images) == 2
    assert any("same content" in item.problem and item.level == "info" for item in problems)


def test_a_dangling_link_is_a_problem_of_that_image_only(tmp_path):
    (tmp_path / "P1_1.png").symlink_to(tmp_path / "gone.png")
    touch(tmp_path / "P2_1.png")
    images, problems = find(tmp_path)
    assert list(images) == ["internal/P2_1"]
    assert "cannot be read" in of_level(problems, "error")[0].problem


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        find(tmp_path / "none")


def manifest(path, *rows, header="file,patient_id,mpp"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_manifest_names_patient_and_mpp(tmp_path):
    slides = tmp_path / "slides"
    touch(slides / "deep" / "x.png")
    touch(slides / "y.tif")
    touch(slides / "P1_9.png")
    table = manifest(tmp_path / "m.csv", "x.png,P1,0.5", "slides/y.tif,internal/P2,", " P1_9.png ,,NA")
    images, problems = find(slides, table)
    assert images["internal/x"]["mpp"] == 0.5
    assert images["internal/x"]["patient_id"] == "internal/P1"
    assert images["internal/y"]["mpp"] is None
    assert images["internal/y"]["patient_id"] == "internal/P2"
    assert images["internal/P1_9"]["patient_id"] == "internal/P1"
    assert problems == []


def test_a_manifest_beside_the_files_needs_no_folder(tmp_path):
    touch(tmp_path / "x.png")
    images, _ = find(None, manifest(tmp_path / "m.csv", "x.png,P1,0.5"))
    assert list(images) == ["internal/x"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("gone.png,P1,0.5", "does not exist"),
        (",P1,0.5", "names no file"),
        ("x.png,P1,half", "mpp is not a number"),
        ("x.png,P1,0", "outside 0.05 to 16"),
        ("x.png,P1,5000", "outside 0.05 to 16"),
        ("x.png,P7,0.5", "not in the clinical table"),
        ("twice.png,P1,0.5", "lies in 2 folders"),
        ("x.png,P1,0,5", "4 fields"),
        ("notes.txt,P1,0.5", "not an image"),
    ],
)
def test_a_bad_row_of_a_manifest_lets_the_others_through(tmp_path, row, problem):
    slides = tmp_path / "slides"
    for name in ("x.png", "good.png", "a/twice.png", "b/twice.png", "notes.txt"):
        touch(slides / name)
    images, problems = find(slides, manifest(tmp_path / "m.csv", row, "good.png,P2,0.5"))
    assert list(images) == ["internal/good"]
    assert any(problem in item.problem and item.remedy for item in problems)


def test_files_that_a_manifest_leaves_out_are_listed(tmp_path):
    touch(tmp_path / "x.png")
    touch(tmp_path / "P2_1.png")
    images, problems = find(tmp_path, manifest(tmp_path / "m.csv", "x.png,P1,"))
    assert list(images) == ["internal/x"]
    left = [item.entity for item in problems if item.problem == "is not in the manifest"]
    assert left == [str(tmp_path / "P2_1.png")]


def test_a_file_named_twice_by_the_manifest_is_left_out(tmp_path):
    touch(tmp_path / "x.png")
    images, problems = find(tmp_path, manifest(tmp_path / "m.csv", "x.png,P1,", "x.png,P2,"))
    assert images == {}
    assert sum("same name" in item.problem for item in problems) == 2
