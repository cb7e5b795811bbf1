"""Trained MRI networks judge exams."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hccfeat.errors import InputError, StoreError
from hccfeat.models.weights import load_tensors, save_tensors
from hccfeat.training.mri_fit import TrainedMri
from hccfeat.training.mri_methods import OURS, TEACHER
from hccfeat.training.mri_predict import load_mri, predict_mri
from tests.training.mri_toy import toy_exams, toy_mri_recipe, toy_train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedMri]:
    return toy_train(tmp_path_factory.mktemp("trained"), OURS, recipe=toy_mri_recipe(epochs=8), exams=toy_exams(36))


def test_a_loaded_network_has_the_trained_weights_in_evaluation_mode(trained: dict[str, TrainedMri]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    for one in trained.values():
        network = load_mri(one.weights)
        assert not any(module.training for module in network.modules())
        tensors = load_tensors(one.weights)
        assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.rand(1), expected), "the caller's random state was touched"


@pytest.mark.parametrize("name", [OURS, TEACHER])
def test_new_exams_are_judged_better_than_by_chance(trained: dict[str, TrainedMri], name: str) -> None:
    exams = toy_exams(30, seed=1)
    found = predict_mri(load_mri(trained[name].weights), exams)
    assert (found.probabilities.shape, found.probabilities.dtype) == ((30, 3), np.float64)
    assert (found.embedding.shape, found.embedding.dtype) == ((30, 32), np.float32)
    assert (found.streams.shape, found.streams.dtype) == ((30, 2, 16), np.float32)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-12)
    labels = [exam.label for exam in exams]
    assert roc_auc_score(labels, found.probabilities, multi_class="ovo") > (0.9 if name == OURS else 0.7)


def test_a_prediction_depends_on_no_other_exam(trained: dict[str, TrainedMri], tmp_path: Path) -> None:
    network = load_mri(trained[OURS].weights)
    exams = toy_exams(7)
    together = predict_mri(network, exams)
    in_files = predict_mri(network, toy_exams(7, folder=tmp_path)[::-1], batch_size=2)
    for name in ("probabilities", "embedding", "streams"):
        assert np.allclose(getattr(together, name), getattr(in_files, name)[::-1], atol=1e-5)


def test_the_student_needs_neither_grade_nor_items_and_ignores_them(trained: dict[str, TrainedMri]) -> None:
    network = load_mri(trained[OURS].weights)
    exams = toy_exams(4)
    bare = [replace(exam, label=None, clinical=None) for exam in exams]
    assert np.array_equal(predict_mri(network, bare).probabilities, predict_mri(network, exams).probabilities)


def test_the_teacher_needs_items_and_imputes_those_that_are_missing(trained: dict[str, TrainedMri]) -> None:
    teacher = load_mri(trained[TEACHER].weights)
    exams = toy_exams(4)
    with pytest.raises(InputError, match=r"exam toy/e001: has no clinical items"):
        predict_mri(teacher, [exams[0], replace(exams[1], clinical=None)])
    unknown = [replace(exam, clinical=np.full_like(exam.clinical, np.nan)) for exam in exams]
    found, blind = predict_mri(teacher, exams), predict_mri(teacher, unknown)
    assert np.isfinite(blind.probabilities).all()
    assert not np.allclose(found.probabilities, blind.probabilities)


def test_a_network_of_one_phase_looks_at_no_other(tmp_path: Path) -> None:
    network = load_mri(toy_train(tmp_path, "S-hbp")["S-hbp"].weights)
    exams = toy_exams(3)
    other = [replace(exam, volumes=(np.zeros_like(exam.volumes[0]), exam.volumes[1])) for exam in exams]
    found = predict_mri(network, exams)
    assert found.streams.shape == (3, 1, 16)
    assert np.array_equal(found.probabilities, predict_mri(network, other).probabilities)


def test_what_cannot_be_judged(trained: dict[str, TrainedMri], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got no exams"):
        predict_mri(load_mri(trained[OURS].weights), [])
    save_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {"kind": "encoder"})
    with pytest.raises(StoreError, match="holds no network of MRI exams"):
        load_mri(tmp_path / "other.safetensors")
    with pytest.raises(StoreError, match="is not a readable safetensors file"):
        load_mri(tmp_path / "missing.safetensors")
