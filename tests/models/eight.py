"""The eight encoders of P1's Table 2, small."""

import torch

from hccfeat.models import Encoder, create

SIDE = 64
OPTIONS: dict[str, dict[str, object]] = {
    "resnet18": {},
    "densenet121": {},
    "swin_base": {"window_size": 4},
    "cnn_sasm": {"csa_heads": 2},
    "cnn_selfattn": {"csa_heads": 2},
    "cnn_selfattn_attn": {"csa_heads": 2},
    "cnn_csa": {"csa_heads": 2},
    "cnn_ssa": {},
}
DIMENSIONS = {"resnet18": 512, "densenet121": 1024, "swin_base": 1024}


def small(name: str, **options: object) -> Encoder:
    """An encoder for patches of 64 px, in evaluation mode."""
    torch.manual_seed(0)
    return create(name, **{"input_px": SIDE, **OPTIONS[name], **options}).eval()
