"""Prepared volumes: made once per recipe and content, kept whole, and joined with grades and items."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from hccfeat.cohort.items import ItemSet
from hccfeat.config import GRADES, MriRecipe, load_mri_recipe
from hccfeat.errors import FailureKind, HccfeatError, VolumeError
from hccfeat.extraction import volume_cache, volumes
from hccfeat.extraction.outcomes import Failure, Outcome
from hccfeat.extraction.volumes import (
    ExamSource,
    exam_sources,
    exams_with_labels,
    load_prepared,
    prepare_exams,
    prepared_paths,
)
from tests.extraction.exam_files import mri_only_study, write_mask

PATIENTS = ["A 1", "B", "C"]
RECIPE = load_mri_recipe("mri-tiny")
ITEMS = ItemSet(name="two", items=("age", "sex"))


@pytest.fixture(scope="module")
def read_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    study = mri_only_study(folder, PATIENTS)
    study.ingest("liver", folder / "clinical.csv", mri=folder / "mri")
    prepare_exams(study.folder, exam_sources(study.folder), RECIPE)
    return study.folder


@pytest.fixture
def study(read_study: Path, tmp_path: Path) -> Path:
    """A study of its own, prepared; its files stay where they were."""
    return Path(shutil.copytree(read_study, tmp_path / "study"))


@pytest.fixture
def prepared_now(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Entities of volumes that are prepared during a test."""
    made: list[str] = []
    prepare = volume_cache.prepare_volume

    def watched(volume, crop, recipe, entity):
        made.append(entity)
        return prepare(volume, crop, recipe, entity)

    monkeypatch.setattr(volume_cache, "prepare_volume", watched)
    return made


def moved(recipe: MriRecipe, **fields: object) -> MriRecipe:
    return recipe.model_copy(update={"volumes": recipe.volumes.model_copy(update=fields)})


def test_prepared_volumes_are_kept(study: Path, prepared_now: list[str]) -> None:
    first = exam_sources(study)[0]
    pre, hbp = prepared_paths(study, first, RECIPE)
    key = RECIPE.preprocessing_sha256()
    assert pre.parent == study / ".hccfeat" / "volumes" / key[:16] / "liver"
    assert pre.name == f"A 1-mri-pre-{first.volumes[0].quick_sha256[:16]}.npy"
    assert pre != hbp
    array = np.load(pre, allow_pickle=False)
    assert array.shape == RECIPE.volumes.shape
    assert array.dtype == np.float32
    assert prepared_now == []
    assert (
        (study / "results" / "volumes" / key[:8] / "liver" / "A 1-mri-hbp.png").read_bytes().startswith(b"\x89PNG")
    )


def test_facts_are_read_back(study: Path) -> None:
    pre, _ = prepared_paths(study, exam_sources(study)[0], RECIPE)
    found = load_prepared(pre)
    assert found.centred_on == "body"
    assert found.affine.shape == (4, 4)
    assert np.allclose(np.linalg.norm(found.affine[:3, :3], axis=0), RECIPE.volumes.spacing_mm[::-1])
    assert (found.facts.shape, found.facts.acquired_s) == ((40, 36, 20), None)
    np.testing.assert_array_equal(found.array, np.load(pre))


def test_another_preprocessing_is_another_volume_and_another_training_is_not(
    study: Path, prepared_now: list[str]
) -> None:
    source = exam_sources(study)[0]
    renamed = RECIPE.model_copy(
        update={"name": "other", "training": RECIPE.training.model_copy(update={"epochs": 9})}
    )
    assert prepared_paths(study, source, renamed) == prepared_paths(study, source, RECIPE)
    assert prepared_now == []
    other = prepared_paths(study, source, moved(RECIPE, clip_sd=2.0))
    assert prepared_now == ["liver/A 1-mri PRE", "liver/A 1-mri HBP"]
    assert set(other).isdisjoint(prepared_paths(study, source, RECIPE))


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "no facts", "facts not JSON", "gone"])
def test_a_damaged_entry_is_made_again(study: Path, prepared_now: list[str], damage: str) -> None:
    source = exam_sources(study)[1]
    pre, _ = prepared_paths(study, source, RECIPE)
    content = pre.read_bytes()
    facts = pre.with_suffix(".json")
    if damage == "truncated":
        pre.write_bytes(content[:-8])
    elif damage == "other bytes":
        pre.write_bytes(content[:-4] + b"\0\0\0\1")
    elif damage == "no facts":
        facts.unlink()
    elif damage == "facts not JSON":
        facts.write_text(facts.read_text()[:-9])
    else:
        pre.unlink()
    assert prepared_paths(study, source, RECIPE)[0] == pre
    assert prepared_now == ["liver/B-mri PRE"]
    assert pre.read_bytes() == content
    assert json.loads(facts.read_text())["centred_on"] == "body"


def test_volumes_need_not_be_there_once_they_are_prepared(study: Path, tmp_path: Path) -> None:
    source = exam_sources(study)[0]
    gone = ExamSource(**{**vars(source), "volumes": tuple(away(volume) for volume in source.volumes)})
    assert prepared_paths(study, gone, RECIPE) == prepared_paths(study, source, RECIPE)
    with pytest.raises(VolumeError):
        prepared_paths(study, gone, moved(RECIPE, clip_sd=3.0))


def away(volume):
    return type(volume)(**{**vars(volume), "path": volume.path.with_name("gone.nii.gz")})


def test_a_changed_file_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    opened = mri_only_study(tmp_path, PATIENTS)
    opened.ingest("liver", tmp_path / "clinical.csv", mri=tmp_path / "mri")
    study = opened.folder
    write_mask(tmp_path / "mri" / "B" / "HBP.nii.gz")
    failed: list[tuple[str, HccfeatError]] = []
    exams = exams_with_labels(
        study, exam_sources(study), RECIPE, ITEMS, lambda source, error: failed.append((source.exam_id, error))
    )
    assert [exam.exam_id for exam in exams] == ["liver/A 1-mri", "liver/C-mri"]
    assert [(name, error.kind) for name, error in failed] == [("liver/B-mri", FailureKind.UNREADABLE)]
    assert "changed since it was ingested" in str(failed[0][1])
    with pytest.raises(VolumeError, match="changed"):
        prepare_exams(study, exam_sources(study), RECIPE)


def test_a_full_disk_is_a_failure_of_that_exam(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, write: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(volume_cache, "write_atomically", full)
    with pytest.raises(VolumeError) as caught:
        prepare_exams(study, exam_sources(study), moved(RECIPE, clip_sd=4.0))
    assert caught.value.kind == FailureKind.DISK_FULL


def test_workers_prepare_what_the_parent_then_finds(
    study: Path, monkeypatch: pytest.MonkeyPatch, prepared_now: list[str]
) -> None:
    sources = exam_sources(study)
    wanted = [path.read_bytes() for _, paths in prepare_exams(study, sources, RECIPE) for path in paths]
    shutil.rmtree(study / ".hccfeat" / "volumes")

    def as_a_pool_would(work, tasks, workers):
        """Through pickles, as to other processes; the second task kills its worker."""
        assert workers == 2
        for place, task in enumerate(tasks):
            if place == 1:
                failure = Failure(task.image_id, FailureKind.WORKER_LOST, "died")
                yield Outcome(task.image_id, None, failure)
            else:
                yield pickle.loads(pickle.dumps(work))(pickle.loads(pickle.dumps(task)))  # noqa: S301
                assert len(prepared_now) == 2 * (1 + place - (place > 1))

    monkeypatch.setattr(volumes, "run_tasks", as_a_pool_would)
    failed: list[HccfeatError] = []
    again = prepare_exams(study, sources, RECIPE, lambda source, error: failed.append(error), workers=2)
    assert [source.exam_id for source, _ in again] == ["liver/A 1-mri", "liver/C-mri"]
    assert [path.read_bytes() for _, paths in again for path in paths] == wanted[:2] + wanted[4:]
    assert len(prepared_now) == 4
    assert [(error.entity, error.kind) for error in failed] == [("liver/B-mri", FailureKind.WORKER_LOST)]


def test_grades_and_items_follow_their_patients(study: Path) -> None:
    sources = exam_sources(study)
    exams = exams_with_labels(study, sources[::-1], RECIPE, ITEMS)
    assert [exam.exam_id for exam in exams] == ["liver/C-mri", "liver/B-mri", "liver/A 1-mri"]
    assert [exam.label for exam in exams] == [GRADES.index(grade) for grade in ("M2", "M1", "M0")]
    assert [exam.clinical[0] for exam in exams] == [42.0, 41.0, 40.0]
    assert exams[0].volumes == prepared_paths(study, sources[2], RECIPE)
    without = exams_with_labels(study, sources, RECIPE, None)
    assert all(exam.clinical is None for exam in without)


def test_cohorts_can_be_chosen(study: Path) -> None:
    assert exam_sources(study, ["elsewhere"]) == []
    assert exam_sources(study, ["liver"]) == exam_sources(study)
