import csv
import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from hccfeat.errors import InputError
from hccfeat.files import sha256_of_file
from hccfeat.simulation import Delivery, load_parameters, simulate, simulate_patients
from hccfeat.simulation.deliver import CLINICAL_COLUMNS, clinical_rows
from tests.simulation.conftest import SMALL

COLUMNS = (
    "patient_id,age,sex,hbsag,alt,afp,tumour_size,bclc,vascular_invasion,treatment,"
    "recurrence_months,recurrence_event,os_months,os_event,simulated"
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_of_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_tables_are_as_promised(delivery: Delivery) -> None:
    for cohort, patients in ((delivery.internal, 6), (delivery.external, 2)):
        header = cohort.clinical.read_text(encoding="utf-8").splitlines()[0]
        further = header.removeprefix(COLUMNS).split(",")[1:]
        assert header.startswith(COLUMNS)
        assert further[-1:] == (["mvi_grade"] if cohort.exams else [])
        assert len(further) == (47 + 1 if cohort.exams else 0)
        table = rows(cohort.clinical)
        assert (len(table), cohort.patients) == (patients, patients)
        assert {row["simulated"] for row in table} == {"1"}
        assert {row["treatment"] for row in table} <= {"none", "sorafenib"}
        manifest = rows(cohort.manifest)
        assert len(manifest) == cohort.images
        assert {row["patient_id"] for row in manifest} == {row["patient_id"] for row in table}
        assert sorted(row["file"] for row in manifest) == sorted(p.name for p in cohort.slides.iterdir())
    assert {len([r for r in rows(delivery.internal.manifest) if r["patient_id"] == "P0001"])} <= {1, 2}


def test_everything_says_that_it_is_simulated(delivery: Delivery) -> None:
    about = json.loads((delivery.folder / "SIMULATED.json").read_text(encoding="utf-8"))
    assert about["simulated"] is True
    assert (about["preset"], about["seed"], about["parameters_version"]) == ("tiny", 7, 1)
    assert (about["pi"], about["gamma"], about["b_az"]) == (0.4, 1.0, -0.7)
    assert (delivery.folder / "README.txt").read_text(encoding="utf-8").startswith("SIMULATED DATA")


def test_internal_images_carry_their_scale(delivery: Delivery) -> None:
    suffixes = set()
    for row in rows(delivery.internal.manifest):
        path = delivery.internal.slides / row["file"]
        suffixes.add(path.suffix)
        assert row["mpp"] == "1.0"
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((192, 192), "RGB")
        if path.suffix == ".tif":
            with tifffile.TiffFile(path) as tiff:
                tags = tiff.pages[0].tags
                assert tags["ResolutionUnit"].value == 3  # centimetre
                assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == pytest.approx(10_000)
                assert "DateTime" not in tags and "Software" not in tags  # noqa: PT018
    assert suffixes == {".png", ".tif"}


def test_external_slides_are_pyramids_that_openslide_reads(delivery: Delivery) -> None:
    for row in rows(delivery.external.manifest):
        with openslide.OpenSlide(delivery.external.slides / row["file"]) as slide:
            assert slide.dimensions == (640, 640)
            assert slide.level_downsamples == (1.0, 2.0)
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
            level0 = np.asarray(slide.read_region((64, 64), 0, (256, 256)).convert("RGB"), float)
            level1 = np.asarray(slide.read_region((64, 64), 1, (128, 128)).convert("RGB"), float)
        assert np.abs(level0.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3)) - level1).max() <= 0.5 + 1e-6


def test_truth_covers_every_patient_image_and_patch(delivery: Delivery) -> None:
    patients, images, patches = (rows(delivery.truth / f"{name}.csv") for name in ("patients", "images", "patches"))
    assert (len(patients), len(images)) == (8, 11)
    assert {row["patient_id"] for row in images} == {row["patient_id"] for row in patients}
    internal = [row for row in patches if row["cohort"] == "internal"]
    assert len(internal) == 9 * 9
    assert len(patches) - len(internal) == 2 * 25
    assert {(int(row["x"]), int(row["y"])) for row in internal} == {
        (x, y) for x in (0, 64, 128) for y in (0, 64, 128)
    }
    assert max(int(row["x"]) for row in patches if row["cohort"] == "external") == 512
    kinds = {row["compartment"] for row in patches}
    assert kinds <= {"tumour", "stroma", "portal", "adjacent", "edge", "background"}
    assert {"tumour", "adjacent", "edge"} <= kinds
    nuclei = sum(float(r["nuclei_per_mm2"] or 0) * float(r["tissue_share"]) * 0.064**2 for r in internal)
    assert nuclei == pytest.approx(sum(int(r["nuclei"]) for r in images if r["cohort"] == "internal"), abs=2)


def test_truth_agrees_with_the_tables(delivery: Delivery) -> None:
    truth = {row["patient_id"]: row for row in rows(delivery.truth / "patients.csv")}
    for row in rows(delivery.internal.clinical):
        known = truth[f"internal/{row['patient_id']}"]
        assert float(row["recurrence_months"]) == float(known["recurrence_months"])
        assert row["recurrence_event"] == known["recurrence_event"]
        assert (row["treatment"] == "sorafenib") == (known["treated"] == "1")
        assert row["afp"] == "" or float(row["afp"]) == float(known["afp"])


def test_the_oracle_is_written_and_is_not_perfect(delivery: Delivery) -> None:
    written = json.loads((delivery.truth / "oracle.json").read_text(encoding="utf-8"))
    assert written == delivery.oracle
    ceiling = written["population"]["2_images"]
    assert 0.90 <= ceiling["auroc_signal_for_aggressive"] <= 0.93
    assert 0.5 < ceiling["auroc_signal_1y"] < ceiling["auroc_A_1y"] < 0.8


def test_same_seed_same_bytes_and_a_second_run_repairs(delivery: Delivery, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    simulate(folder, "tiny", 7, SMALL)
    expected = digests(delivery.folder)
    assert digests(folder) == expected
    (folder / "internal" / "clinical.csv").unlink()
    (folder / "internal" / "slides" / "P0002_1.png").write_bytes(b"half a file")
    simulate(folder, "tiny", 7, SMALL)
    assert digests(folder) == expected


def test_another_seed_gives_other_patients_and_pixels(delivery: Delivery, tmp_path: Path) -> None:
    other = simulate(tmp_path / "other", "tiny", 8, {"patients": 1, "images": 1, "external_patients": 1})
    assert rows(other.internal.clinical)[0] != rows(delivery.internal.clinical)[0]
    pixels = [np.asarray(Image.open(d.internal.slides / "P0001_1.png")) for d in (delivery, other)]
    assert not np.array_equal(*pixels)


def test_foreign_folders_are_refused_and_left_alone(delivery: Delivery, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        simulate(tmp_path, "tiny", 1, SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="another simulation"):
        simulate(delivery.folder, "tiny", 8, SMALL)
    with pytest.raises(InputError, match="is a file"):
        simulate(tmp_path / "notes.txt", "tiny", 1, SMALL)
    with pytest.raises(InputError, match="negative"):
        simulate(tmp_path / "new", "tiny", -1, SMALL)


def test_missing_values_come_at_about_their_rate() -> None:
    parameters = load_parameters("tiny", {"patients": 3000})
    table = clinical_rows(parameters, simulate_patients(parameters, 1), 1)
    for name in CLINICAL_COLUMNS:
        assert np.mean([row[name] == "" for row in table]) == pytest.approx(
            parameters.missing.get(name, 0.0), abs=0.008
        )
