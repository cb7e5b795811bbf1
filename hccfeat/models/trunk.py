"""Backbones from timm, without classifier, with weights from nowhere, timm's hub or a file."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hccfeat.errors import ConfigError

RESNET18 = "resnet18.tv_in1k"
"""The ImageNet weights that torchvision ships: the ones P1's released code starts from."""
TRUNK_CHANNELS = 512
TRUNK_STRIDE = 32


def resnet18_trunk(weights: str = "none") -> nn.Module:
    """ResNet18 up to its last feature maps: (B, 3, S, S) to (B, 512, ceil(S / 32), ceil(S / 32)).

    Parameters, errors: see :func:`timm_trunk`.
    """
    return timm_trunk(RESNET18, weights, global_pool="")


def timm_trunk(name: str, weights: str = "none", **options: Any) -> nn.Module:
    """Make a timm model without its classifier.

    Parameters
    ----------
    name : str
        Name that ``timm.create_model`` takes, with the tag of its published weights, or ``hf-hub:owner/model``.
    weights : str
        ``none`` (random), ``imagenet`` (the hub's weights of that name, a download on first use) or the path of a
        safetensors file with timm's tensor names (for ResNet18 ``conv1.weight``, ``layer1.0.conv1.weight``, ...).
        A file must hold every tensor of the network and no other, except those of a classifier.
    **options
        Arguments of the model's class in timm, for instance ``img_size``; ``global_pool=""`` keeps the maps.

    Raises
    ------
    ConfigError
        If timm does not know the model or an option, the hub cannot be reached, or the file is missing, damaged
        or of another network.
    """
    trunk = _create(name, pretrained=weights == "imagenet", **options)
    if weights not in {"none", "imagenet"}:
        _load_local(trunk, name, Path(weights))
    return trunk


def _create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
    import timm

    if ":" not in name and not timm.is_model(name.split(".")[0]):
        raise ConfigError(
            f"timm model {name}", "is unknown to timm", "Look it up with timm.list_models(), or use hf-hub:<name>."
        )
    try:
        with _without_advice():
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except TypeError as error:
        raise ConfigError(
            f"timm model {name}", f"does not take these options ({error})", "Correct encoder.options."
        ) from error
    except Exception as error:  # the hub's client raises many unrelated classes when it is offline
        if not pretrained and ":" not in name:
            raise ConfigError(
                f"timm model {name}",
                f"cannot be made with these options ({type(error).__name__}: {error})",
                "Correct encoder.options and patches.size_px.",
            ) from error
        raise ConfigError(
            "encoder.trunk_weights",
            f"{name} cannot be had from timm's hub ({type(error).__name__}: {error})",
            "Download its weights where there is a network and give the safetensors file, or set it to none.",
        ) from error


def _load_local(trunk: nn.Module, name: str, path: Path) -> None:
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
    tensors = _without_classifier(trunk, found)
    if wrong := _differences(expected, tensors):
        # timm's own conversion: older names, tables of positions of another input size
        convert = getattr(sys.modules[type(trunk).__module__], "checkpoint_filter_fn", None)
        if convert is not None:
            with _without_advice():
                tensors = _without_classifier(trunk, convert(dict(found), trunk))
            wrong = _differences(expected, tensors)
    if wrong:
        raise ConfigError(
            "encoder.trunk_weights",
            f"{path} is not a {name}: {len(wrong)} tensors are missing, extra or of another shape, "
            f"for instance {min(wrong)}",
            f"Give the weights of a {name}.",
        )
    trunk.load_state_dict({key: tensors.get(key, value) for key, value in expected.items()})


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep from the user what torch tells timm about the code that interpolates tables of positions."""
    with warnings.catch_warnings():
        for message in (r"torch\.searchsorted", "Using a non-tuple sequence"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        yield


def _without_classifier(trunk: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = getattr(trunk, "pretrained_cfg", {}).get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    return {key: value for key, value in tensors.items() if not key.startswith(prefixes)}


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> set[str]:
    """Names of tensors that are missing, extra or of another shape; counters of batches may be missing."""
    needed = {key for key in expected if key in found or not key.endswith("num_batches_tracked")}
    wrong = needed ^ set(found)
    return wrong | {key for key in needed & set(found) if expected[key].shape != found[key].shape}
