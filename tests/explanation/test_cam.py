"""Grad-CAM and gradient x activation: against their definitions, and where they do not exist."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hccfeat.errors import ConfigError, InputError
from hccfeat.explanation.cam import MappedEncoder, channel_contributions, grad_cam, gradient_map
from hccfeat.models import Encoder, create
from hccfeat.training.embed import to_unit_range

SIDE = 64


def encoder(name: str, **options: object) -> Encoder:
    torch.manual_seed(4)
    return create(name, input_px=SIDE, trunk_weights="none", **options).eval()


@pytest.fixture(scope="module")
def patches() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 255, (3, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def sasm() -> Encoder:
    return encoder("cnn_sasm", csa_heads=2)


def maps_and_gradients(model: Encoder, patches: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    rgb = to_unit_range(torch.from_numpy(patches))
    maps = model.feature_maps((rgb - model.mean) / model.sd).detach().requires_grad_()
    model.classify(model.embed(model.pool(maps)))[:, 1].sum().backward()
    assert maps.grad is not None
    return maps.detach(), maps.grad


@pytest.mark.parametrize("name", ["cnn_sasm", "resnet18"])
def test_the_mapped_encoder_gives_the_encoders_logits(name: str, patches: NDArray[np.uint8]) -> None:
    model = encoder(name, **({"csa_heads": 2} if name == "cnn_sasm" else {}))
    rgb = to_unit_range(torch.from_numpy(patches))
    with torch.no_grad():
        assert torch.equal(MappedEncoder(model)(rgb), model(rgb).logits)


def test_grad_cam_is_the_weighted_sum_of_the_maps(patches: NDArray[np.uint8]) -> None:
    model = encoder("resnet18")
    maps, gradients = maps_and_gradients(model, patches)
    by_hand = (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1).clamp(min=0)
    found = grad_cam(model, patches)
    assert found.shape == (3, SIDE, SIDE)
    assert found.dtype == np.float32
    # at 64 px the maps are 2 x 2: the corners of the enlarged map are their values
    corners = found[:, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(3, 2, 2)
    np.testing.assert_allclose(corners, by_hand.numpy(), rtol=1e-4, atol=1e-8)
    assert found.max() > 0


def test_a_bright_quadrant_that_alone_moves_the_logit_is_found() -> None:
    model = encoder("resnet18")
    maps = torch.full((1, 512, 2, 2), 0.1)
    maps[:, :, 1, 0] = 3.0
    with torch.no_grad():
        model.classifier.weight[1] = 1.0
    model.feature_maps = lambda normalised: maps + 0 * normalised.mean()  # type: ignore[method-assign]
    blank = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    for heat in (grad_cam(model, blank)[0], gradient_map(model, "maps", blank)[0]):
        assert np.unravel_index(heat.argmax(), heat.shape)[0] > SIDE // 2
        assert np.unravel_index(heat.argmax(), heat.shape)[1] < SIDE // 2


def test_the_gradient_through_a_layer_norm_over_positions_has_hardly_a_mean(
    sasm: Encoder, patches: NDArray[np.uint8]
) -> None:
    _, gradients = maps_and_gradients(sasm, patches)
    assert gradients.mean(dim=(2, 3)).abs().mean() < 0.05 * gradients.abs().mean()


@pytest.mark.parametrize("layer", ["maps", "csa", "ssa"])
def test_a_map_is_the_first_order_share_of_each_position(
    sasm: Encoder, patches: NDArray[np.uint8], layer: str
) -> None:
    found = gradient_map(sasm, layer, patches)  # type: ignore[arg-type]
    assert found.shape == (3, SIDE, SIDE)
    assert np.isfinite(found).all()
    assert np.abs(found).max() > 0
    corners = found[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    if layer == "maps":
        maps, gradients = maps_and_gradients(sasm, patches)
        by_hand = (maps * gradients).sum(dim=1).flatten(1).numpy()
        np.testing.assert_allclose(corners, by_hand, rtol=1e-3, atol=1e-9)
    if layer == "csa":
        total = channel_contributions(sasm, patches).sum(axis=1)
        np.testing.assert_allclose(corners.sum(axis=1), total, rtol=1e-3, atol=1e-9)


def test_ssa_positions_follow_the_tissue(sasm: Encoder, patches: NDArray[np.uint8]) -> None:
    """Without positional encoding, swapping the trunk's positions swaps the map of the spatial module alone."""
    before = gradient_map(sasm, "ssa", patches)
    original = sasm.feature_maps
    csa, sasm.csa = sasm.csa, None  # CSA's weights belong to positions
    try:
        plain = gradient_map(sasm, "ssa", patches)
        sasm.feature_maps = lambda x: original(x).flip(3)  # type: ignore[method-assign]
        flipped = gradient_map(sasm, "ssa", patches)
    finally:
        sasm.csa = csa
        sasm.feature_maps = original  # type: ignore[method-assign]
    np.testing.assert_allclose(flipped, plain[:, :, ::-1], rtol=1e-3, atol=1e-8)
    assert not np.allclose(before, plain)


def test_what_an_encoder_lacks_is_named(sasm: Encoder, patches: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match=r"ResNet18: has no CSA module"):
        gradient_map(encoder("resnet18"), "csa", patches)
    with pytest.raises(ConfigError, match=r"has no SSA module"):
        gradient_map(encoder("cnn_csa", csa_heads=2), "ssa", patches)
    with pytest.raises(ConfigError, match=r"no position"):
        gradient_map(encoder("cnn_sasm", csa_heads=2, layout="reshape"), "ssa", patches)
    with pytest.raises(ConfigError, match=r"tokens, not feature maps"):
        grad_cam(encoder("timm", model="test_vit"), patches)
    with pytest.raises(InputError, match=r"at least one patch"):
        grad_cam(sasm, patches[:0])


def test_a_frozen_backbone_with_channels_last_has_a_map(patches: NDArray[np.uint8]) -> None:
    model = encoder("timm", model="test_mambaout")
    assert np.abs(gradient_map(model, "maps", patches)).max() > 0
    assert grad_cam(model, patches).shape == (3, SIDE, SIDE)
