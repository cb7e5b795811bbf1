"""Every worked query runs: on a full study with the right answers, on an empty and on a clinical-only one."""

import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.store.catalog import rebuild, table_differences
from hccfeat.store.committer import Committer
from hccfeat.store.session import run_sql
from hccfeat.store.statements import named_queries, named_query
from hccfeat.store.verify import verify
from tests.store.builder import add_mri, cohort_tables, publish_shards

COOKBOOK = Path(__file__).resolve().parents[2] / "docs" / "sql-cookbook.md"
NAMES = list(named_queries())


def ask(study: Path, name: str) -> pl.DataFrame:
    return run_sql(study, named_query(name))


@pytest.fixture(scope="module")
def bare_studies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    empty, clinical = (tmp_path_factory.mktemp(name) for name in ("empty", "clinical"))
    with Committer(empty):
        pass
    with Committer(clinical) as committer:
        tables = cohort_tables(images=0)
        other = [{"patient_id": row["patient_id"], "stage": 1.0, "bclc": 2.0} for row in tables["patient"]]
        rows = {name: tables[name] for name in ("cohort", "patient", "outcome")}
        columns = {"stage": "DOUBLE", "bclc": "DOUBLE"}
        committer.record("ingest", "li", {**rows, "clinical": other}, about={"clinical_columns": columns})
    return [empty, clinical]


@pytest.fixture(scope="module")
def mixed_study(tmp_path_factory: pytest.TempPathFactory, read_study: Path) -> Path:
    """The study of slides with MRI exams of other patients, one of whom has a slide too."""
    study = Path(shutil.copytree(read_study, tmp_path_factory.mktemp("mixed") / "study"))
    with Committer(study) as committer:
        add_mri(committer, study)
        slide = {"image_id": "external/P001_1", "patient_id": "external/P001", "cohort": "external", "status": "ok"}
        committer.record("ingest", "slide", {"image": [slide]})
        committer.adopt(publish_shards(study, ["external/P001_1"]))
    return study


@pytest.mark.parametrize("name", NAMES)
def test_runs_on_every_study(mixed_study: Path, bare_studies: list[Path], name: str) -> None:
    full = ask(mixed_study, name)
    assert full.height > 0 or name == "patients_without_embeddings"
    assert not [column for column in full.columns if full[column].dtype == pl.Null]
    for study in bare_studies:
        assert ask(study, name).columns == full.columns


def test_mean_pps_by_bclc(read_study: Path) -> None:
    frame = ask(read_study, "mean_pps_by_bclc")
    assert frame["bclc"].to_list() == ["0", "A", "B", "not recorded"]
    assert frame["patients"].to_list() == [2, 1, 1, 1]
    vectors = run_sql(
        read_study, "SELECT mean FROM patient_pps WHERE patient_id IN ('internal/P000', 'internal/P004')"
    )
    expected = vectors["mean"].to_numpy().mean(axis=0)
    np.testing.assert_allclose(np.array(frame["mean_pps"][0]), expected, rtol=1e-5)
    np.testing.assert_allclose(frame["mean_of_dimensions"][0], expected.mean(), rtol=1e-4)


def test_nearest_images(read_study: Path) -> None:
    frame = ask(read_study, "nearest_images")
    images = run_sql(read_study, "SELECT image_id, mean FROM image_pps ORDER BY image_id")
    vectors = images["mean"].to_numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-(unit[1:] @ unit[0]))
    assert frame["image_id"].to_list() == [images["image_id"][int(i) + 1] for i in order]
    assert frame["given_image"].unique().to_list() == ["internal/P000_1"]


def test_patients_without_embeddings(study: Path) -> None:
    with Committer(study) as committer:
        tables = cohort_tables("external", patients=3, images=1)
        tables["image"] = tables["image"][:2]
        tables["image"][1] |= {"status": "no_mpp", "reason": "no resolution"}
        tables["clinical"] = []
        committer.record("ingest", "external", tables)
        row = {"feature_set": "pps-1", "image_id": "external/P000_1", "kind": "timeout", "message": "slow"}
        committer.record("runs", "x", {"extraction_failure": [row]})
    frame = ask(study, "patients_without_embeddings")
    assert dict(frame.select("patient_id", "reason").rows()) == {
        "external/P000": "extraction failed: timeout",
        "external/P001": "image unusable: no_mpp",
        "external/P002": "no image",
    }


def test_coverage_by_cohort(read_study: Path) -> None:
    row = ask(read_study, "coverage_by_cohort").to_dicts()[0]
    assert (row["patients"], row["images"], row["embedded"], row["excluded"], row["missing"]) == (5, 10, 9, 1, 0)
    assert row["percent_embedded"] == 90.0


def test_each_feature_set_covers_the_images_of_its_modality(mixed_study: Path) -> None:
    rows = {(row["cohort"], row["feature_set"]): row for row in ask(mixed_study, "coverage_by_cohort").to_dicts()}
    counts = ("modality", "images", "embedded", "missing")
    assert set(rows) == {("internal", "pps-1"), ("external", "pps-1"), ("external", "mri-1")}
    assert tuple(rows["internal", "pps-1"][name] for name in counts) == ("slide", 10, 9, 0)
    assert tuple(rows["external", "pps-1"][name] for name in counts) == ("slide", 1, 1, 0)
    assert tuple(rows["external", "mri-1"][name] for name in counts) == ("mri", 3, 2, 1)


def test_questions_about_slides_pass_exams_over(mixed_study: Path) -> None:
    patients = dict(ask(mixed_study, "patients_without_embeddings").select("patient_id", "reason").rows())
    assert patients == {"external/P000": "no image", "external/P002": "no image"}
    assert ask(mixed_study, "skipped_patches")["feature_set"].unique().to_list() == ["pps-1"]
    assert ask(mixed_study, "stain_vectors")["feature_set"].unique().to_list() == ["pps-1"]


def test_pps_and_mri_side_by_side(mixed_study: Path) -> None:
    frame = ask(mixed_study, "pps_and_mri_by_mvi_grade")
    assert frame.select("patient_id", "mvi_grade", "pps_feature_set", "mri_feature_set").rows() == [
        ("external/P001", "M2", "pps-1", "mri-1")
    ]
    for column, table in (("pps", "patient_pps"), ("mri", "patient_mri")):
        alone = run_sql(mixed_study, f"SELECT mean FROM {table} WHERE patient_id = 'external/P001'")
        np.testing.assert_array_equal(frame[column].to_numpy(), alone["mean"].to_numpy())


def test_odd_volumes(mixed_study: Path) -> None:
    frame = ask(mixed_study, "odd_volumes")
    assert frame.select("image_id", "phase", "oddity").rows() == [
        ("external/P000-mri", "pre", "other spacing along the third axis than the cohort")
    ]


def test_a_study_of_both_modalities_is_made_again_with_equal_tables(mixed_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(mixed_study, tmp_path / "study"))
    assert verify(study, isolated=False) == []
    before = shutil.copy(study / "catalog.duckdb", tmp_path / "before.duckdb")
    assert table_differences(before, rebuild(study)) == []


def test_ingesting_a_cohort_again_replaces_its_volumes(mixed_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(mixed_study, tmp_path / "study"))
    tables = {**cohort_tables("external", patients=3, images=0), "image": [], "volume": []}
    with Committer(study) as committer:
        committer.record("ingest", "external", tables, replaces={name: {"cohort": "external"} for name in tables})
    assert run_sql(study, "SELECT count(*) AS n FROM volume")["n"].item() == 0
    assert run_sql(study, "SELECT count(*) AS n FROM patient_mri")["n"].item() == 0


def test_skipped_patches(read_study: Path) -> None:
    row = ask(read_study, "skipped_patches").to_dicts()[0]
    assert (row["usable"], row["background"], row["blurred"], row["excluded_images"]) == (54, 20, 10, 1)


def test_recurrence_by_vascular_invasion(read_study: Path) -> None:
    frame = ask(read_study, "recurrence_by_vascular_invasion")
    assert dict(frame.select("vascular_invasion", "recurrences").rows()) == {"false": 2, "true": 1}
    assert dict(frame.select("vascular_invasion", "patients").rows()) == {"false": 3, "true": 2}


def test_results_of_the_latest_run(study: Path) -> None:
    from tests.store.builder import add_results

    with Committer(study) as committer:
        add_results(committer, "analyze-0")
    assert run_sql(study, "SELECT DISTINCT run_id FROM latest_metric")["run_id"].to_list() == ["analyze-1"]
    assert ask(study, "latest_hazard_ratios")["hr"].to_list() == [1.9]
    groups = ask(study, "latest_groups")
    assert groups.select("item", "level", "estimate").rows() == [("sex", "female", 0.6), ("sex", "male", 0.6)]
    row = ask(study, "apparent_vs_held_out").to_dicts()[0]
    assert (row["apparent"], row["held_out"], round(row["optimism"], 6)) == (0.81, 0.7, 0.11)
    assert ask(study, "highest_risks")["risk"].to_list() == [0.2, 0.1, 0.0]


def test_missing_clinical_values(read_study: Path) -> None:
    frame = ask(read_study, "missing_clinical_values")
    missing = dict(frame.select("variable", "missing").rows())
    assert (missing["afp"], missing["alt"], missing["age"], missing["bclc"]) == (1, 1, 0, 1)


def test_patients_seen_by_encoders(read_study: Path) -> None:
    assert ask(read_study, "patients_seen_by_encoders").rows() == [("pps-1", "trained", "frozen", "train", 1)]


def test_stain_vectors(read_study: Path) -> None:
    row = ask(read_study, "stain_vectors").to_dicts()[0]
    assert (row["images"], row["h_red"], row["e_green"], row["fits_not_accepted"]) == (10, 0.56, 0.8, 0)


def test_the_cookbook_names_every_worked_query() -> None:
    text = COOKBOOK.read_text(encoding="utf-8")
    assert not [name for name in NAMES if f"`{name}`" not in text]


@pytest.mark.parametrize("number", range(len(re.findall(r"```sql\n(.*?)```", COOKBOOK.read_text(), re.DOTALL))))
def test_every_statement_of_the_cookbook_runs(read_study: Path, bare_studies: list[Path], number: int) -> None:
    statement = re.findall(r"```sql\n(.*?)```", COOKBOOK.read_text(encoding="utf-8"), re.DOTALL)[number]
    for study in (read_study, *bare_studies):
        run_sql(study, statement)
