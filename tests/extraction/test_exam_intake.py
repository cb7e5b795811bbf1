"""MRI exams through ``ingest``: what is recorded of a volume, and what becomes of bad ones."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from hccfeat.extraction.exam_intake import inspect_exams
from hccfeat.extraction.exam_sources import exam_sources
from hccfeat.mri.volume import Volume, VolumeFacts
from hccfeat.store.catalog import query
from hccfeat.study import Study
from tests.extraction.exam_files import SHAPE, mri_only_study, write_mask, write_volume

PATIENTS = ["A 1", "B", "C", "D"]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return mri_only_study(tmp_path, PATIENTS)


def ingest(study: Study, manifest: Path | None = None):
    folder = study.folder.parent
    return study.ingest("liver", folder / "clinical.csv", mri=folder / "mri", mri_manifest=manifest)


def statuses(study: Study) -> dict[str, str]:
    return dict(query(study.folder, "SELECT image_id, status FROM image ORDER BY image_id").rows())


def test_every_volume_has_a_row_of_facts(study: Study) -> None:
    summary = ingest(study)
    assert (summary.problems, summary.cautions) == ([], [])
    assert (summary.patients, summary.images, summary.exams) == (4, 0, 4)
    assert summary.attrition[-1]["step"] == "patients with a readable MRI exam"
    assert summary.attrition[-1]["n"] == 4
    own = "image_id = 'liver/A 1-mri'"
    row = query(study.folder, f"SELECT * FROM volume WHERE {own} AND phase = 'pre'").to_dicts()[0]
    assert (row["nx"], row["ny"], row["nz"]) == SHAPE
    assert (row["spacing_x_mm"], row["spacing_y_mm"], row["spacing_z_mm"]) == (6.0, 6.0, 8.0)
    assert 100 < row["intensity_low"] < 150 < row["intensity_high"] < 200
    assert (row["slices"], row["missing_slices"], row["phase_order"]) == (20, 0, "not recorded")
    assert (row["status"], row["reason"], row["format"]) == ("ok", "", "nifti")
    path = Path(row["path"])
    assert (row["bytes"], row["mtime_ns"]) == (path.stat().st_size, path.stat().st_mtime_ns)
    image = query(study.folder, f"SELECT * FROM image WHERE {own}").to_dicts()[0]
    assert (image["patient_id"], image["modality"], image["path"]) == ("liver/A 1", "mri", None)
    assert study.status()["Cohorts"][0]["exams"] == 4


def test_bad_volumes_are_listed_and_the_good_exams_go_on(study: Study) -> None:
    folder = study.folder.parent / "mri"
    whole = (folder / "B" / "PRE.nii.gz").read_bytes()
    (folder / "B" / "PRE.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "C" / "HBP.nii.gz").unlink()
    shutil.copy(folder / "D" / "PRE.nii.gz", folder / "D" / "HBP.nii.gz")
    summary = ingest(study)
    assert statuses(study) == {
        "liver/A 1-mri": "ok",
        "liver/B-mri": "unreadable",
        "liver/C-mri": "incomplete",
        "liver/D-mri": "inconsistent",
    }
    assert [source.exam_id for source in exam_sources(study.folder)] == ["liver/A 1-mri"]
    problems = {item["entity"]: item for item in summary.problems}
    assert set(problems) == {"liver/B-mri PRE", "liver/C-mri", "liver/D-mri"}
    assert all(item["remedy"] for item in summary.problems)
    volumes = query(study.folder, "SELECT image_id, phase, status FROM volume WHERE status <> 'ok' ORDER BY ALL")
    assert volumes.rows() == [
        ("liver/B-mri", "pre", "unreadable"),
        ("liver/D-mri", "hbp", "inconsistent"),
        ("liver/D-mri", "pre", "inconsistent"),
    ]
    unusable = {row["exam"]: row["unreadable_volumes"] for row in study.status()["Unusable MRI exams"]}
    assert unusable == {"liver/B-mri": "PRE", "liver/C-mri": None, "liver/D-mri": "HBP, PRE"}
    assert study.verify(isolated=False) == []


def test_masks_and_boxes_count_for_the_content_and_are_checked(study: Study) -> None:
    folder = study.folder.parent
    write_mask(folder / "mri" / "lesion.nii.gz")
    small = np.ones((8, 8, 8), dtype=np.uint8)
    nibabel.save(nibabel.Nifti1Image(small, np.diag([3.0, 3.0, 3.0, 1.0])), folder / "mri" / "other.nii.gz")
    header = "patient_id,phase,path,lesion_mask,lesion_box\n"
    plain = [f"{name},{phase},{name}/{phase}.nii.gz,," for name in PATIENTS for phase in ("PRE", "HBP")]
    manifest = folder / "manifest.csv"
    manifest.write_text(header + "\n".join(plain) + "\n")
    assert ingest(study, manifest).problems == []
    before = {source.exam_id: source for source in exam_sources(study.folder)}
    rows = plain.copy()
    rows[0] = rows[0].removesuffix(",,") + ",lesion.nii.gz,"
    rows[2] = rows[2].removesuffix(",,") + ",,1 2 3 9 9 9"
    rows[4] = rows[4].removesuffix(",,") + ",other.nii.gz,"
    rows[6] = rows[6].removesuffix(",,") + ",,1 2 3 90 9 9"
    manifest.write_text(header + "\n".join(rows) + "\n")
    summary = ingest(study, manifest)
    assert {name: status for name, status in statuses(study).items() if status != "ok"} == {
        "liver/C-mri": "inconsistent",
        "liver/D-mri": "inconsistent",
    }
    assert {item["entity"] for item in summary.problems} == {"liver/C-mri PRE", "liver/D-mri PRE"}
    facts = query(study.folder, "SELECT DISTINCT nx, format FROM volume WHERE status <> 'ok'")
    assert facts.rows() == [(SHAPE[0], "nifti")]
    after = {source.exam_id: source for source in exam_sources(study.folder)}
    assert set(after) == {"liver/A 1-mri", "liver/B-mri"}
    for name, source in after.items():
        (old_pre, old_hbp), (pre, hbp) = before[name].volumes, source.volumes
        assert old_pre.quick_sha256 != pre.quick_sha256
        assert old_hbp.quick_sha256 == hbp.quick_sha256
        assert before[name].quick_sha256 != source.quick_sha256
    assert after["liver/A 1-mri"].volumes[0].lesion_mask == folder / "mri" / "lesion.nii.gz"
    assert after["liver/B-mri"].volumes[0].lesion_box == (1, 2, 3, 9, 9, 9)


def test_the_same_volume_in_two_patients_is_worth_a_look(study: Study) -> None:
    folder = study.folder.parent / "mri"
    shutil.copy(folder / "B" / "PRE.nii.gz", folder / "C" / "PRE.nii.gz")
    summary = ingest(study)
    assert summary.problems == []
    assert [item["entity"] for item in summary.cautions] == ["liver/C-mri"]
    assert "leaks" in summary.cautions[0]["remedy"]


@pytest.mark.parametrize(
    ("pre", "hbp", "order", "cautions"),
    [
        (36000.0, 37200.0, "pre before hbp", 0),
        (37200.0, 36000.0, "hbp before pre", 1),
        (None, 36000.0, "not recorded", 0),
        (36000.0, 36000.0, "not recorded", 0),
    ],
)
def test_the_order_of_the_phases(
    study: Study, monkeypatch: pytest.MonkeyPatch, pre: float | None, hbp: float, order: str, cautions: int
) -> None:
    def read(path: Path, entity: str) -> Volume:
        time = pre if path.name.startswith("PRE") else hbp
        facts = VolumeFacts("nifti", SHAPE, (6.0, 6.0, 8.0), 1.0, 2.0, 20, 0, time)
        return Volume(np.zeros(SHAPE, np.float32), np.eye(4), facts)

    monkeypatch.setattr("hccfeat.extraction.exam_intake.read_volume", read)
    summary = ingest(study)
    assert summary.problems == []
    assert len(summary.cautions) == cautions * len(PATIENTS)
    assert set(query(study.folder, "SELECT phase_order FROM volume")["phase_order"]) == {order}
    stored = query(study.folder, "SELECT * FROM volume").rows()
    assert not [value for row in stored for value in row if value in (36000.0, 37200.0, "36000.0")]


def test_a_slide_with_the_name_of_an_exam_is_left_out(study: Study) -> None:
    from PIL import Image

    folder = study.folder.parent
    (folder / "slides").mkdir()
    pixels = np.random.default_rng(0).integers(90, 220, (192, 192, 3)).astype(np.uint8)
    for name in ("B-mri", "B_1"):
        Image.fromarray(pixels).save(folder / "slides" / f"{name}.png", dpi=(25400, 25400))
    (folder / "manifest.csv").write_text("file,patient_id\nB-mri.png,B\nB_1.png,B\n")
    summary = study.ingest(
        "liver", folder / "clinical.csv", slides=folder / "slides", manifest=folder / "manifest.csv",
        mri=folder / "mri",
    )  # fmt: skip
    assert [item["problem"] for item in summary.problems] == ["has the name of its patient's MRI exam"]
    assert (summary.images, summary.exams) == (1, 4)
    found = dict(query(study.folder, "SELECT image_id, modality FROM image WHERE patient_id = 'liver/B'").rows())
    assert found == {"liver/B-mri": "mri", "liver/B_1": "slide"}


def test_no_exams_make_no_rows() -> None:
    assert inspect_exams([], []) == ([], [])


def test_names_of_dicom_files_are_not_stored(study: Study, tmp_path: Path) -> None:
    series = tmp_path / "mri" / "A 1" / "PRE"
    write_volume(tmp_path / "x.nii.gz", 1)
    (tmp_path / "mri" / "A 1" / "PRE.nii.gz").unlink()
    series.mkdir()
    (series / "DOE_JOHN_19500101.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    summary = ingest(study)
    assert statuses(study)["liver/A 1-mri"] != "ok"
    texts = [
        *query(study.folder, "SELECT * FROM volume").rows(),
        *query(study.folder, "SELECT * FROM image").rows(),
    ]
    assert not [value for row in texts for value in row if "DOE" in str(value)]
    assert "DOE" not in str(summary)
    assert summary.rejected_file is not None
    assert "DOE" not in summary.rejected_file.read_text()
    records = "".join(path.read_text() for path in (study.folder / "records").rglob("*.json"))
    assert "DOE" not in records
