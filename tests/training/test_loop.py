"""The loss, and how Lightning is set up."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment

from hccfeat.training import loop
from hccfeat.training.encoder import build_encoder
from hccfeat.training.job import Job
from tests.training.toy import toy_images, toy_recipe


@pytest.mark.parametrize(("double", "low", "high"), [(False, 0.0, 50.0), (True, 0.31326, 1.31326)])
def test_the_double_softmax_bounds_the_loss(double: bool, low: float, high: float) -> None:
    logits = torch.tensor([[50.0, 0.0]])
    right = loop.recurrence_loss(logits, torch.tensor([0]), double_softmax=double)
    wrong = loop.recurrence_loss(logits, torch.tensor([1]), double_softmax=double)
    assert float(right) == pytest.approx(low, abs=1e-4)
    assert float(wrong) == pytest.approx(high, abs=1e-4)


def test_the_loss_is_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = loop.recurrence_loss(torch.randn(4, 2), torch.tensor([0, 1, 1, 0]), double_softmax=False)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "devices", "nodes", "expected"),
    [
        ("cpu", 1, 1, {"accelerator": "cpu", "devices": 1, "strategy": "auto", "sync_batchnorm": False}),
        ("cpu", 2, 1, {"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn", "sync_batchnorm": False}),
        ("cpu", 1, 2, {"accelerator": "cpu", "num_nodes": 2, "strategy": "ddp", "sync_batchnorm": False}),
        ("cuda", 1, 1, {"accelerator": "gpu", "devices": 1, "strategy": "auto", "sync_batchnorm": False}),
        ("cuda:1", 1, 1, {"accelerator": "gpu", "devices": [1], "strategy": "auto", "sync_batchnorm": False}),
        ("cuda", 4, 1, {"accelerator": "gpu", "num_nodes": 1, "strategy": "ddp_spawn", "sync_batchnorm": True}),
        ("cuda", 1, 2, {"accelerator": "gpu", "num_nodes": 2, "strategy": "ddp", "sync_batchnorm": True}),
        ("cuda", 4, 3, {"devices": 4, "num_nodes": 3, "strategy": "ddp_spawn", "sync_batchnorm": True}),
    ],
)
def test_devices_reach_the_trainer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, devices: int, nodes: int, expected: dict[str, Any]
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(loop, "Trainer", seen.update)
    recipe = toy_recipe()
    job = Job(
        encoder=build_encoder(recipe),
        recipe=recipe.training,
        train=toy_images(2),
        stop=[],
        augment=None,
        checkpoint=tmp_path / "last.ckpt",
        identity="",
        device=torch.device(device),
        devices=devices,
        nodes=nodes,
        workers=0,
        threads=1,
        precision="bf16",
        progress=False,
    )
    loop._trainer(job, 0)
    assert {name: seen[name] for name in expected} == expected
    assert seen["precision"] == "bf16-mixed"
    assert seen["max_epochs"] == recipe.training.max_epochs
    assert not seen["logger"]
    assert any(isinstance(plugin, LightningEnvironment) for plugin in seen["plugins"])


def test_bf16_trains(tmp_path: Path) -> None:
    from hccfeat.training.encoder import train_encoder

    recipe = toy_recipe("cnn_sasm", precision="bf16", max_epochs=1, batch_size=8)
    trained = train_encoder(toy_images(4, 4, side=64), recipe, augment=None, work=tmp_path, device="cpu", threads=1)
    assert trained.stopped_epoch == 1
