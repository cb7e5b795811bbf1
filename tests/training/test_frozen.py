"""Training an encoder whose backbone is frozen."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from hccfeat.config import Recipe
from hccfeat.models.weights import load_tensors
from hccfeat.training import loop
from hccfeat.training.embed import embed
from hccfeat.training.encoder import build_encoder, load_encoder, train_encoder
from tests.training.toy import flips, toy_images


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    torch.manual_seed(4)
    file = tmp_path / "backbone.safetensors"
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), file)
    return file


def recipe_of(backbone: Path, **options: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "frozen",
            "patches": {"size_px": 64},
            "encoder": {
                "name": "timm",
                "trunk_weights": str(backbone),
                "options": {"model": "test_resnet", **options},
            },
            "training": {"learning_rate": 1e-2, "batch_size": 8, "max_epochs": 2, "precision": "float32"},
        }
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_only_what_is_not_frozen_changes(backbone: Path, tmp_path: Path, frozen: bool) -> None:
    recipe = recipe_of(backbone, frozen=frozen)
    images = toy_images(4, 4, side=64)
    options = {"augment": flips, "device": "cpu", "threads": 1}
    trained = train_encoder(images, recipe, work=tmp_path / "a", **options)
    again = train_encoder(images, recipe, work=tmp_path / "b", **options)
    assert trained.weights_sha256 == again.weights_sha256
    given, got = load_file(backbone), load_tensors(trained.weights)
    kept = {name for name in given if not name.startswith("fc.") and torch.equal(got[f"trunk.{name}"], given[name])}
    everything = {name for name in given if not name.startswith("fc.")}
    assert (kept == everything) if frozen else {"conv1.weight", "bn1.running_mean"}.isdisjoint(kept)
    start = build_encoder(recipe).classifier.weight
    assert got["classifier.weight"].shape == start.shape == (2, 96)
    losses = [row["train_loss"] for row in trained.history]
    assert losses[1] < losses[0]


def test_the_optimiser_gets_only_what_learns(backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = build_encoder(recipe_of(backbone))

    class Few:
        recipe = recipe_of(backbone).training

    few = Few()
    few.encoder = encoder
    optimiser = loop.EncoderTraining(few).configure_optimizers()
    learning = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    assert [parameter.shape for parameter in learning] == [(2, 96), (2,)]


def test_it_embeds_with_its_trained_weights_when_the_file_is_gone(backbone: Path, tmp_path: Path) -> None:
    recipe = recipe_of(backbone)
    images = toy_images(4, 4, side=64)
    trained = train_encoder(images, recipe, augment=None, work=tmp_path / "a", device="cpu", threads=1)
    direct = build_encoder(recipe)
    backbone.unlink()
    encoder = load_encoder(trained.weights, recipe)
    vectors, probabilities = embed(encoder, images[0].patches)
    assert vectors.shape == (4, 96)
    np.testing.assert_allclose(vectors, embed(direct, images[0].patches)[0], rtol=1e-5, atol=1e-6)
    assert ((probabilities > 0) & (probabilities < 1)).all()
