"""Encoders by name."""

import pytest
import torch

from hccfeat.errors import ConfigError
from hccfeat.models import Encoder, create, names, register, registry


def test_shipped_encoders_are_known() -> None:
    assert {"cnn_sasm", "resnet18"} <= set(names())


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"encoder vgg: does not exist. Known encoders: .*cnn_sasm"):
        create("vgg")


def test_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"has no option csa_head\. Its options: .*csa_heads"):
        create("cnn_sasm", csa_head=7)


def test_an_encoder_is_added_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_encoders", dict(registry._encoders))

    @register("mean_colour")
    class MeanColour(Encoder):
        def __init__(self, *, input_px: int = 64) -> None:
            super().__init__(input_px=input_px, embedding_dim=3)
            self.head = torch.nn.Linear(3, 2)

        def feature_maps(self, normalised: torch.Tensor) -> torch.Tensor:
            return normalised

        def pool(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.mean(dim=(2, 3))

        def embed(self, pooled: torch.Tensor) -> torch.Tensor:
            return pooled

        def classify(self, embedding: torch.Tensor) -> torch.Tensor:
            return self.head(embedding)

    output = create("mean_colour")(torch.rand(2, 3, 64, 64))
    assert output.embedding.shape == (2, 3)

    with pytest.raises(ConfigError, match="registered twice"):

        @register("mean_colour")
        class Other(MeanColour):
            pass


def test_resnet18_has_the_size_of_a_clean_model() -> None:
    encoder = create("resnet18", input_px=64)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 11_177_538
    assert encoder(torch.rand(2, 3, 64, 64)).embedding.shape == (2, 512)
