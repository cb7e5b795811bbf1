"""Training of the encoder: what it returns, repeats, resumes and refuses."""

import gc
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hccfeat.config import Recipe
from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.models.weights import load_tensors, read_metadata
from hccfeat.training import callbacks
from hccfeat.training.encoder import TrainedEncoder, build_encoder, load_encoder, train_encoder
from tests.training.toy import SIDE, flips, toy_images, toy_recipe

CHECKOUT = Path(__file__).resolve().parents[2]


def train(work: Path, recipe: Recipe | None = None, images: Any = None, **options: Any) -> TrainedEncoder:
    options = {"augment": flips, "device": "cpu", "threads": 1, **options}
    return train_encoder(images or toy_images(), recipe or toy_recipe(), work=work, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainedEncoder:
    return train(tmp_path_factory.mktemp("undisturbed"))


def test_result(undisturbed: TrainedEncoder) -> None:
    assert [row["epoch"] for row in undisturbed.history] == [1, 2, 3]
    assert all(set(row) == {"epoch", "learning_rate", "train_loss"} for row in undisturbed.history)
    losses = [row["train_loss"] for row in undisturbed.history]
    assert losses[undisturbed.best_epoch - 1] == min(losses)
    assert undisturbed.stopped_epoch == 3
    assert undisturbed.patients_trained == tuple(f"toy/p{number:03d}" for number in range(4))
    assert undisturbed.patients_stopped == ()
    metadata = read_metadata(undisturbed.weights)
    assert Recipe.model_validate(metadata["recipe"]) == toy_recipe()
    assert metadata["history"] == undisturbed.history
    assert "toy/p" not in str(metadata)
    assert [file.name for file in undisturbed.weights.parent.iterdir()] == ["weights.safetensors"]


def test_weights_load_into_the_encoder_of_the_recipe(undisturbed: TrainedEncoder) -> None:
    encoder = load_encoder(undisturbed.weights, toy_recipe())
    assert not encoder.training
    assert torch.equal(encoder.classifier.weight, load_tensors(undisturbed.weights)["classifier.weight"])


def test_equal_inputs_give_equal_bytes_and_nothing_is_printed(
    undisturbed: TrainedEncoder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(99)
    expected = torch.rand(2)
    torch.manual_seed(99)
    again = train(tmp_path, images=toy_images()[::-1])
    assert again.weights_sha256 == undisturbed.weights_sha256
    assert torch.equal(torch.rand(2), expected), "the caller's random state was touched"
    assert capfd.readouterr() == ("", "")


def interruption(at_call: int) -> Any:
    """Augmentation that is interrupted once, and counts its calls."""

    def interrupted(images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        interrupted.calls += 1  # type: ignore[attr-defined]
        if interrupted.calls == at_call:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return flips(images, generator)

    interrupted.calls = 0  # type: ignore[attr-defined]
    return interrupted


def test_an_interrupted_training_ends_with_the_same_bytes(undisturbed: TrainedEncoder, tmp_path: Path) -> None:
    interrupted = interruption(at_call=5)  # three batches an epoch: in the middle of the second
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, augment=interrupted)
    assert signal.getsignal(signal.SIGINT) is handler
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    resumed = train(tmp_path, augment=interrupted)
    assert interrupted.calls == 5 + 6, "the first epoch was repeated"
    assert resumed.weights_sha256 == undisturbed.weights_sha256
    assert resumed.history == undisturbed.history


def test_short_epochs_share_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[int] = []
    publish = callbacks.EpochRecord._publish

    def counted(record: callbacks.EpochRecord, trainer: Any) -> None:
        published.append(record.history[-1]["epoch"])
        publish(record, trainer)

    monkeypatch.setattr(callbacks.EpochRecord, "_publish", counted)
    train(tmp_path / "quick", toy_recipe(max_epochs=4))
    assert published == [1, 4]
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    train(tmp_path / "slow", toy_recipe(max_epochs=4))
    assert published[2:] == [1, 2, 3, 4]


def test_nothing_of_a_training_stays_in_memory(tmp_path: Path) -> None:
    train(tmp_path, toy_recipe(max_epochs=1))
    assert [thing for thing in gc.get_objects() if type(thing) is torch.optim.Adam] == []


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bytes(undisturbed: TrainedEncoder, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.toy", str(tmp_path), "8"]
    killed = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1
    assert train(tmp_path).weights_sha256 == undisturbed.weights_sha256


def test_the_real_encoder_resumes_with_the_same_bytes(tmp_path: Path) -> None:
    recipe = toy_recipe("cnn_sasm", max_epochs=2, batch_size=6)
    images = toy_images(4, 3, side=64)
    expected = train(tmp_path / "undisturbed", recipe, images)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "interrupted", recipe, images, augment=interruption(at_call=4))
    assert train(tmp_path / "interrupted", recipe, images).weights_sha256 == expected.weights_sha256


def test_a_finished_training_is_not_repeated(undisturbed: TrainedEncoder, tmp_path: Path) -> None:
    def refuse(images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        raise AssertionError

    assert train(undisturbed.weights.parent, augment=refuse) == undisturbed


def test_state_of_another_training_is_not_continued(tmp_path: Path) -> None:
    recipe = toy_recipe(max_epochs=1)
    first = train(tmp_path, recipe)
    other = train(tmp_path, recipe, images=toy_images(seed=1))
    assert other.weights_sha256 != first.weights_sha256
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, toy_recipe(), augment=interruption(at_call=4))
    assert (tmp_path / "last.ckpt").is_file()
    assert train(tmp_path, recipe).weights_sha256 == first.weights_sha256


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    recipe = toy_recipe(learning_rate=0.03, patience=2, max_epochs=12, step_epochs=2)
    stopped = train(tmp_path / "stopped", recipe)
    losses = [row["train_loss"] for row in stopped.history]
    best = int(np.argmin(losses))
    assert stopped.best_epoch == best + 1
    assert stopped.stopped_epoch == best + 3 < 12
    assert [row["learning_rate"] for row in stopped.history][:3] == pytest.approx([0.03, 0.03, 0.003])
    short = recipe.training.model_copy(update={"max_epochs": stopped.best_epoch})
    until_best = train(tmp_path / "until best", recipe.model_copy(update={"training": short}))
    kept, expected = load_tensors(stopped.weights), load_tensors(until_best.weights)
    assert all(torch.equal(kept[name], expected[name]) for name in expected)


def test_monitoring_held_out_patients(tmp_path: Path) -> None:
    recipe = toy_recipe(monitor="val_loss", max_epochs=1, validation_fraction=0.25)
    trained = train(tmp_path, recipe)
    assert len(trained.patients_stopped) == 2
    assert not set(trained.patients_stopped) & set(trained.patients_trained)
    assert len(trained.patients_trained) == 2
    assert np.isfinite(trained.history[0]["val_loss"])


def test_a_loss_that_is_no_number_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="not finite in epoch 1"):
        train(tmp_path, augment=lambda images, _: images * float("nan"))


@pytest.mark.parametrize(
    ("training", "options", "words"),
    [
        ({"batch_size": 49}, {}, "is 49, more than the 48 training patches"),
        ({}, {"devices": 3}, "which 3 devices cannot share evenly"),
        ({}, {"device": "npu"}, "device npu: is unknown"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, training: dict, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        train(tmp_path, toy_recipe(**training), **options)
    assert list(tmp_path.iterdir()) == []


def test_images_without_patches_are_passed_over(tmp_path: Path) -> None:
    images = toy_images()
    empty = replace(images[0], image_id="toy/empty", patient_id="toy/p9", patches=images[0].patches[:0])
    trained = train(tmp_path, toy_recipe(max_epochs=1), images=[*images, empty])
    assert "toy/p9" not in trained.patients_trained


def test_encoder_options_leave_size_and_trunk_to_their_own_keys() -> None:
    recipe = toy_recipe()
    assert build_encoder(recipe).input_px == SIDE
    encoder = recipe.encoder.model_copy(update={"options": {"input_px": 32}})
    with pytest.raises(ConfigError, match="must not hold input_px"):
        build_encoder(recipe.model_copy(update={"encoder": encoder}))


@pytest.mark.slow
def test_slow_libraries_are_imported_only_to_train() -> None:
    code = "import sys, hccfeat.training.encoder, hccfeat.training.embed; print(sorted(set(sys.modules) & %s))"
    heavy = {"lightning", "timm", "torchvision", "duckdb", "polars", "pandas"}
    command = [sys.executable, "-c", code % heavy]
    assert subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
def test_two_devices_share_every_batch(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trained = train(tmp_path, toy_recipe(max_epochs=2), devices=2, progress=False)
    assert [row["epoch"] for row in trained.history] == [1, 2]
    assert trained.patients_trained == tuple(f"toy/p{number:03d}" for number in range(4))
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_two_machines_share_every_batch(tmp_path: Path) -> None:
    from lightning.fabric.plugins.environments.lightning import find_free_network_port

    command = [sys.executable, "-m", "tests.training.two_nodes", str(tmp_path), str(find_free_network_port())]
    done = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ranks = sorted(line.split() for line in done.stdout.splitlines())
    assert [rank for rank, *_ in ranks] == ["0", "1"]
    assert ranks[0][1:] == ranks[1][1:], "both machines know the weights that the first one published"
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]
