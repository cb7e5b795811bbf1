"""Trained weights as safetensors files that carry their recipe."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from hccfeat.errors import StoreError
from hccfeat.files import canonical_json, sha256_of_file, write_atomically

METADATA_KEY = "hccfeat"


def save_weights(path: Path, module: nn.Module, metadata: Mapping[str, Any]) -> str:
    """Publish the state of a module; equal inputs give equal bytes.

    Parameters
    ----------
    path : Path
        Final name of the safetensors file; written atomically.
    module : nn.Module
        Its ``state_dict`` is stored, on the CPU and contiguous.
    metadata : mapping
        JSON values kept in the file's header: the recipe and whatever else identifies the weights.

    Returns
    -------
    str
        Hex SHA-256 of the file.
    """
    return save_tensors(path, module.state_dict(), metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """Publish named tensors; see :func:`save_weights`."""
    # clone: safetensors refuses tensors that share memory
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    # a header with several keys is written in random order, so everything goes under one
    header = {METADATA_KEY: canonical_json(dict(metadata))}

    def write(temporary: Path) -> None:
        # save_file would make a file that only its owner can read, whatever the umask
        temporary.write_bytes(save(plain, metadata=header))

    write_atomically(path, write)
    return weights_sha256(path)


def load_weights(path: Path, module: nn.Module) -> dict[str, Any]:
    """Fill a module from a file of :func:`save_weights`.

    Returns
    -------
    dict
        The metadata.

    Raises
    ------
    StoreError
        If the file is missing, damaged or of another network.
    """
    tensors = load_tensors(path)
    expected = module.state_dict()
    wrong = set(expected) ^ set(tensors)
    wrong |= {name for name in set(expected) & set(tensors) if expected[name].shape != tensors[name].shape}
    if wrong:
        raise StoreError(
            str(path),
            f"holds the weights of another network: {len(wrong)} tensors are missing, extra or of another shape, "
            f"for instance {min(wrong)}",
            "Use the recipe that these weights were trained with.",
        )
    module.load_state_dict(tensors)
    return read_metadata(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a safetensors file; empty if hccfeat did not write it.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        return json.loads(header.get(METADATA_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def weights_sha256(path: Path) -> str:
    """Hex SHA-256 of a weights file, the identity that a feature set records.

    Raises
    ------
    StoreError
        If the file is missing.
    """
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        str(path),
        f"is not a readable safetensors file ({error})",
        "Restore it from a backup, or train again with `hccfeat extract --train`.",
    )
