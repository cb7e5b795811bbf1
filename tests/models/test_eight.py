"""What holds for each of the eight encoders of P1's Table 2."""

import pytest
import torch
from torch.nn import functional

from hccfeat.errors import ConfigError
from hccfeat.models import create, names
from hccfeat.models.cnn_sasm import CnnCsa, CnnSelfAttn, CnnSelfAttnAttn, CnnSsa
from tests.models.eight import DIMENSIONS, OPTIONS, small

FAMILY = ("cnn_sasm", "cnn_selfattn", "cnn_selfattn_attn", "cnn_csa", "cnn_ssa")


def test_all_are_registered() -> None:
    assert set(OPTIONS) <= set(names())


@pytest.mark.parametrize("name", OPTIONS)
def test_shapes_and_determinism(name: str) -> None:
    encoder = small(name)
    patches = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        first, again, one = encoder(patches), encoder(patches), encoder(patches[:1])
        torch.testing.assert_close(encoder.classify(first.embedding), first.logits)
    assert first.logits.shape == (3, 2)
    assert first.embedding.shape == (3, encoder.embedding_dim)
    assert encoder.embedding_dim == DIMENSIONS.get(name, 128)
    assert first.pooled.shape == (3, DIMENSIONS.get(name, 512))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    torch.testing.assert_close(one.embedding, first.embedding[:1], rtol=1e-3, atol=1e-5)
    assert float((first.embedding[0] - first.embedding[1]).abs().max()) > 0


@pytest.mark.parametrize(
    ("name", "px"),
    [
        ("cnn_ssa", 32),
        ("cnn_selfattn_attn", 32),
        ("cnn_selfattn_attn", 100),
        ("densenet121", 32),
        ("densenet121", 100),
        ("swin_base", 100),
    ],
)
def test_other_patch_sizes(name: str, px: int) -> None:
    options = {"csa_heads": 1} if "csa_heads" in OPTIONS[name] else {}
    encoder = create(name, input_px=px, **options).eval()
    with torch.inference_mode():
        output = encoder(torch.rand(2, 3, px, px))
        maps = encoder.feature_maps(torch.rand(2, 3, px, px))
    assert maps.shape[:2] == (2, DIMENSIONS.get(name, 512)), "channels come second"
    assert output.logits.shape == (2, 2)
    assert output.embedding.shape == (2, encoder.embedding_dim)


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_reach_every_parameter(name: str) -> None:
    encoder = small(name).train()
    # timm starts the second half of each ResNet block at zero gain, which holds back the layers in front of it
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    output = encoder(torch.rand(8, 3, 64, 64))
    functional.cross_entropy(output.logits, torch.tensor([0, 1] * 4)).backward()
    without = [
        key
        for key, parameter in encoder.named_parameters()
        if parameter.grad is None or not float(parameter.grad.abs().max()) > 0
    ]
    assert without == []


@pytest.mark.parametrize("name", FAMILY)
def test_a_softmax_cancels_the_bias_of_the_layer_norm_before_it(name: str) -> None:
    encoder = small(name)
    with torch.no_grad():
        maps = torch.randn(2, 512, 2, 2)
        before = encoder.pool(maps)
        for module in (encoder.csa, encoder.ssa):
            if module is not None:
                module.norm.bias.copy_(torch.randn_like(module.norm.bias))
        after = encoder.pool(maps)
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-7) == encoder.softmax


@pytest.mark.parametrize("name", ["cnn_sasm", "cnn_csa", "cnn_ssa"])
def test_softmax_sums_to_one_over_tokens(name: str) -> None:
    encoder = small(name)
    for module, tokens in ((encoder.csa, torch.randn(3, 512, 4)), (encoder.ssa, torch.randn(3, 4, 512))):
        if module is not None:
            torch.testing.assert_close(module(tokens).sum(dim=1), torch.ones(3, tokens.shape[2]))


@pytest.mark.parametrize("name", ["cnn_selfattn", "cnn_selfattn_attn"])
def test_without_softmax_the_rows_are_those_of_a_layer_norm(name: str) -> None:
    encoder = small(name)
    attended = encoder.ssa(torch.randn(3, 4, 512))
    torch.testing.assert_close(attended.mean(dim=2), torch.zeros(3, 4), atol=1e-5, rtol=0)
    assert bool((attended < 0).any())


@pytest.mark.parametrize("name", FAMILY)
def test_permuted_channels_or_positions_permute_the_attended_tokens(name: str) -> None:
    encoder = small(name)
    channels, positions = torch.randperm(512), torch.tensor([2, 0, 3, 1])
    maps = torch.randn(2, 512, 4)
    if encoder.csa is not None:
        torch.testing.assert_close(
            encoder.csa(maps[:, channels]), encoder.csa(maps)[:, channels], rtol=1e-3, atol=1e-6
        )
    if encoder.ssa is not None:
        moved = encoder.ssa(encoder.to_positions(maps[:, :, positions]))
        plain = encoder.ssa(encoder.to_positions(maps))
        torch.testing.assert_close(moved, plain[:, positions], rtol=1e-3, atol=1e-6)


def test_what_each_ablation_leaves_out() -> None:
    sasm, plain, gated, csa, ssa = (small(name) for name in FAMILY)
    shared = {key.split(".")[0] for key in sasm.state_dict()}
    assert shared == {"csa", "ssa", "trunk", "hidden", "classifier"}
    assert set(plain.state_dict()) == set(sasm.state_dict())
    assert {key.split(".")[0] for key in gated.state_dict()} - shared == {"channel_gate", "position_gate"}
    assert {key.split(".")[0] for key in csa.state_dict()} == shared - {"ssa"}
    assert {key.split(".")[0] for key in ssa.state_dict()} == shared - {"csa"}
    assert isinstance(plain, CnnSelfAttn)
    plain.load_state_dict(sasm.state_dict())
    maps = torch.randn(2, 512, 2, 2)
    with torch.inference_mode():
        tokens = plain.to_positions(plain.csa(maps.flatten(2)))
        attended = plain.ssa.norm(tokens + plain.ssa.attend(tokens))
        torch.testing.assert_close(plain.pool(maps), attended.amax(dim=1))
        assert not torch.allclose(plain.pool(maps), sasm.pool(maps))


def test_pooled_vectors_of_the_single_modules() -> None:
    csa, ssa = small("cnn_csa"), small("cnn_ssa")
    assert isinstance(csa, CnnCsa)
    assert isinstance(ssa, CnnSsa)
    maps = torch.randn(2, 512, 2, 2)
    with torch.inference_mode():
        torch.testing.assert_close(csa.pool(maps), csa.csa(maps.flatten(2)).amax(dim=2))
        tokens = maps.flatten(2).transpose(1, 2)
        torch.testing.assert_close(ssa.pool(maps), ssa.ssa(tokens).amax(dim=1))
    assert torch.equal(ssa.to_positions(maps.flatten(2))[1, 3], maps[1, :, 1, 1])


def test_the_gates_are_those_of_cbam() -> None:
    encoder = small("cnn_selfattn_attn", csa_heads=1, input_px=96)
    assert isinstance(encoder, CnnSelfAttnAttn)
    channels = torch.randn(2, 512, 9)
    first, _, second = encoder.channel_gate.shared
    pooled = torch.stack([channels.mean(dim=2), channels.max(dim=2).values])
    gate = (pooled @ first.weight.T).relu() @ second.weight.T
    expected = channels * gate.sum(dim=0).sigmoid()[:, :, None]
    torch.testing.assert_close(encoder.channel_gate(channels), expected)
    positions = torch.randn(2, 9, 512)
    image = positions.transpose(1, 2).reshape(2, 512, 3, 3)
    summary = torch.cat([image.mean(dim=1, keepdim=True), image.amax(dim=1, keepdim=True)], dim=1)
    gated = image * functional.conv2d(summary, encoder.position_gate.convolution.weight, padding=3).sigmoid()
    torch.testing.assert_close(encoder.position_gate(positions, 3), gated.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cnn_csa", {"ssa_heads": 8}, "has no option ssa_heads"),
        ("cnn_ssa", {"csa_heads": 7}, "has no option csa_heads"),
        ("cnn_csa", {"input_px": 64}, "csa_heads: is 7, which does not divide"),
        ("cnn_selfattn", {"layout": "sideways"}, "layout: is 'sideways'"),
        ("swin_base", {"window_size": 0}, "window_size: is 0"),
        ("densenet121", {"input_px": 16}, "input_px: is 16"),
    ],
)
def test_a_value_that_does_not_fit_names_its_key(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create(name, **options)
