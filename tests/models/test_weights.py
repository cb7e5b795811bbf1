"""Weights files: round trip, identity, damage."""

from pathlib import Path

import pytest
import torch

from hccfeat.errors import StoreError
from hccfeat.models import create
from hccfeat.models.prognostic import PrognosticNet
from hccfeat.models.weights import load_weights, read_metadata, save_weights, weights_sha256

METADATA = {"recipe": {"name": "paper", "betas": [0.9, 0.99]}, "b": 1, "a": "é", "history": [{"train_loss": 0.1}]}


def test_round_trip_of_an_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = create("cnn_sasm", input_px=64, csa_heads=2)
    encoder(torch.rand(4, 3, 64, 64))  # moves the running statistics
    path = tmp_path / "models" / "pps-1" / "weights.safetensors"
    digest = save_weights(path, encoder, METADATA)
    other = create("cnn_sasm", input_px=64, csa_heads=2)
    assert load_weights(path, other) == METADATA
    assert digest == weights_sha256(path)
    for (name, mine), theirs in zip(encoder.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]


def test_equal_weights_and_metadata_give_equal_bytes(tmp_path: Path) -> None:
    net = PrognosticNet()
    channels_last = {name: METADATA[name] for name in reversed(METADATA)}
    assert save_weights(tmp_path / "a", net, METADATA) == save_weights(tmp_path / "b", net, channels_last)
    assert save_weights(tmp_path / "c", net, METADATA | {"b": 2}) != weights_sha256(tmp_path / "a")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, PrognosticNet(64), {})
    with pytest.raises(StoreError, match="weights of another network"):
        load_weights(path, PrognosticNet(128))


@pytest.mark.parametrize("damage", ["absent", "empty", "truncated", "text"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, PrognosticNet(), METADATA)
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "truncated": content[:-100], "text": b"hello, this is text"}[damage])
    with pytest.raises(StoreError, match="not a readable safetensors file"):
        load_weights(path, PrognosticNet())
    with pytest.raises(StoreError, match="not a readable safetensors file"):
        read_metadata(path)
