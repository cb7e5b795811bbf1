"""The convolutional trunk: timm's ResNet18 without pooling and classifier."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hccfeat.errors import ConfigError

TIMM_NAME = "resnet18.tv_in1k"
"""The ImageNet weights that torchvision ships: the ones P1's released code starts from."""
TRUNK_CHANNELS = 512
TRUNK_STRIDE = 32


def resnet18_trunk(weights: str = "none") -> nn.Module:
    """ResNet18 up to its last feature maps: (B, 3, S, S) to (B, 512, ceil(S / 32), ceil(S / 32)).

    Parameters
    ----------
    weights : str
        ``none`` (random), ``imagenet`` (timm's hub, a download on first use) or the path of a safetensors file
        with the usual ResNet18 names (``conv1.weight``, ``layer1.0.conv1.weight``, ...; ``fc.*`` is ignored).

    Raises
    ------
    ConfigError
        If the hub cannot be reached, or the file is missing, damaged or of another network.
    """
    import timm

    if weights != "imagenet":
        trunk = timm.create_model(TIMM_NAME, pretrained=False, num_classes=0, global_pool="")
        if weights != "none":
            _load_local(trunk, Path(weights))
        return trunk
    try:
        return timm.create_model(TIMM_NAME, pretrained=True, num_classes=0, global_pool="")
    except Exception as error:  # the hub's client raises many unrelated classes when it is offline
        raise ConfigError(
            "encoder.trunk_weights",
            f"imagenet weights ({TIMM_NAME}) cannot be had from timm's hub ({type(error).__name__}: {error})",
            "Download them where there is a network and give the safetensors file, or set it to none.",
        ) from error


def _load_local(trunk: nn.Module, path: Path) -> None:
    """Fill ``trunk`` from a safetensors file."""
    if not path.is_file():
        raise ConfigError("encoder.trunk_weights", f"there is no file {path}", "Use none, imagenet or a file.")
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            "encoder.trunk_weights", f"{path} is not a readable safetensors file ({error})", "Give another file."
        ) from error
    expected = trunk.state_dict()
    found = {name: value for name, value in found.items() if not name.startswith("fc.")}
    for name, value in expected.items():
        if name.endswith("num_batches_tracked"):
            found.setdefault(name, value)
    wrong = set(expected) ^ set(found)
    wrong |= {name for name in set(expected) & set(found) if expected[name].shape != found[name].shape}
    if wrong:
        raise ConfigError(
            "encoder.trunk_weights",
            f"{path} is not a ResNet18: {len(wrong)} tensors are missing, extra or of another shape, "
            f"for instance {min(wrong)}",
            "Give the weights of a ResNet18.",
        )
    trunk.load_state_dict(found)
