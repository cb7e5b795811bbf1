"""Any timm model as an encoder, by options alone; nothing is downloaded."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from hccfeat.config import Recipe, load_recipe, parse_toml
from hccfeat.errors import ConfigError
from hccfeat.models import Encoder, create
from hccfeat.training.encoder import build_encoder


def make(model: str = "test_resnet", **options: object) -> Encoder:
    torch.manual_seed(0)
    return create("timm", **{"input_px": 64, "model": model, **options}).eval()


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small vision transformer of 160 px, with its classifier, as a hub has them."""
    torch.manual_seed(5)
    model = timm.create_model("test_vit", pretrained=False)
    file = tmp_path_factory.mktemp("weights") / "vit é.safetensors"
    save_file(model.state_dict(), file)
    return file


@pytest.mark.parametrize(
    ("model", "options", "dimension"),
    [
        ("test_resnet", {}, 96),
        ("test_resnet", {"global_pool": "catavgmax"}, 192),
        ("test_vit", {}, 64),
        ("test_vit", {"global_pool": "avg", "reg_tokens": 2, "init_values": 1e-5}, 64),
        ("test_vit", {"mlp_layer": "SwiGLUPacked", "act_layer": "silu", "dynamic_img_size": True}, 64),
        ("test_efficientnet", {}, 256),
    ],
)
def test_the_embedding_is_what_timm_pools(model: str, options: dict[str, object], dimension: int) -> None:
    encoder = make(model, **options)
    assert encoder.embedding_dim == dimension
    patches = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        output = encoder(patches)
        expected = encoder.trunk((patches - encoder.mean) / encoder.sd)
        torch.testing.assert_close(encoder.classify(output.embedding), output.logits)
    assert output.logits.shape == (3, 2)
    torch.testing.assert_close(output.embedding, expected)


def test_only_the_linear_layer_of_a_frozen_encoder_learns() -> None:
    frozen, free = make(), make(frozen=False)
    assert [name for name, p in frozen.named_parameters() if p.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]
    assert all(parameter.requires_grad for parameter in free.parameters())
    before = {name: value.clone() for name, value in frozen.trunk.state_dict().items()}
    assert not create("timm", model="test_resnet", input_px=64).trunk.training
    assert frozen.train().training
    assert not frozen.trunk.training
    assert free.train().trunk.training
    for encoder in (frozen, free):
        encoder(torch.rand(4, 3, 64, 64)).logits.sum().backward()
    assert all(torch.equal(before[name], value) for name, value in frozen.trunk.state_dict().items())
    assert not torch.equal(before["bn1.running_mean"], free.trunk.state_dict()["bn1.running_mean"])
    assert all(parameter.grad is None for parameter in frozen.trunk.parameters())
    assert frozen.eval().training is False


def test_normalisation_is_that_of_the_model_unless_given() -> None:
    assert make("test_resnet").mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert make("test_efficientnet").mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    given = make(mean="0.7, 0.6, 0.5", sd="0.1,0.2,0.3")
    assert given.mean.flatten().tolist() == pytest.approx([0.7, 0.6, 0.5])
    assert given.sd.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_local_file_fills_the_backbone_and_fits_the_patch_size(vit_file: Path) -> None:
    source = timm.create_model("test_vit", pretrained=False)
    source.load_state_dict(timm.models.load_state_dict(str(vit_file)))
    same = make("test_vit", input_px=160, trunk_weights=str(vit_file))
    patches = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        expected = source.eval().forward_head(source.forward_features((patches - 0.5) / 0.5), pre_logits=True)
        torch.testing.assert_close(same(patches).embedding, expected)
    small = make("test_vit", trunk_weights=str(vit_file), img_size=64)
    assert torch.equal(small.trunk.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)
    assert small.trunk.pos_embed.shape[1] < source.pos_embed.shape[1]


def test_a_file_of_another_model_is_refused(vit_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a test_resnet: .* tensors are missing"):
        make("test_resnet", trunk_weights=str(vit_file))
    tensors = timm.models.load_state_dict(str(vit_file)) | {"more": torch.zeros(1)}
    save_file(tensors, file := vit_file.with_name("more.safetensors"))
    with pytest.raises(ConfigError, match="is not a test_vit: 1 tensors"):
        make("test_vit", input_px=160, trunk_weights=str(file))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "no_such_model"}, "timm model no_such_model: is unknown to timm"),
        ({"model": "test_vit", "depthh": 3}, r"does not take these options \(.*depthh"),
        ({"model": "resnet50.nonsense"}, r"Invalid pretrained tag \(nonsense\)"),
        ({"model": "test_vit", "global_pool": "median"}, "cannot be made with these options"),
        ({"model": "test_vit", "global_pool": ""}, "does not give one vector per patch"),
        ({"model": "vit_tiny_patch16_224", "depth": 1, "img_size": 224}, "cannot embed patches of 64 px"),
        ({"model": "test_vit", "num_classes": 3, "cache_dir": "x"}, "cannot be given cache_dir, num_classes"),
        ({"model": "test_vit", "mlp_layer": "Nope"}, "mlp_layer: is 'Nope'"),
        ({"model": "test_resnet", "mean": "0.5, 0.5"}, "mean: is '0.5, 0.5'"),
        ({"model": "test_resnet", "sd": "a, b, c"}, "sd: is 'a, b, c'"),
        ({}, "encoder timm: needs model"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create("timm", input_px=64, **options)


def test_an_unreachable_hub_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_args: object, **_options: object) -> torch.nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", create_model)
    for options in ({"model": "resnet50", "trunk_weights": "imagenet"}, {"model": "hf-hub:owner/model"}):
        with pytest.raises(ConfigError, match=r"no route to host.*give the safetensors file"):
            make(**options)


def test_the_shipped_example(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("timm-resnet50")
    assert recipe.name == "timm-resnet50"
    asked: list[tuple[str, bool]] = []
    real = timm.create_model

    def offline(name: str, *, pretrained: bool, **options: object) -> torch.nn.Module:
        asked.append((name, pretrained))
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    encoder = build_encoder(recipe)
    assert asked == [("resnet50.a1_in1k", True)]
    assert (encoder.input_px, encoder.embedding_dim) == (224, 2048)


def test_one_entry_of_a_recipe_is_enough(vit_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'name = "mine"\npatches = {{ size_px = 64 }}\n'
        f'[encoder]\nname = "timm"\ntrunk_weights = "{vit_file}"\noptions = {{ model = "test_vit" }}\n',
        encoding="utf-8",
    )
    encoder = build_encoder(parse_toml(file, Recipe))
    assert encoder(torch.rand(2, 3, 64, 64)).embedding.shape == (2, 64)
