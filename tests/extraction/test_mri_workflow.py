"""Extraction of MRI exams on the tiny cohort, beside its slides: identity, resumption, failures, leaks."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.cli import main
from hccfeat.cohort.frozen import split_name
from hccfeat.config import GRADES, MriRecipe, load_mri_recipe
from hccfeat.errors import AnalysisError, ConfigError, FailureKind, InputError, LeakageError, StoreError
from hccfeat.extraction import feature_sets, mri_training
from hccfeat.extraction.candidates import mri_candidates
from hccfeat.extraction.mri_training import plan_mri_training
from hccfeat.extraction.provenance import hashed_id
from hccfeat.extraction.volumes import ExamSource, exam_sources, exams_with_labels
from hccfeat.models.mri_base import MriNetwork
from hccfeat.models.weights import read_metadata
from hccfeat.store.catalog import query, tables_equal
from hccfeat.store.shards import read_shard
from hccfeat.study import init_study, open_study
from hccfeat.training.mri_predict import load_mri, predict_mri
from tests.extraction.exam_files import mri_only_study

RECIPE = load_mri_recipe("mri-tiny")
SETS = ("mri-1", "mri-pre-1", "mri-hbp-1")
ALSO = ("z_pre", "z_hbp")


def copy(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study, tmp_path / "copy"))


def digests(study: Path, feature_set: str) -> dict[str, str]:
    return dict(query(study, "SELECT image_id, digest FROM shard WHERE feature_set = ?", [feature_set]).rows())


def test_every_exam_has_one_vector_in_each_feature_set(mri_study: Path) -> None:
    exams = {source.exam_id for source in exam_sources(mri_study)}
    assert len(exams) == 24
    for name in SETS:
        assert set(digests(mri_study, name)) == exams
    rows = query(
        mri_study, "SELECT feature_set, dim, modality, output, encoder FROM feature_set WHERE base <> 'pps'"
    )
    assert {row[0]: row[1:] for row in rows.rows()} == {
        "mri-1": (2 * RECIPE.network.stream_dim, "mri", "embedding", "cmd_student"),
        "mri-pre-1": (RECIPE.network.stream_dim, "mri", "z_pre", "cmd_student"),
        "mri-hbp-1": (RECIPE.network.stream_dim, "mri", "z_hbp", "cmd_student"),
    }
    assert query(mri_study, "SELECT DISTINCT patches FROM shard WHERE feature_set LIKE 'mri%'").rows() == [(1,)]
    assert open_study(mri_study).verify(isolated=False) == []


def test_vectors_are_what_the_student_says_of_volumes_alone(mri_study: Path) -> None:
    exams = exams_with_labels(mri_study, exam_sources(mri_study), RECIPE, None)
    student = load_mri(mri_study / "models" / "mri-1" / "weights.safetensors")
    assert isinstance(student, MriNetwork)
    prediction = predict_mri(student, exams)
    expected = {
        "mri-1": prediction.embedding,
        "mri-pre-1": prediction.streams[:, 0],
        "mri-hbp-1": prediction.streams[:, 1],
    }
    for name, vectors in expected.items():
        table = f"image_vector_{name.replace('-', '_')}"
        stored = query(mri_study, f"SELECT image_id, patient_id, mean FROM {table} ORDER BY image_id")
        assert stored["patient_id"].to_list() == [exam.patient_id for exam in exams]
        np.testing.assert_allclose(stored["mean"].to_numpy(), vectors, rtol=1e-4, atol=1e-5)
        assert stored["mean"].to_numpy().std(axis=0).max() > 0


def test_a_shard_says_how_it_was_made(mri_study: Path) -> None:
    path = mri_study / query(mri_study, "SELECT path FROM shard WHERE feature_set = 'mri-hbp-1'")["path"][0]
    shard = read_shard(path)
    assert shard.vectors.shape == (1, RECIPE.network.stream_dim)
    assert shard.coords.tolist() == [[0, 0]]
    attributes = dict(shard.attributes)
    assert (attributes["modality"], attributes["output"], attributes["status"]) == ("mri", "z_hbp", "ok")
    assert (attributes["centred_on_pre"], attributes["centred_on_hbp"]) == ("lesion", "lesion")
    assert attributes["spacing_z_mm"] == RECIPE.volumes.spacing_mm[0]
    assert attributes["preprocessing_sha256"] == RECIPE.preprocessing_sha256()
    weights = query(mri_study, "SELECT weights_sha256 FROM feature_set WHERE feature_set = 'mri-1'").item()
    assert attributes["weights_sha256"] == weights


def test_sql_finds_mri_vectors_beside_pps(mri_study: Path) -> None:
    study = open_study(mri_study)
    frame = study.sql("pps_and_mri_by_mvi_grade")
    both = query(
        mri_study,
        "SELECT patient_id FROM patient_vector_pps_1 INTERSECT SELECT patient_id FROM patient_vector_mri_1",
    )
    assert frame["patient_id"].to_list() == sorted(both["patient_id"])
    assert frame.height >= 20
    assert set(frame["mvi_grade"]) == set(GRADES)
    assert frame.schema["pps"] == pl.Array(pl.Float32, 128)
    assert frame.schema["mri"] == pl.Array(pl.Float32, 2 * RECIPE.network.stream_dim)
    row = frame.row(0, named=True)
    shard = query(mri_study, "SELECT path FROM shard WHERE image_id = ? AND feature_set = 'mri-1'",
                  [f"{row['patient_id']}-mri"])  # fmt: skip
    np.testing.assert_array_equal(row["mri"], read_shard(mri_study / shard["path"][0]).vectors[0])
    ids = study.sql("SELECT image_id FROM image_mri UNION ALL SELECT image_id FROM image_mri_hbp")["image_id"]
    assert ids.n_unique() * 2 == len(ids) == 48
    covered = study.sql("SELECT feature_set, sum(images)::INT AS n FROM coverage GROUP BY ALL ORDER BY ALL").rows()
    slides = query(mri_study, "SELECT count(*) FROM image WHERE modality = 'slide'").item()
    assert covered == [("mri-1", 24), ("mri-hbp-1", 24), ("mri-pre-1", 24), ("pps-1", slides)]


def test_a_second_run_does_nothing(mri_study: Path, tmp_path: Path) -> None:
    study = copy(mri_study, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*.h5")}
    records = sorted((study / "records").rglob("*.json"))
    opened = open_study(study)
    summary = opened.extract(modality="mri", also=ALSO, device="cpu")
    assert summary.nothing_done
    assert summary.already_done == 72
    assert opened.extract(modality="mri", train=True, device="cpu").nothing_done
    assert before == {path: path.stat().st_mtime_ns for path in study.rglob("*.h5")}
    assert sorted((study / "records").rglob("*.json")) == records


def test_networks_have_seen_training_patients_only(mri_study: Path) -> None:
    config = open_study(mri_study).config
    rows = query(
        mri_study,
        "SELECT f.feature_set, f.patient_id, f.role AS seen, s.role FROM feature_set_patient AS f "
        "LEFT JOIN split AS s ON s.patient_id = f.patient_id AND s.split = ? WHERE f.feature_set LIKE 'mri%'",
        [split_name(config)],
    )
    assert set(rows["role"]) == {"train"}
    assert set(rows["seen"]) == {"trained"}
    seen = {str(name): set(frame["patient_id"]) for (name,), frame in rows.group_by("feature_set")}
    assert set(seen) == set(SETS)
    assert seen["mri-1"] == seen["mri-pre-1"] == seen["mri-hbp-1"]
    hashed = sorted(map(hashed_id, seen["mri-1"]))
    for name in ("weights", "teacher"):
        metadata = read_metadata(mri_study / "models" / "mri-1" / f"{name}.safetensors")
        assert metadata["seen_patients"] == hashed
        assert metadata["simulated"] is True
    models = set(open_study(mri_study).sql("SELECT model FROM model_file")["model"])
    assert {"mri-1", "mri-1-teacher", "mri-pre-1", "mri-hbp-1"} <= models
    facts = json.loads((mri_study / "models" / "mri-1" / "recipe.json").read_text())
    assert facts["exams"] == len(seen["mri-1"])
    assert len(facts["history"]) == len(facts["teacher_history"]) == RECIPE.training.epochs


def test_given_weights_know_whom_they_have_seen(mri_study: Path, ingested_study: Path, tmp_path: Path) -> None:
    study = copy(ingested_study, tmp_path)
    opened = open_study(study)
    folder = mri_study / "models" / "mri-1"
    summary = opened.extract(modality="mri", base="given", weights=folder / "weights.safetensors", device="cpu")
    assert (summary.feature_sets, summary.trained) == (["given-1"], [])
    assert digests(study, "given-1") == digests(mri_study, "mri-1")
    seen = "SELECT patient_id FROM feature_set_patient WHERE feature_set = ? ORDER BY ALL"
    assert query(study, seen, ["given-1"]).rows() == query(mri_study, seen, ["mri-1"]).rows()
    assert opened.extract(modality="mri", base="given", device="cpu").nothing_done
    with pytest.raises(ConfigError, match="needs clinical items"):
        opened.extract(modality="mri", base="other", weights=folder / "teacher.safetensors", device="cpu")
    slides = mri_study / "models" / "pps-1" / "weights.safetensors"
    with pytest.raises(StoreError, match="no network of MRI"):
        opened.extract(modality="mri", base="other", weights=slides, device="cpu")
    with pytest.raises(ConfigError, match="--modality mri"):
        opened.extract(base="other", weights=folder / "weights.safetensors", device="cpu")


def test_one_bad_exam_does_not_stop_the_others(mri_study: Path, tiny_hospital: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_hospital / "internal", tmp_path / "internal"))
    opened = init_study(tmp_path / "study", name="bad", mri_recipe="mri-tiny")
    opened.ingest("internal", folder / "clinical.csv", mri=folder / "mri", mri_manifest=folder / "mri_manifest.csv")
    victim = exam_sources(opened.folder)[3]
    hbp = victim.volumes[1].path
    content = hbp.read_bytes()
    hbp.write_bytes(content[: len(content) // 2])
    weights = mri_study / "models" / "mri-1" / "weights.safetensors"
    summary = opened.extract(modality="mri", weights=weights, device="cpu")
    assert [failure.image_id for failure in summary.failures] == [victim.exam_id]
    assert summary.failures[0].kind == FailureKind.UNREADABLE
    assert summary.embedded == 23
    assert opened.status()["Failures"][0]["image_id"] == victim.exam_id
    hbp.write_bytes(content)
    opened.ingest("internal", folder / "clinical.csv", mri=folder / "mri", mri_manifest=folder / "mri_manifest.csv")
    again = opened.extract(modality="mri", device="cpu")
    assert (again.embedded, again.already_done, again.failures) == (1, 23, [])
    assert opened.status()["Failures"] == []
    assert digests(opened.folder, "mri-1") == digests(mri_study, "mri-1")
    assert opened.verify(isolated=False) == []
    before = shutil.copy(opened.folder / "catalog.duckdb", tmp_path / "before.duckdb")
    assert tables_equal(before, opened.rebuild_catalog())


def candidates_of(sources: list[ExamSource]) -> pl.DataFrame:
    ids = [source.patient_id for source in sources[:9]]
    return pl.DataFrame({"patient_id": ids, "grade": list(GRADES) * 3})


def changed(recipe: MriRecipe, part: str, **fields: object) -> MriRecipe:
    return recipe.model_copy(update={part: getattr(recipe, part).model_copy(update=fields)})


def test_held_out_patients_cannot_train(ingested_study: Path) -> None:
    found = exam_sources(ingested_study)
    candidates = candidates_of(found)
    plan = plan_mri_training(ingested_study, candidates, found, RECIPE, "cpu", set())
    assert [source.patient_id for source in plan.sources] == sorted(candidates["patient_id"])
    with pytest.raises(LeakageError, match="1 held-out"):
        plan_mri_training(ingested_study, candidates, found, RECIPE, "cpu", {candidates["patient_id"][4]})
    with pytest.raises(AnalysisError, match="MVI grade M2: has 1"):
        plan_mri_training(ingested_study, candidates[:5], found, RECIPE, "cpu", set())


def test_the_identity_of_a_training(ingested_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = copy(ingested_study, tmp_path)
    found = exam_sources(study)
    candidates = candidates_of(found)

    def identity(recipe: MriRecipe = RECIPE, sources: list[ExamSource] = found, **grades: str) -> str:
        named = candidates.with_columns(pl.col("grade").replace(grades)) if grades else candidates
        return plan_mri_training(study, named, sources, recipe, "cpu", set()).sha256

    reference = identity()
    other = ExamSource(**{**vars(found[0]), "quick_sha256": "0" * 64})
    others = [
        identity(changed(RECIPE, "training", epochs=3)),
        identity(changed(RECIPE, "volumes", clip_sd=3.0)),
        identity(changed(RECIPE, "network", hidden=16)),
        identity(sources=[other, *found[1:]]),
        identity(M0="M1", M1="M0"),
    ]
    assert len({reference, *others}) == 6
    assert identity(RECIPE.model_copy(update={"name": "other"})) == reference
    monkeypatch.setattr(mri_training, "clinical_items", lambda study, ids, items: np.full((len(ids), 52), np.nan))
    assert identity() not in {reference, *others}


def test_a_fold_is_not_seen(mri_study: Path) -> None:
    config = open_study(mri_study).config

    def ask(sql: str, params: list) -> pl.DataFrame:
        return query(mri_study, sql, params)

    everyone, held_out = mri_candidates(config, ask)
    inside, unseen = mri_candidates(config, ask, fold=2)
    folds = dict(query(mri_study, "SELECT patient_id, fold FROM split").rows())
    assert set(inside["patient_id"]) == {patient for patient in everyone["patient_id"] if folds[patient] != 2}
    assert unseen - held_out == {patient for patient, fold in folds.items() if fold == 2}
    assert {folds[patient] for patient in held_out} == {None}


def test_dry_run_changes_nothing(ingested_study: Path, tmp_path: Path) -> None:
    study = copy(ingested_study, tmp_path)
    before = sorted(study.rglob("*"))
    assert open_study(study).extract(modality="mri", also=ALSO, dry_run=True).todo == 3 * 24
    assert sorted(study.rglob("*")) == before


def test_wrong_requests_are_refused(mri_study: Path, tmp_path: Path) -> None:
    opened = open_study(copy(mri_study, tmp_path))
    with pytest.raises(InputError, match="no readable MRI exams"):
        opened.extract(modality="mri", cohorts=("external",))
    with pytest.raises(InputError, match="--devices 2"):
        opened.extract(modality="mri", devices=2)
    with pytest.raises(InputError, match="--also z_art"):
        opened.extract(modality="mri", also=("z_art",))
    with pytest.raises(InputError, match="--also z_pre"):
        opened.extract(also=("z_pre",))
    with pytest.raises(InputError, match="is a feature set of modality slide"):
        opened.extract(modality="mri", base="pps")
    with pytest.raises(InputError, match="is a feature set of modality mri"):
        opened.extract(base="mri")
    with pytest.raises(InputError, match="--modality ct"):
        opened.extract(modality="ct")


def test_the_command_line(mri_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = str(copy(mri_study, tmp_path))
    assert main(["extract", "--study", study, "--modality", "mri", "--also", "z_pre", "--device", "cpu"]) == 0
    assert "Nothing to do: mri-1, mri-pre-1 has all 48 exams" in " ".join(capsys.readouterr().out.split())
    assert main(["extract", "--study", study, "--modality", "mri", "--devices", "2"]) == 1
    assert "is for slides" in capsys.readouterr().err
    assert main(["status", "--study", study, "--json"]) == 0
    sections = json.loads(capsys.readouterr().out)
    assert {row["cohort"]: row["exams"] for row in sections["Cohorts"]} == {"internal": 24, "external": 0}
    assert {row["feature_set"]: row["modality"] for row in sections["Feature sets"]} == {
        "pps-1": "slide",
        **dict.fromkeys(SETS, "mri"),
    }


def test_recipes_come_back_from_the_catalog(mri_study: Path) -> None:
    mri, pps = feature_sets.newest(mri_study, "mri"), feature_sets.newest(mri_study, "pps")
    assert mri is not None
    assert pps is not None
    assert (mri.modality, mri.mri_recipe) == ("mri", RECIPE)
    assert (pps.modality, pps.slide_recipe.name) == ("slide", "tiny")
    with pytest.raises(InputError, match="of MRI exams"):
        _ = mri.slide_recipe
    with pytest.raises(InputError, match="of slides"):
        _ = pps.mri_recipe


def test_a_study_of_exams_alone_is_split_on_the_grade(tmp_path: Path) -> None:
    opened = mri_only_study(tmp_path, [f"P{number:02d}" for number in range(15)])
    assert opened.ingest("liver", tmp_path / "clinical.csv", mri=tmp_path / "mri").problems == []
    summary = opened.extract(modality="mri", device="cpu")
    assert (summary.trained, summary.embedded, summary.failures) == (["mri-1"], 15, [])
    rows = opened.sql(
        "SELECT s.role, c.mvi_grade, count(*)::INT AS n, count(f.patient_id)::INT AS seen FROM split AS s "
        "JOIN patient_clinical AS c USING (patient_id) LEFT JOIN feature_set_patient AS f USING (patient_id) "
        "GROUP BY ALL ORDER BY ALL"
    )
    assert rows.rows() == [
        *(("test", grade, 1, 0) for grade in GRADES),
        *(("train", grade, 4, 4) for grade in GRADES),
    ]
    assert opened.sql("SELECT count(*) FROM patient_pps").item() == 0
