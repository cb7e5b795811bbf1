"""Extraction end to end on the tiny cohort: identity, resumption, failures, leaks."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hccfeat.cohort.frozen import split_name
from hccfeat.config import load_recipe
from hccfeat.errors import ConfigError, FailureKind, InputError, LeakageError, StudyBusyError
from hccfeat.extraction.encoder import plan_training
from hccfeat.extraction.plan import sources
from hccfeat.extraction.provenance import hashed_id
from hccfeat.models.weights import read_metadata
from hccfeat.store.catalog import query, tables_equal
from hccfeat.store.committer import Committer
from hccfeat.study import open_study
from tests.conftest import delivered


def copy(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study, tmp_path / "copy"))


def digests(study: Path, feature_set: str = "pps-1") -> dict[str, str]:
    rows = query(study, "SELECT image_id, digest FROM shard WHERE feature_set = ?", [feature_set])
    return dict(rows.select("image_id", "digest").rows())


def test_every_readable_image_has_a_shard(extracted_study: Path) -> None:
    slides = "SELECT image_id FROM image WHERE status = 'ok' AND modality = 'slide'"
    images = query(extracted_study, slides)["image_id"]
    assert set(digests(extracted_study)) == set(images)
    assert open_study(extracted_study).verify(isolated=False) == []


def test_image_vectors_are_finite_and_differ(extracted_study: Path) -> None:
    frame = query(extracted_study, "SELECT mean, patches FROM image_vector_pps_1")
    assert frame.schema["mean"] == pl.Array(pl.Float32, 128)
    vectors = frame["mean"].to_numpy()
    assert (vectors >= 0).all()
    assert vectors.std(axis=0).max() > 0


def test_a_second_run_does_nothing(extracted_study: Path, tmp_path: Path) -> None:
    study = copy(extracted_study, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (study / "features").rglob("*.h5")}
    records = sorted((study / "records").rglob("*.json"))
    summary = open_study(study).extract()
    assert summary.nothing_done
    assert summary.already_done == len(before)
    assert before == {path: path.stat().st_mtime_ns for path in (study / "features").rglob("*.h5")}
    assert sorted((study / "records").rglob("*.json")) == records


def test_training_again_on_the_same_data_finds_the_encoder(extracted_study: Path, tmp_path: Path) -> None:
    summary = open_study(copy(extracted_study, tmp_path)).extract(train=True)
    assert summary.nothing_done
    assert summary.feature_sets == ["pps-1"]


def test_dry_run_changes_nothing(ingested_study: Path, tmp_path: Path) -> None:
    study = copy(ingested_study, tmp_path)
    before = sorted(study.rglob("*"))
    summary = open_study(study).extract(dry_run=True)
    assert summary.todo == len(sources(study))
    assert sorted(study.rglob("*")) == before


def test_the_encoder_has_seen_training_patients_only(extracted_study: Path) -> None:
    config = open_study(extracted_study).config
    rows = query(
        extracted_study,
        "SELECT f.role AS seen, s.role, p.treatment "
        "FROM feature_set_patient AS f JOIN patient AS p USING (patient_id) "
        "LEFT JOIN split AS s ON s.patient_id = f.patient_id AND s.split = ? WHERE f.feature_set = 'pps-1'",
        [split_name(config)],
    )
    assert rows.height > 0
    assert set(rows["role"]) == {"train"}
    assert set(rows["treatment"]) == {"none"}
    assert "trained" in set(rows["seen"])


def test_held_out_patients_cannot_train(ingested_study: Path) -> None:
    found = sources(ingested_study)
    ids = sorted({source.patient_id for source in found})[:8]
    candidates = pl.DataFrame(
        {
            "patient_id": ids,
            "relapsed": [True, False] * 4,
            "os_months": [float(i + 1) for i in range(8)],
            "died": [True] * 8,
        }
    )
    recipe = load_recipe("tiny")
    plan = plan_training(candidates, found, recipe, "cpu", set())
    assert plan.considered == ids
    with pytest.raises(LeakageError, match="1 held-out"):
        plan_training(candidates, found, recipe, "cpu", {ids[3]})


def test_training_identity_follows_recipe_labels_and_content(ingested_study: Path) -> None:
    found = sources(ingested_study)
    ids = sorted({source.patient_id for source in found})[:8]
    base = {"patient_id": ids, "os_months": [float(i + 1) for i in range(8)], "died": [True] * 8}
    candidates = pl.DataFrame({**base, "relapsed": [True, False] * 4})
    recipe = load_recipe("tiny")
    reference = plan_training(candidates, found, recipe, "cpu", set()).sha256
    swapped = pl.DataFrame({**base, "relapsed": [False, True] * 4})
    slower = recipe.model_copy(update={"training": recipe.training.model_copy(update={"learning_rate": 1e-5})})
    touched = [replace(found[0], quick_sha256="0" * 64), *found[1:]]
    others = [
        plan_training(swapped, found, recipe, "cpu", set()).sha256,
        plan_training(candidates, found, slower, "cpu", set()).sha256,
        plan_training(candidates, touched, recipe, "cpu", set()).sha256,
        plan_training(candidates, found, recipe, "cuda", set()).sha256,
    ]
    assert len({reference, *others}) == 5
    renamed = recipe.model_copy(update={"name": "other"})
    assert plan_training(candidates, found, renamed, "cpu", set()).sha256 == reference


def test_a_process_pool_writes_the_same_bytes(extracted_study: Path, tmp_path: Path) -> None:
    study = copy(extracted_study, tmp_path)
    wanted = digests(study)
    lost = sorted((study / "features").rglob("*.h5"))[:6]
    for path in lost:
        path.unlink()
    summary = open_study(study).extract(workers=2)
    assert summary.embedded == len(lost)
    assert digests(study) == wanted
    assert open_study(study).verify(isolated=False) == []


def test_one_bad_image_does_not_stop_the_others(ingested_study: Path, tmp_path: Path, tiny_hospital: Path) -> None:
    hospital = Path(shutil.copytree(tiny_hospital, tmp_path / "hospital"))
    study = copy(ingested_study, tmp_path)
    opened = open_study(study)
    folder = hospital / "internal"
    opened.ingest("internal", folder / "clinical.csv", **delivered(folder))
    victim = sources(study, ["internal"])[0]
    content = Path(victim.path).read_bytes()
    Path(victim.path).write_bytes(content[: len(content) // 2])
    summary = opened.extract()
    assert [failure.image_id for failure in summary.failures] == [victim.image_id]
    assert summary.failures[0].kind == FailureKind.UNREADABLE
    assert summary.embedded == len(sources(study)) - 1
    assert opened.status()["Failures"][0]["image_id"] == victim.image_id
    assert opened.verify(isolated=False) == []
    Path(victim.path).write_bytes(content)
    opened.ingest("internal", folder / "clinical.csv", **delivered(folder))
    again = opened.extract()
    assert again.embedded == 1
    assert opened.status()["Failures"] == []
    rebuilt = tmp_path / "before.duckdb"
    shutil.copy(study / "catalog.duckdb", rebuilt)
    assert tables_equal(rebuilt, opened.rebuild_catalog())


def test_given_weights_know_whom_they_have_seen(
    extracted_study: Path, ingested_study: Path, tmp_path: Path
) -> None:
    weights = extracted_study / "models" / "pps-1" / "weights.safetensors"
    seen = query(extracted_study, "SELECT DISTINCT patient_id FROM feature_set_patient")["patient_id"].to_list()
    assert sorted(read_metadata(weights)["seen_patients"]) == sorted(map(hashed_id, seen))
    study = copy(ingested_study, tmp_path)
    opened = open_study(study)
    summary = opened.extract(base="given", weights=weights, cohorts=("external",))
    assert summary.feature_sets == ["given-1"]
    assert summary.trained == []
    own = query(study, "SELECT DISTINCT patient_id FROM feature_set_patient WHERE feature_set = 'given-1'")
    assert sorted(own["patient_id"]) == sorted(seen)
    external = {name: value for name, value in digests(extracted_study).items() if name.startswith("external/")}
    assert digests(study, "given-1") == external
    assert opened.extract(base="given", weights=weights, cohorts=("external",)).nothing_done


def test_wrong_weights_are_refused(ingested_study: Path, tmp_path: Path) -> None:
    study = copy(ingested_study, tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        open_study(study).extract(weights=tmp_path / "none.safetensors")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not weights")
    with pytest.raises(Exception, match="safetensors"):
        open_study(study).extract(weights=bad)
    assert not (study / "features").exists() or not list((study / "features").rglob("*.h5"))


def test_wrong_requests_are_refused(ingested_study: Path, tmp_path: Path) -> None:
    opened = open_study(copy(ingested_study, tmp_path))
    with pytest.raises(InputError, match="no readable images"):
        opened.extract(cohorts=("nowhere",))
    with pytest.raises(InputError, match="frozen split"):
        opened.extract(folds=3)
    with pytest.raises(ConfigError, match="device"):
        opened.extract(device="abacus")


def test_a_second_writer_is_told_to_wait(ingested_study: Path, tmp_path: Path) -> None:
    study = copy(ingested_study, tmp_path)
    with Committer(study), pytest.raises(StudyBusyError, match="process"):
        open_study(study).extract()


def test_the_model_folder_says_how_it_was_trained(extracted_study: Path) -> None:
    facts = json.loads((extracted_study / "models" / "pps-1" / "recipe.json").read_text())
    assert facts["feature_set"] == "pps-1"
    assert facts["subset"] == "1/1"
    assert len(facts["history"]) == facts["stopped_epoch"] == 2
