"""The sizes printed in P1's Table 2."""

import pytest
import torch

from hccfeat.errors import ConfigError
from hccfeat.models import create
from hccfeat.models.sizes import encoder_size, size_of
from hccfeat.reproduction.printed import printed

PARAMETERS = {
    "resnet18": 11_690_538,
    "densenet121": 6_955_906,
    "swin_base": 87_770_226,
    "cnn_sasm": 12_303_980,
    "cnn_selfattn": 12_303_980,
    "cnn_selfattn_attn": 12_336_846,
    "cnn_csa": 11_252_332,
    "cnn_ssa": 12_294_082,
}
CLEAN = PARAMETERS | {"resnet18": 11_177_538, "swin_base": 86_745_274}


@pytest.mark.parametrize("name", PARAMETERS)
def test_printed_sizes(name: str) -> None:
    size = encoder_size(name, table2_accounting=True)
    assert size.parameters == PARAMETERS[name]
    assert size.mib == pytest.approx(printed("table2", name, "mib"), abs=0.01)


@pytest.mark.parametrize("name", CLEAN)
def test_sizes_of_the_encoders_as_they_are(name: str) -> None:
    assert encoder_size(name).parameters == CLEAN[name]


def test_the_accounting_is_that_of_the_networks_with_their_imagenet_heads() -> None:
    import timm

    with torch.device("meta"):
        resnet = timm.create_model("resnet18")
        swin = timm.create_model("swin_base_patch4_window7_224")
        head = torch.nn.Linear(1000, 2)
    dead = size_of(resnet).parameters + 512 * 2 + 2
    assert encoder_size("resnet18", table2_accounting=True).parameters == dead
    kept = size_of(swin).parameters + size_of(head).parameters
    assert encoder_size("swin_base", table2_accounting=True).parameters == kept


def test_sizes_are_those_of_real_weights_and_of_the_options() -> None:
    encoder = create("cnn_csa", input_px=64, csa_heads=2)
    assert encoder_size("cnn_csa", input_px=64, csa_heads=2) == size_of(encoder)
    assert size_of(encoder).mib == sum(p.numel() * p.element_size() for p in encoder.parameters()) / 2**20
    with pytest.raises(ConfigError, match="does not divide"):
        encoder_size("cnn_csa", input_px=64)
