"""The check of the trunk's precision: what it measures, whom it lets pass, and what folding changes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from hccfeat.cores import one_core, shared_cores
from hccfeat.models import Encoder, create
from hccfeat.models.lowered import lowered
from hccfeat.training.embed import CPU_BATCH, embed, to_unit_range
from hccfeat.training.precision import MAX_ERROR, PrecisionCheck, check_precision
from tests.slides.he import he_image
from tests.training.toy import ToyConvolution


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """CNN-SASM, trained for a moment so that its batch normalisations and attention have seen something."""
    torch.manual_seed(0)
    module = create("cnn_sasm", input_px=64, csa_heads=2, layer_norm_eps=1.0, dropout=0.0)
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    pixels = torch.from_numpy(np.stack([he_image(64, 64, seed) for seed in range(16)]))
    labels = torch.arange(16) % 2
    pixels[labels == 1] //= 2
    for _ in range(6):
        loss = nn.functional.cross_entropy(module(to_unit_range(pixels)).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module.eval()


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Twelve images of three patches that differ in darkness."""
    patches = [np.stack([he_image(64, 64, 10 * image + patch) for patch in range(3)]) for image in range(12)]
    return [(pixels * (0.5 + 0.04 * image)).astype(np.uint8) for image, pixels in enumerate(patches)]


def test_a_trained_network_passes_or_stays_in_float32(encoder: Encoder, images: list[np.ndarray]) -> None:
    check = check_precision(encoder, images)
    assert check.images == 12
    assert 0 < check.typical_error <= check.error
    assert check.passed == (check.error <= MAX_ERROR and check.spearman >= 0.999)
    assert check.precision == ("bf16" if check.passed else "float32")
    assert f"{check.error:.3f}" in str(check)


def test_the_error_is_in_spreads_between_images(encoder: Encoder, images: list[np.ndarray]) -> None:
    check = check_precision(encoder, images)
    exact, lower = (
        embed(encoder, np.concatenate(images), precision=precision)[0]
        .astype(np.float64)
        .reshape(12, 3, -1)
        .mean(axis=1)
        for precision in ("float32", "bf16")
    )
    spread = exact.std(axis=0, ddof=1)
    varies = spread > 0
    error = np.sqrt(((lower - exact) ** 2).mean(axis=0))[varies] / spread[varies]
    assert check.error == pytest.approx(error.max(), rel=1e-3)


def test_a_network_that_rounds_away_the_images_fails(images: list[np.ndarray]) -> None:
    """Images that differ by less than bfloat16 resolves."""
    torch.manual_seed(0)
    module = ToyConvolution(input_px=64).eval()
    flat = [np.full((2, 64, 64, 3), 128 + (image % 2), np.uint8) for image in range(12)]
    assert not check_precision(module, flat).passed
    few = check_precision(module, images[:4])
    assert few.images == 4
    assert few.precision == "float32"
    nothing = check_precision(module, [images[0][:0]])
    assert (nothing.images, nothing.passed) == (0, False)
    assert nothing.facts()["largest_error"] is None


def test_verdicts() -> None:
    assert PrecisionCheck(24, 0.02, 0.01, 0.999).passed
    for check in (
        PrecisionCheck(24, 0.021, 0.01, 1.0),
        PrecisionCheck(24, 0.01, 0.01, 0.998),
        PrecisionCheck(7, 0.0, 0.0, 1.0),
    ):
        assert not check.passed


def test_folding_leaves_the_encoder_alone_and_the_trunk_alike(encoder: Encoder, images: list[np.ndarray]) -> None:
    before = copy.deepcopy(encoder.state_dict())
    other = lowered(encoder)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert lowered(other) is other
    assert not any(isinstance(module, nn.BatchNorm2d) for module in other.modules())
    parameters = dict(other.named_parameters())
    assert {value.dtype for name, value in parameters.items() if name.startswith("trunk.")} == {torch.bfloat16}
    assert {value.dtype for name, value in parameters.items() if not name.startswith("trunk.")} == {torch.float32}
    # in float32 the folded trunk is the trunk
    rgb = to_unit_range(torch.from_numpy(images[0]))
    exact = copy.deepcopy(other).float()
    for name, weight in lowered(copy.deepcopy(encoder).double()).float().state_dict().items():
        assert torch.allclose(weight, exact.state_dict()[name], rtol=0.02, atol=1e-3)
    with torch.inference_mode():
        torch.testing.assert_close(exact(rgb).embedding, encoder(rgb).embedding, rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_bytes_do_not_depend_on_who_computes(
    encoder: Encoder, images: list[np.ndarray], precision: str
) -> None:
    pixels = np.concatenate(images * 3)
    assert len(pixels) > 3 * CPU_BATCH
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = embed(encoder, pixels, precision=precision)
        with shared_cores(3), one_core():
            helped = embed(encoder, pixels, precision=precision)
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(alone, helped, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_that_does_not_fit_is_halved(images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module = ToyConvolution(input_px=64).eval()
    pixels = np.concatenate(images)
    expected, _ = embed(module, pixels)
    forward, sizes = module.forward, []

    def small_memory(rgb: torch.Tensor) -> object:
        sizes.append(len(rgb))
        if len(rgb) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(rgb)

    monkeypatch.setattr(module, "forward", small_memory)
    limit = 5
    np.testing.assert_allclose(embed(module, pixels)[0], expected, rtol=1e-5)
    assert max(sizes) == CPU_BATCH
    limit = 0
    with pytest.raises(torch.OutOfMemoryError):
        embed(module, pixels)
    assert sizes[-1] == 1
