"""Where the trunk's weights come from; nothing is downloaded."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from hccfeat.errors import ConfigError
from hccfeat.models import create
from hccfeat.models.trunk import resnet18_trunk


@pytest.fixture
def plain() -> torch.nn.Module:
    torch.manual_seed(1)
    return timm.create_model("resnet18", pretrained=False)


def test_imagenet_asks_timm_for_the_torchvision_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    answer = torch.nn.Identity()

    def create_model(*args: Any, **options: Any) -> torch.nn.Module:
        calls.append((args, options))
        return answer

    monkeypatch.setattr(timm, "create_model", create_model)
    assert resnet18_trunk("imagenet") is answer
    assert calls == [(("resnet18.tv_in1k",), {"pretrained": True, "num_classes": 0, "global_pool": ""})]


def test_none_never_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    real = timm.create_model

    def create_model(*args: Any, **options: Any) -> torch.nn.Module:
        asked.append(options["pretrained"])
        return real(*args, **options)

    monkeypatch.setattr(timm, "create_model", create_model)
    trunk = resnet18_trunk("none")
    assert asked == [False]
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 11_176_512


def test_an_unreachable_hub_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_args: Any, **_options: Any) -> torch.nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(ConfigError, match=r"no route to host.*safetensors file, or set it to none"):
        resnet18_trunk("imagenet")


def test_a_local_file_fills_the_trunk_and_its_classifier_is_ignored(plain: torch.nn.Module, tmp_path: Path) -> None:
    state = plain.state_dict()
    assert "fc.weight" in state
    without_counters = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    for number, tensors in enumerate((state, without_counters)):
        file = tmp_path / f"trunk {number} é.safetensors"
        save_file(tensors, file)
        trunk = resnet18_trunk(str(file))
        torch.testing.assert_close(trunk.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
        torch.testing.assert_close(trunk.bn1.running_var, state["bn1.running_var"])


@pytest.mark.parametrize(
    ("encoder", "backbone", "probe", "options"),
    [
        ("cnn_ssa", "resnet18", "layer3.0.conv1.weight", {}),
        ("densenet121", "densenet121", "features.denseblock2.denselayer3.conv1.weight", {}),
        ("swin_base", "swin_base_patch4_window7_224", "layers.1.blocks.0.attn.qkv.weight", {"window_size": 4}),
    ],
)
def test_one_loader_serves_every_encoder(
    encoder: str, backbone: str, probe: str, options: dict[str, int], tmp_path: Path
) -> None:
    torch.manual_seed(2)
    state = timm.create_model(backbone, pretrained=False).state_dict()
    file = tmp_path / "backbone.safetensors"
    save_file(state, file)
    made = create(encoder, input_px=64, trunk_weights=str(file), **options)
    assert torch.equal(made.trunk.state_dict()[probe], state[probe])


def test_the_loader_is_strict(tmp_path: Path) -> None:
    state = timm.create_model("densenet121", pretrained=False).state_dict()
    file = tmp_path / "backbone.safetensors"
    del state["features.conv0.weight"]
    save_file(state, file)
    words = "1 tensors are missing, extra or of another shape, for instance features.conv0.weight"
    with pytest.raises(ConfigError, match=words):
        create("densenet121", trunk_weights=str(file))
    with pytest.raises(ConfigError, match="is not a resnet18"):
        create("cnn_ssa", trunk_weights=str(file))


def test_files_that_do_not_fit_are_refused(plain: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        resnet18_trunk(str(tmp_path / "absent.safetensors"))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="not a readable safetensors file"):
        resnet18_trunk(str(damaged))
    other = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, other)
    with pytest.raises(ConfigError, match="is not a resnet18"):
        resnet18_trunk(str(other))
