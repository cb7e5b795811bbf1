"""Cells of paper 2's study: kept as files, found again after a kill, equal for any number of workers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hccfeat.config import MriRecipe, load_mri_recipe
from hccfeat.errors import AnalysisError, LeakageError, StoreError
from hccfeat.models.weights import read_metadata
from hccfeat.reproduction.mvi import cell, cells
from hccfeat.reproduction.mvi.cell import CellTask, cell_identity, cell_path, make_cell
from hccfeat.reproduction.mvi.cells import Cohort, plan_cells, run_cells
from hccfeat.training.mri_data import Exam
from hccfeat.training.mri_methods import METHODS, OURS, TEACHER

NAMES = ("3DCNN", OURS, TEACHER, "S-pre")


def recipe() -> MriRecipe:
    """The tiny recipe in float32, which is exact on every processor."""
    found = load_mri_recipe("mri-tiny")
    return found.model_copy(update={"training": found.training.model_copy(update={"precision": "float32"})})


def cohort(n: int = 12) -> Cohort:
    generator = np.random.default_rng(1)
    shape = recipe().volumes.shape
    labels = np.arange(n) % 3
    exams = tuple(
        Exam(
            f"c/{i:02}-mri",
            f"c/{i:02}",
            int(labels[i]),
            (generator.normal(size=shape).astype(np.float32), generator.normal(size=shape).astype(np.float32)),
            generator.normal(size=5),
        )
        for i in range(n)
    )
    return Cohort("c", exams, labels, np.arange(n) // 3 % 2 + 1)


def tasks(folder: Path, of: Cohort | None = None) -> list[CellTask]:
    return plan_cells(of or cohort(), [METHODS[name] for name in NAMES], recipe(), "cpu", folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if ".seconds" not in path.name and path.is_file()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    run_cells(tasks(folder), workers=0)
    return folder


def forbidden(*_: object) -> None:
    raise AssertionError("trains again")


def test_there_is_a_cell_per_fold_and_family_and_nobody_judges_what_trained(tmp_path: Path) -> None:
    planned = tasks(tmp_path)
    assert [task.fold for task in planned] == [1, 1, 1, 2, 2, 2]
    assert [tuple(method.name for method in task.methods) for task in planned[:3]] == [
        ("3DCNN",), (OURS, TEACHER), ("S-pre",),
    ]  # fmt: skip
    assert [task.keep for task in planned] == [None, OURS, None, None, None, None]
    assert [task.cost for task in planned[:3]] == [2, 4, 1]
    distilled = replace(planned[1], methods=(METHODS["ours-w/o-hbp"],))
    assert distilled.cost == 2  # its teacher is trained too
    for task in planned:
        judged = {exam.patient_id for exam in task.judged}
        assert len(judged) == 6
        assert not judged & {exam.patient_id for exam in task.train}


def test_what_is_kept_is_found_again_and_trains_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "make_cell", forbidden)
    found = run_cells(tasks(finished), workers=0)
    assert len(found) == 6
    for one in found:
        for name, method in one.methods.items():
            assert method.probabilities.shape == (6, 3)
            assert method.probabilities.sum(axis=1) == pytest.approx(1)
            assert method.facts["patients_trained"] == 6
            assert len(method.facts["history"]) == recipe().training.epochs, name
    kept = [one for one in found if one.weights]
    assert [(one.fold, tuple(one.methods)) for one in kept] == [(1, (OURS, TEACHER))]
    assert read_metadata(kept[0].weights)["method"]["name"] == OURS
    assert list((finished / "work").iterdir()) == []


def test_a_killed_run_keeps_the_finished_cells_and_ends_with_the_same_bytes(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def dies_after(count: int) -> Callable[[CellTask, str], Path]:
        def make(task: CellTask, identity: str) -> Path:
            if len(made) == count:
                raise KeyboardInterrupt
            made.append(identity)
            return make_cell(task, identity)

        return make

    monkeypatch.setattr(cells, "make_cell", dies_after(2))
    with pytest.raises(KeyboardInterrupt):
        run_cells(tasks(tmp_path), workers=0)
    assert {task.cost for task in tasks(tmp_path) if cell_identity(task) in made} == {4}  # the longest come first
    monkeypatch.setattr(cells, "make_cell", dies_after(99))
    run_cells(tasks(tmp_path), workers=0)
    assert len(made) == len(set(made)) == 6
    assert contents(tmp_path) == contents(finished)


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(finished: Path, tmp_path: Path) -> None:
    found = run_cells(tasks(tmp_path), workers=2)
    assert len(found) == 6
    assert contents(tmp_path) == contents(finished)


def test_whatever_decides_the_numbers_is_in_the_identity(tmp_path: Path) -> None:
    (task, other, *_) = tasks(tmp_path)
    known = {cell_identity(task)}
    moved = replace(task.train[0], clinical=task.train[0].clinical + 1)
    epochs = recipe().training.model_copy(update={"epochs": 3})
    variants = [
        other,
        replace(task, judged=task.judged[1:]),
        replace(task, train=(moved, *task.train[1:])),
        replace(task, recipe=recipe().model_copy(update={"training": epochs})),
        replace(task, keep="3DCNN"),
        replace(task, device="cuda:0"),
        replace(task, methods=(replace(task.methods[0], cross_attention=False),)),
    ]
    for variant in variants:
        known.add(cell_identity(variant))
    assert len(known) == 8
    assert cell_identity(replace(task, folder=tmp_path / "elsewhere")) == cell_identity(task)


def test_a_damaged_cell_is_named(finished: Path, tmp_path: Path) -> None:
    task = tasks(finished)[0]
    path = cell_path(replace(task, folder=tmp_path), cell_identity(task))
    path.write_bytes(cell_path(task, cell_identity(task)).read_bytes()[:200])
    with pytest.raises(StoreError, match=path.name):
        run_cells([replace(task, folder=tmp_path)], workers=0)


def test_a_patient_who_trained_never_judges(tmp_path: Path) -> None:
    task = tasks(tmp_path)[0]
    leaking = replace(task, train=(*task.train, task.judged[0]))
    with pytest.raises(LeakageError, match="1 of the judged patients of fold 1 trained it"):
        make_cell(leaking, cell_identity(leaking))


def test_a_dead_worker_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures.process import BrokenProcessPool

    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, *_: object) -> None:
            raise BrokenProcessPool("gone")

    monkeypatch.setattr(cells, "ProcessPoolExecutor", Pool)
    with pytest.raises(AnalysisError, match="finished cells are kept"):
        run_cells(tasks(tmp_path), workers=2)


def test_a_training_that_fails_does_not_take_the_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(task: CellTask, identity: str) -> Path:
        if task.methods[0].name == "3DCNN":
            raise AnalysisError("training of 3DCNN", "the loss is not finite", "Lower the rate.")
        return make_cell(task, identity)

    monkeypatch.setattr(cells, "make_cell", make)
    with pytest.raises(AnalysisError, match="3DCNN"):
        run_cells(tasks(tmp_path), workers=0)
    assert len(list(tmp_path.glob("*.seconds.json"))) == 4


def test_students_are_judged_without_clinical_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, bool] = {}

    def predict(network: object, exams: list[Exam], *, device: str) -> object:
        given[type(network).__name__] = all(exam.clinical is not None for exam in exams)
        return original(network, exams, device=device)

    original = cell.predict_mri
    monkeypatch.setattr(cell, "predict_mri", predict)
    task = tasks(tmp_path)[1]
    make_cell(task, cell_identity(task))
    assert [name for name, items in given.items() if items] == ["CmdTeacher"]
    assert len(given) == 2
