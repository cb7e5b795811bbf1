"""Device, precision and threads."""

import pytest
import torch

from hccfeat.errors import ConfigError
from hccfeat.training import devices
from hccfeat.training.devices import node_rank, resolve_device, resolve_precision
from hccfeat.training.threads import pin_threads, pinned_threads


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert resolve_device("auto") == torch.device("cpu")
    for absent in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match="is absent"):
            resolve_device(absent)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    for unknown in ("tpu", "cpu:1", "cuda:x"):
        with pytest.raises(ConfigError, match="is unknown"):
            resolve_device(unknown)


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("float32", cpu) == "float32"
    for has, expected in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(devices, "_processor_has_bf16", lambda has=has: has)
        assert resolve_precision("auto", cpu) == expected


def test_the_environment_says_which_machine_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert node_rank(1) == 0
    monkeypatch.setenv("MASTER_ADDR", "node17")
    with pytest.raises(ConfigError, match="environment variables NODE_RANK, MASTER_PORT"):
        node_rank(2)
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("NODE_RANK", "1")
    assert node_rank(2) == 1
    assert node_rank(1) == 0
    monkeypatch.setenv("NODE_RANK", "2")
    with pytest.raises(ConfigError, match="not one of 0 to 1"):
        node_rank(2)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with pinned_threads(1):
        assert torch.get_num_threads() == 1
        with pinned_threads(None):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    pin_threads(None)
    assert torch.get_num_threads() == before
