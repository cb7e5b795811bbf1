"""Training of MRI networks: what it gives, repeats, resumes and refuses."""

import ast
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hccfeat.config import MriRecipe
from hccfeat.errors import AnalysisError, ConfigError, InputError
from hccfeat.models.weights import load_tensors, read_metadata
from hccfeat.training import mri_fit, mri_loop
from hccfeat.training.mri_data import ExamBatches, item_rows
from hccfeat.training.mri_fit import TrainedMri
from hccfeat.training.mri_learner import TERMS
from hccfeat.training.mri_methods import METHODS, OURS, TEACHER
from tests.training.mri_toy import ITEMS, toy_exams, toy_mri_recipe, toy_train

CHECKOUT = Path(__file__).resolve().parents[2]
FAMILY = (TEACHER, OURS, "KD_ours")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedMri]:
    return toy_train(tmp_path_factory.mktemp("family"), *FAMILY)


def same_tensors(one: TrainedMri, other: TrainedMri) -> bool:
    first, second = load_tensors(one.weights), load_tensors(other.weights)
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_result(family: dict[str, TrainedMri]) -> None:
    assert set(family) == set(FAMILY)
    for name, trained in family.items():
        assert trained.name == name
        assert [row["epoch"] for row in trained.history] == [1, 2, 3]
        assert all(set(row) == {"epoch", "learning_rate", *TERMS} for row in trained.history)
        assert trained.history[-1]["total"] < trained.history[0]["total"]
        assert trained.patients_trained == tuple(f"toy/p{number:03d}" for number in range(14))
        about = read_metadata(trained.weights)
        assert MriRecipe.model_validate(about["recipe"]) == toy_mri_recipe()
        assert about["history"] == trained.history
        assert about["method"]["name"] == name
        assert "toy/" not in str(about)
    assert read_metadata(family[OURS].weights)["network"] == "cmd_student"
    assert read_metadata(family[OURS].weights)["options"]["channels"] == [8, 8, 16, 16]
    learned = sum(
        tensor.numel() for name, tensor in load_tensors(family[OURS].weights).items() if "running" not in name
    )
    batch_counts = 2 * 9  # one of each normalisation
    assert family[OURS].parameters == learned - batch_counts
    files = sorted(file.name for file in family[OURS].weights.parent.iterdir())
    assert files == ["kd_ours.safetensors", "ours.safetensors", "teacher.safetensors"]


@pytest.mark.parametrize("alone", [OURS, "KD_ours", TEACHER])
def test_a_network_ends_with_the_same_bytes_alone_and_beside_others(
    family: dict[str, TrainedMri], tmp_path: Path, alone: str
) -> None:
    trained = toy_train(tmp_path, alone, exams=toy_exams()[::-1])
    assert set(trained) == {alone, TEACHER}
    for name, found in trained.items():
        assert found.weights_sha256 == family[name].weights_sha256


def test_methods_differ(family: dict[str, TrainedMri], tmp_path: Path) -> None:
    untaught = toy_train(tmp_path, "S-pre-hbp")
    assert set(untaught) == {"S-pre-hbp"}
    assert not same_tensors(untaught["S-pre-hbp"], family[OURS])
    assert not same_tensors(family["KD_ours"], family[OURS])


def test_the_callers_random_state_is_left_alone_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(99)
    expected = torch.rand(2)
    torch.manual_seed(99)
    toy_train(tmp_path, "S-pre", recipe=toy_mri_recipe(epochs=1))
    assert torch.equal(torch.rand(2), expected)
    assert capfd.readouterr() == ("", "")


def interrupt(monkeypatch: pytest.MonkeyPatch, at_call: int) -> list[int]:
    """Interrupt the reading of a batch once; the list has one entry for each batch asked for."""
    read = ExamBatches.__getitem__
    calls: list[int] = []

    def interrupted(batches: ExamBatches, indices: Any) -> Any:
        calls.append(len(indices))
        if len(calls) == at_call:
            raise KeyboardInterrupt
        return read(batches, indices)

    monkeypatch.setattr(ExamBatches, "__getitem__", interrupted)
    monkeypatch.setattr(mri_loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    return calls


def test_an_interrupted_training_ends_with_the_same_bytes(
    family: dict[str, TrainedMri], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = interrupt(monkeypatch, at_call=7)  # four batches an epoch: in the second
    with pytest.raises(KeyboardInterrupt):
        toy_train(tmp_path, *FAMILY)
    assert [file.name for file in tmp_path.iterdir()] == ["teacher.ckpt"]
    resumed = toy_train(tmp_path, *FAMILY)
    assert len(calls) == 7 + 8, "the first epoch was repeated"
    assert not list(tmp_path.glob("*.ckpt"))
    for name, trained in resumed.items():
        assert trained.weights_sha256 == family[name].weights_sha256


def test_a_killed_training_ends_with_the_same_bytes(family: dict[str, TrainedMri], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.mri_toy", str(tmp_path), "11"]
    killed = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert ast.literal_eval(killed.stdout) == [], "slow or forbidden libraries were imported to train"
    assert torch.load(tmp_path / "teacher.ckpt", weights_only=True)["done"] == 2
    for name, trained in toy_train(tmp_path, *FAMILY).items():
        assert trained.weights_sha256 == family[name].weights_sha256


def test_a_kill_between_two_files_loses_neither(
    family: dict[str, TrainedMri], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, published = mri_fit._publish, []

    def once(*arguments: Any) -> None:
        if len(published) == 2:
            raise KeyboardInterrupt
        publish(*arguments)
        published.append(arguments[1].method.name)

    monkeypatch.setattr(mri_loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(mri_fit, "_publish", once)
    with pytest.raises(KeyboardInterrupt):
        toy_train(tmp_path, *FAMILY)
    assert published == [TEACHER, OURS]
    written = (tmp_path / "ours.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(mri_fit, "_publish", publish)
    calls = interrupt(monkeypatch, at_call=-1)
    for name, trained in toy_train(tmp_path, *FAMILY).items():
        assert trained.weights_sha256 == family[name].weights_sha256
    assert calls == [], "the checkpoint of the last epoch was there"
    assert (tmp_path / "ours.safetensors").stat().st_mtime_ns == written


def test_a_finished_training_is_not_repeated(
    family: dict[str, TrainedMri], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = interrupt(monkeypatch, at_call=-1)
    assert toy_train(family[OURS].weights.parent, *FAMILY) == family
    assert calls == []


def test_short_epochs_share_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[int] = []
    monkeypatch.setattr(mri_loop, "_publish", lambda course, done: published.append(done))
    toy_train(tmp_path / "quick", "S-pre")
    assert published == []
    monkeypatch.setattr(mri_loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    toy_train(tmp_path / "slow", "S-pre")
    assert published == [1, 2, 3]


def test_a_training_on_other_data_or_settings_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = toy_train(tmp_path, "S-pre")["S-pre"]
    calls = interrupt(monkeypatch, at_call=-1)
    other = toy_train(tmp_path, "S-pre", exams=toy_exams(seed=1))["S-pre"]
    assert other.weights_sha256 != first.weights_sha256
    toy_train(tmp_path, "S-pre", recipe=toy_mri_recipe(seed=1))
    assert len(calls) == 2 * 12
    calls = interrupt(monkeypatch, at_call=6)
    with pytest.raises(KeyboardInterrupt):
        toy_train(tmp_path, "S-pre", recipe=toy_mri_recipe(gamma=0.0))
    assert (tmp_path / "s-pre.ckpt").is_file()
    assert toy_train(tmp_path, "S-pre")["S-pre"].weights_sha256 == first.weights_sha256
    assert len(calls) == 6 + 12, "the checkpoint of another training was continued"


def test_staged_training_freezes_the_teacher(
    family: dict[str, TrainedMri], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy_mri_recipe(staged=True)
    calls = interrupt(monkeypatch, at_call=12 + 6)
    with pytest.raises(KeyboardInterrupt):
        toy_train(tmp_path, *FAMILY, recipe=recipe)
    written = (tmp_path / "teacher.safetensors").stat().st_mtime_ns
    staged = toy_train(tmp_path, *FAMILY, recipe=recipe)
    assert len(calls) == 12 + 6 + 8
    assert staged[TEACHER].weights.stat().st_mtime_ns == written
    assert same_tensors(staged[TEACHER], family[TEACHER])
    assert not same_tensors(staged[OURS], family[OURS])
    undisturbed = toy_train(tmp_path / "alone", OURS, recipe=recipe)
    assert undisturbed[OURS].weights_sha256 == staged[OURS].weights_sha256


def test_the_permuted_teacher_is_given_the_items_of_others(family: dict[str, TrainedMri], tmp_path: Path) -> None:
    permuted = toy_train(tmp_path, "permuted-teacher")
    assert set(permuted) == {"permuted-teacher", TEACHER}
    assert permuted[TEACHER].weights.name == "teacher-permuted.safetensors"
    real, shuffled = (load_tensors(trained.weights) for trained in (family[TEACHER], permuted[TEACHER]))
    for name in ("scaler.median", "scaler.mean", "scaler.sd"):
        assert torch.allclose(real[name], shuffled[name], atol=1e-6), "the same items, in another order"
    assert not same_tensors(permuted[TEACHER], family[TEACHER])
    assert not same_tensors(permuted["permuted-teacher"], family[OURS])


def test_the_image_teacher_never_sees_items(tmp_path: Path) -> None:
    exams = toy_exams()
    with_items = toy_train(tmp_path / "with", "image-teacher", exams=exams)
    without = [replace(exam, clinical=None) for exam in exams]
    blind = toy_train(tmp_path / "without", "image-teacher", exams=without)
    assert {name: one.weights_sha256 for name, one in blind.items()} == {
        name: one.weights_sha256 for name, one in with_items.items()
    }
    assert blind["image-teacher"].history[-1]["class_kl"] > 0


def test_the_scaler_learns_from_the_training_exams_only(family: dict[str, TrainedMri]) -> None:
    rows = item_rows(toy_exams())
    found = load_tensors(family[TEACHER].weights)["scaler.median"].numpy()
    assert found == pytest.approx(np.nanmedian(rows, axis=0), rel=1e-6)


def test_every_method_trains(tmp_path: Path) -> None:
    recipe = toy_mri_recipe(epochs=2, lambda_clinical=1.0)
    for name in ("Concat", "3DCNN", "LSTM", "M2Net", "Concat_2S", "ours-w/o-hbp", "ours-w/o-CA", "SP_ours"):
        trained = toy_train(tmp_path, name, recipe=recipe)[name]
        row = trained.history[-1]
        assert np.isfinite(row["total"])
        assert (row["items"] is not None) == (METHODS[name].distillation is not None)
        assert (row["stage_focal"] is not None) == (name in {"M2Net", "Concat_2S"})
    assert read_metadata(tmp_path / "ours-w-o-hbp.safetensors")["options"]["items"] == ITEMS
    stages = read_metadata(tmp_path / "concat_2s.safetensors")["history"]
    assert [row["total"] == row["stage_focal"] for row in stages] == [True, False]


def test_class_weights_are_inverse_frequencies(tmp_path: Path) -> None:
    exams = toy_exams(8)  # 3, 3 and 2 of a grade
    weights = mri_fit._class_weights(exams)
    assert weights.tolist() == pytest.approx([8 / 9, 8 / 9, 8 / 6])
    plain = toy_train(tmp_path / "a", "S-pre", exams=exams)["S-pre"]
    weighed = toy_train(tmp_path / "b", "S-pre", exams=exams, recipe=toy_mri_recipe(class_weights=True))["S-pre"]
    assert not same_tensors(plain, weighed)


def test_bf16_trains_and_repeats(tmp_path: Path) -> None:
    recipe = toy_mri_recipe(precision="bf16")
    both = toy_train(tmp_path / "both", OURS, "KD_ours", recipe=recipe)
    assert both[OURS].history[-1]["total"] < both[OURS].history[0]["total"]
    alone = toy_train(tmp_path / "alone", OURS, recipe=recipe)
    assert alone[OURS].weights_sha256 == both[OURS].weights_sha256


def test_a_loss_that_is_no_number_is_reported(tmp_path: Path) -> None:
    exams = toy_exams()
    exams[3] = replace(exams[3], volumes=tuple(volume * np.nan for volume in exams[3].volumes))
    with pytest.raises(AnalysisError, match=r"training of teacher: the loss is not finite in epoch 1"):
        toy_train(tmp_path, OURS, exams=exams)


def test_exams_that_do_not_fit(tmp_path: Path) -> None:
    exams = toy_exams()
    with pytest.raises(InputError, match=r"exam toy/e002: has no clinical items"):
        toy_train(tmp_path, OURS, exams=[*exams[:2], replace(exams[2], clinical=None), *exams[3:]])
    with pytest.raises(InputError, match="has label None"):
        toy_train(tmp_path, "S-pre", exams=[replace(exams[0], label=None), *exams[1:]])
    with pytest.raises(AnalysisError, match="of one grade"):
        toy_train(tmp_path, "S-pre", exams=exams[::3])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "names", [(), (OURS, OURS), (OURS, "S-pre"), (OURS, "ours-w/o-CA"), (OURS, "image-teacher")]
)
def test_methods_that_are_not_one_family(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="are not one family"):
        toy_train(tmp_path, *names)
