import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from hccfeat.errors import InputError
from hccfeat.simulation import Delivery, load_parameters, simulate, simulate_patients
from hccfeat.simulation.deliver import clinical_rows
from hccfeat.simulation.mri.parameters import OWN_ITEMS, item_names


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """The cohort of preset mri, small."""
    return simulate(tmp_path_factory.mktemp("mri") / "hospital", "mri", 3, {"mri_patients": 12})


def test_the_cohort_of_its_own_has_no_slides(alone: Delivery) -> None:
    assert list(alone.cohorts) == ["mri"]
    assert (alone.exams.patients, alone.exams.exams, alone.exams.images) == (12, 12, 0)
    assert alone.exams.slides is None
    assert sorted(path.name for path in alone.folder.iterdir()) == ["README.txt", "SIMULATED.json", "mri", "truth"]
    table = rows(alone.exams.clinical)
    assert [row["patient_id"] for row in table] == [f"M{number:04d}" for number in range(1, 13)]
    assert {row["treatment"] for row in table} == {"none"}
    assert {row["simulated"] for row in table} == {"1"}
    assert sorted(row["mvi_grade"] for row in table) == ["M0"] * 6 + ["M1"] * 4 + ["M2"] * 2
    assert set(item_names()) <= set(table[0])
    assert float(table[0]["recurrence_months"]) > 0


def test_the_readme_names_what_is_there(alone: Delivery, delivery: Delivery) -> None:
    text = (alone.folder / "README.txt").read_text(encoding="utf-8")
    assert text.startswith("SIMULATED DATA")
    assert "mri/mri_manifest.csv" in text
    assert "internal" not in text
    assert "internal/mri_manifest.csv" in (delivery.folder / "README.txt").read_text(encoding="utf-8")
    about = json.loads((alone.folder / "SIMULATED.json").read_text(encoding="utf-8"))
    assert (about["preset"], about["mri_parameters_version"]) == ("mri", 1)


def test_every_volume_of_the_manifest_opens_and_has_its_lesion(alone: Delivery) -> None:
    manifest = rows(alone.exams.mri_manifest)
    assert [row["phase"] for row in manifest] == ["PRE", "HBP"] * 12
    kinds = set()
    for row in manifest:
        path = alone.exams.mri / row["path"]
        if path.is_dir():
            first = pydicom.dcmread(next(iter(sorted(path.iterdir()))))
            assert (first.PatientID, first.SeriesDescription) == (row["patient_id"], f"SIMULATED {row['phase']}")
            shape = (first.Columns, first.Rows, len(list(path.iterdir())))
            assert np.sum(first.pixel_array) > 0
        else:
            shape = nib.load(path).shape
        given = [name for name in ("lesion_mask", "lesion_box", "liver_mask") if row[name]]
        assert len(given) == 1
        kinds.add((path.is_dir(), given[0]))
        if given[0] == "lesion_box":
            corners = [int(part) for part in row["lesion_box"].split()]
            assert all(
                0 <= low < high <= size for low, high, size in zip(corners, corners[3:], shape, strict=False)
            )
        else:
            mask = np.asanyarray(nib.load(alone.exams.mri / row[given[0]]).dataobj)
            assert mask.shape == shape
            assert set(np.unique(mask)) == {0, int(row["liver_label"] or 1)}
    masks = {(False, "lesion_mask"), (False, "lesion_box"), (False, "liver_mask")}
    assert kinds == masks | {(True, "lesion_mask"), (True, "lesion_box")}


def test_the_truth_knows_latents_places_and_complete_items(alone: Delivery) -> None:
    truth, table = rows(alone.truth / "mri.csv"), rows(alone.exams.clinical)
    assert [row["patient_id"] for row in truth] == [f"mri/{row['patient_id']}" for row in table]
    assert [row["mvi_grade"] for row in truth] == [row["mvi_grade"] for row in table]
    manifest = {(row["patient_id"], row["phase"]): row for row in rows(alone.exams.mri_manifest)}
    for row in truth:
        line = manifest[row["patient_id"].removeprefix("mri/"), "HBP"]
        assert row["hbp_path"] == line["path"]
        assert row["pre_x_mm"] != row["hbp_x_mm"]
        assert float(row["hbp_diameter_mm"]) == pytest.approx(2 * float(row["lesion_radius_mm"]), abs=1e-3)
        if line["lesion_mask"]:
            image = nib.load(alone.exams.mri / line["lesion_mask"])
            centre = [float(row[f"hbp_{axis}_mm"]) for axis in "xyz"]
            found = nib.affines.apply_affine(image.affine, np.argwhere(np.asanyarray(image.dataobj)).mean(axis=0))
            assert np.linalg.norm(found - centre) < 8
    complete = rows(alone.truth / "mri_items.csv")
    absent = 0
    for known, shown in zip(complete, table, strict=True):
        for name in set(item_names()) - set(OWN_ITEMS):
            assert known[name] != ""
            assert shown[name] in ("", known[name])
            absent += shown[name] == ""
    assert absent / (12 * 47) == pytest.approx(0.10, abs=0.04)


def test_the_oracle_has_the_cohort_and_the_population(alone: Delivery) -> None:
    written = json.loads((alone.truth / "oracle.json").read_text(encoding="utf-8"))
    assert written == alone.oracle
    assert written["mri"]["grades"] == [6, 4, 2]
    assert 0.7 < written["mri_population"]["auc_image"] < 0.8


def test_slides_and_the_old_columns_do_not_know_of_the_exams(delivery: Delivery, tmp_path: Path) -> None:
    overrides = {"patients": 6, "images": 9, "external_patients": 2}
    parameters = load_parameters("tiny", overrides)
    cohort = simulate_patients(parameters, 7)
    expected = clinical_rows(parameters, cohort, 7)
    table = rows(delivery.internal.clinical)
    for row, known in zip(table, expected, strict=True):
        assert {name: row[name] for name in known} == {name: str(value) for name, value in known.items()}
    other = simulate(tmp_path / "other", "tiny", 7, {**overrides, "weight_s": 0, "image_i": 0})
    for name in ("slides", "manifest"):
        one, same = (getattr(made.internal, name) for made in (delivery, other))
        files = sorted(one.iterdir()) if one.is_dir() else [one]
        for file in files:
            again = same / file.name if same.is_dir() else same
            assert file.read_bytes() == again.read_bytes()
    assert delivery.external.clinical.read_bytes() == other.external.clinical.read_bytes()
    changed = rows(other.internal.clinical)
    for row, again in zip(table, changed, strict=True):
        assert {**row, "mvi_grade": ""} == {**again, "mvi_grade": ""}


def test_internal_patients_share_one_truth_between_slides_and_exams(delivery: Delivery) -> None:
    slides = {row["patient_id"]: row for row in rows(delivery.truth / "patients.csv")}
    for row in rows(delivery.truth / "mri.csv"):
        assert row["aggressiveness"] == slides[row["patient_id"]]["aggressiveness"]
        size = min(max(10 * float(slides[row["patient_id"]]["tumour_size"]), 16), 90)
        assert 2 * float(row["lesion_radius_mm"]) == pytest.approx(size, abs=1e-3)


def test_overrides_of_a_cohort_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="override patients"):
        simulate(tmp_path / "new", "mri", 3, {"patients": 4})
    assert not (tmp_path / "new").exists()
