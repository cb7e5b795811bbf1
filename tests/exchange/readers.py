"""Readers that do what users of CLAM, TRIDENT and STAMP do with a file, and nothing of hccfeat."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def trident_reader(path: Path) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
    """Features, coordinates and their attributes; ``'None'`` is None, text that is JSON is decoded."""
    with h5py.File(path, "r") as file:
        features, coords = file["features"][:], file["coords"][:]
        attributes: dict[str, Any] = {}
        for name, value in file["coords"].attrs.items():
            if isinstance(value, str):
                attributes[name] = None if value == "None" else json.loads(value) if value[:1] == "{" else value
            else:
                attributes[name] = value
        attributes["encoder"] = file["features"].attrs["encoder"]
        assert file["features"].attrs["name"] == attributes["name"]
    assert features.ndim == 2
    assert coords.shape == (len(features), 2)
    return features, coords, attributes


def trident_corner_on_target(attributes: dict[str, Any], coords: NDArray[Any]) -> NDArray[Any]:
    """Corners counted in patches: what heat maps are drawn with."""
    return coords / attributes["patch_size_level0"]


def stamp_reader(path: Path, installed: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Features, coordinates in micrometres and the tile's side; refuses files of a newer version."""
    with h5py.File(path, "r") as file:
        version = tuple(int(part) for part in file.attrs["stamp_version"].split("."))
        if version > installed:
            message = f"written by STAMP {version}, this is {installed}"
            raise RuntimeError(message)
        assert file.attrs["unit"] == "um"
        assert file.attrs["feat_type"] == "tile"
        assert file.attrs["extractor"]
        assert len(file.attrs["code_hash"]) == 8
        side = file.attrs["tile_size_um" if "tile_size_um" in file.attrs else "tile_size"]
        assert file["coords"].chunks is None
        assert file["feats"].chunks is None
        return file["feats"][:], file["coords"][:], float(side)


def clam_reader(folder: Path, slide: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int]:
    """Features of the HDF5 file and of the tensor, coordinates, and the side of a patch on level 0."""
    import torch

    with h5py.File(folder / "h5_files" / f"{slide}.h5", "r") as file:
        features, coords = file["features"][:], file["coords"][:]
        assert not file.attrs
        assert file["features"].chunks == (32, features.shape[1])
        assert file["features"].maxshape == (None, features.shape[1])
        assert coords.dtype == np.int32
    tensor = torch.load(folder / "pt_files" / f"{slide}.pt", weights_only=True)
    with h5py.File(folder / "patches" / f"{slide}.h5", "r") as file:
        places = file["coords"]
        assert places.dtype == np.int64
        assert places.chunks == (1, 2)
        np.testing.assert_array_equal(places[:], coords)
        side = round(places.attrs["patch_size"] * places.attrs["downsample"][0])
        assert len(places.attrs["level_dim"]) == 2
    return features, tensor.numpy(), coords, side
