"""CNN-SASM: sizes, axes, symmetries and switches (P1 readings 1 to 9)."""

import pytest
import torch
from torch.nn import functional

from hccfeat.errors import ConfigError
from hccfeat.models import create
from hccfeat.models.cnn_sasm import CnnSasm


def small(**options: object) -> CnnSasm:
    torch.manual_seed(0)
    encoder = create("cnn_sasm", **{"input_px": 64, "csa_heads": 2, **options})
    assert isinstance(encoder, CnnSasm)
    return encoder.eval()


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def full() -> CnnSasm:
    encoder = create("cnn_sasm")
    assert isinstance(encoder, CnnSasm)
    return encoder


def test_parameter_count_at_224_is_that_of_table_2(full: CnnSasm) -> None:
    assert parameters(full) == 12_303_980
    assert round(parameters(full) * 4 / 2**20, 3) == 46.936
    assert sum(value.numel() for name, value in full.state_dict().items() if "running" not in name) >= 12_303_980


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("trunk", 11_176_512),
        ("csa", 7_350 + 2_450 + 98),
        ("ssa", 787_968 + 262_656 + 1_024),
        ("hidden", 65_664),
        ("classifier", 258),
    ],
)
def test_parameter_count_of_each_part(full: CnnSasm, part: str, count: int) -> None:
    assert parameters(getattr(full, part)) == count


def test_shapes_at_224(full: CnnSasm) -> None:
    full.eval()
    with torch.inference_mode():
        output = full(torch.rand(1, 3, 224, 224))
    assert output.logits.shape == (1, 2)
    assert output.embedding.shape == (1, 128)
    assert output.pooled.shape == (1, 512)
    assert full.embedding_dim == 128


@pytest.mark.parametrize("module", ["csa", "ssa"])
def test_softmax_sums_to_one_over_tokens_and_not_over_the_embedding(module: str) -> None:
    encoder = small()
    tokens = torch.randn(3, 512, 4) if module == "csa" else torch.randn(3, 4, 512)
    attended = getattr(encoder, module)(tokens)
    torch.testing.assert_close(attended.sum(dim=1), torch.ones_like(attended[:, 0]))
    assert not torch.allclose(attended.sum(dim=2), torch.ones_like(attended[..., 0]))


def test_attention_matches_the_explicit_formula() -> None:
    ssa = small().ssa
    tokens = torch.randn(2, 4, 512)
    query, key, value = (part.view(2, 4, 8, 64).transpose(1, 2) for part in ssa.qkv(tokens).chunk(3, dim=-1))
    weights = (query @ key.transpose(-1, -2) * 64**-0.5).softmax(dim=-1)
    mixed = ssa.projection((weights @ value).transpose(1, 2).reshape(2, 4, 512))
    expected = functional.layer_norm(tokens + mixed, (512,), ssa.norm.weight, ssa.norm.bias, 1e-5).softmax(dim=-2)
    torch.testing.assert_close(ssa(tokens), expected, rtol=1e-4, atol=1e-6)


def test_channel_attention_is_equivariant_to_a_permutation_of_the_channels() -> None:
    encoder = small()
    tokens, order = torch.randn(2, 512, 4), torch.randperm(512)
    torch.testing.assert_close(encoder.csa(tokens[:, order]), encoder.csa(tokens)[:, order], rtol=1e-4, atol=1e-7)


def test_spatial_attention_is_equivariant_to_a_permutation_of_positions_after_the_transpose() -> None:
    channels, order = torch.randn(2, 512, 4).softmax(dim=1), torch.tensor([2, 0, 3, 1])
    transposed, reshaped = small(), small(layout="reshape")

    def permuted_agrees(encoder: CnnSasm) -> bool:
        plain = encoder.ssa(encoder.to_positions(channels))
        moved = encoder.ssa(encoder.to_positions(channels[:, :, order]))
        return torch.allclose(moved, plain[:, order], rtol=1e-4, atol=1e-6)

    assert permuted_agrees(transposed)
    assert not permuted_agrees(reshaped)


def test_position_tokens_of_the_two_layouts() -> None:
    channels = torch.arange(2 * 512 * 4, dtype=torch.float32).view(2, 512, 4)
    assert torch.equal(small().to_positions(channels)[1, 3], channels[1, :, 3])
    assert torch.equal(small(layout="reshape").to_positions(channels)[0, 0], channels[0].flatten()[:512])


def test_pooled_is_a_maximum_over_positions_of_a_softmax(full: CnnSasm) -> None:
    with torch.inference_mode():
        pooled = full.eval().pool(torch.randn(2, 512, 7, 7))
    assert bool((pooled >= 1 / 49).all())
    assert bool((pooled <= 1).all())


def test_gradients_reach_every_parameter() -> None:
    encoder = small().train()
    output = encoder(torch.rand(8, 3, 64, 64))
    functional.cross_entropy(output.logits, torch.tensor([0, 1] * 4)).backward()
    without = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    zero = [name for name, p in encoder.named_parameters() if p.grad is not None and not p.grad.abs().sum() > 0]
    # timm starts the second half of each block at zero gain, which holds back the layers in front at step 0
    assert without == []
    assert [name for name in zero if not name.startswith("trunk.layer")] == []


def test_output_is_logits_of_the_embedding() -> None:
    encoder = small()
    with torch.inference_mode():
        output = encoder(torch.rand(4, 3, 64, 64))
        torch.testing.assert_close(encoder.classify(output.embedding), output.logits)
    assert not torch.allclose(output.logits.sum(dim=1), torch.ones(4))
    assert bool((output.embedding >= 0).all())


@pytest.mark.parametrize(("px", "width"), [(32, 1), (64, 4), (96, 9), (100, 16), (224, 49)])
def test_token_width_follows_the_input_size(px: int, width: int) -> None:
    encoder = create("cnn_sasm", input_px=px, csa_heads=1).eval()
    assert encoder.csa.qkv.in_features == width
    with torch.inference_mode():
        assert encoder(torch.rand(1, 3, px, px)).logits.shape == (1, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_px": 64, "csa_heads": 7}, "csa_heads: is 7, which does not divide the token width 4"),
        ({"ssa_heads": 7}, "ssa_heads: is 7"),
        ({"csa_heads": 0}, "csa_heads: is 0"),
        ({"layout": "sideways"}, "layout: is 'sideways'"),
        ({"dropout": 1.0}, "dropout: is 1.0"),
        ({"attention_dropout": -0.1}, "attention_dropout: is -0.1"),
        ({"input_px": 16}, "input_px: is 16"),
    ],
)
def test_a_value_that_does_not_fit_names_its_key(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        create("cnn_sasm", **options)


def test_another_patch_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="patches: have shape"):
        small()(torch.rand(1, 3, 96, 96))


def test_layer_norm_eps_is_configured() -> None:
    assert small().ssa.norm.eps == 1e-5
    assert small(layer_norm_eps=1e-12).ssa.norm.eps == 1e-12


def test_attention_dropout_follows_dropout_unless_given() -> None:
    assert small().csa.attention_dropout == 0.3
    encoder = small(attention_dropout=0.0)
    assert (encoder.csa.attention_dropout, encoder.csa.projection_dropout.p) == (0.0, 0.3)


def test_attention_and_head_stay_in_float32_under_autocast() -> None:
    encoder = small()
    kinds: dict[str, torch.dtype] = {}

    def note(name: str) -> object:
        return lambda _module, _inputs, output: kinds.__setitem__(name, output.dtype)

    for name in ("trunk", "csa", "ssa", "hidden", "classifier"):
        getattr(encoder, name).register_forward_hook(note(name))
    convolution: list[torch.dtype] = []
    encoder.trunk.conv1.register_forward_hook(lambda _m, _i, output: convolution.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        output = encoder(torch.rand(2, 3, 64, 64))
    assert convolution == [torch.bfloat16]
    assert {kinds[name] for name in ("csa", "ssa", "hidden", "classifier")} == {torch.float32}
    assert output.embedding.dtype == output.logits.dtype == torch.float32


def test_input_is_normalised_inside_by_constants_that_are_no_weights() -> None:
    encoder = small()
    seen: list[torch.Tensor] = []
    encoder.trunk.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    encoder(torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    assert float(seen[0].abs().max()) < 1e-6
    assert not {"mean", "sd"} & set(encoder.state_dict())
