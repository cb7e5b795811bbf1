"""Files as CLAM, TRIDENT and STAMP write them, made here from their documentation and not by hccfeat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

TRIDENT_COORDS = {
    "patch_size": 256, "patch_size_level0": 512, "level0_magnification": 40, "target_magnification": 20,
    "overlap": 0, "savetodir": "out", "level0_width": 4000, "level0_height": 3000,
}  # fmt: skip


def trident(
    folder: Path,
    stem: str,
    vectors: NDArray[Any],
    coords: NDArray[Any] | None,
    *,
    encoder: str = "uni_v1",
    **attributes: Any,
) -> Path:
    """``<mag>x_<ps>px_<ov>px_overlap/features_<enc>/<slide>.h5``: chunks of one row, attributes on the datasets."""
    path = folder / "20x_256px_0px_overlap" / f"features_{encoder}" / f"{stem}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        chunked = vectors.ndim == 2
        features = file.create_dataset(
            "features",
            data=vectors,
            **({"chunks": (1, vectors.shape[1]), "maxshape": (None, vectors.shape[1])} if chunked else {}),
        )
        features.attrs.update({"name": stem, "savetodir": "out", "encoder": encoder})
        if coords is not None:
            made = file.create_dataset("coords", data=coords, chunks=(1, 2), maxshape=(None, 2))
            made.attrs.update({**TRIDENT_COORDS, "name": stem, **attributes})
    return path


def clam(
    folder: Path,
    stem: str,
    vectors: NDArray[Any],
    coords: NDArray[Any],
    *,
    parts: Sequence[str] = ("patches", "h5_files", "pt_files"),
    patch_size: int = 256,
    level: int = 1,
    downsample: float = 2.0,
) -> None:
    """``patches/``, ``h5_files/`` and ``pt_files/`` of one slide."""
    import torch

    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    if "patches" in parts:
        with h5py.File(folder / "patches" / f"{stem}.h5", "w") as file:
            made = file.create_dataset("coords", data=coords.astype(np.int64), chunks=(1, 2), maxshape=(None, 2))
            made.attrs.update(
                {
                    "patch_size": patch_size, "patch_level": level, "downsample": (downsample, downsample),
                    "downsampled_level_dim": (2000, 1500), "level_dim": (2000, 1500), "name": stem,
                    "save_path": "patches",
                }
            )  # fmt: skip
    if "h5_files" in parts:
        with h5py.File(folder / "h5_files" / f"{stem}.h5", "w") as file:
            d = vectors.shape[1]
            file.create_dataset("features", data=vectors.astype(np.float32), chunks=(32, d), maxshape=(None, d))
            file.create_dataset("coords", data=coords.astype(np.int32), chunks=(32, 2), maxshape=(None, 2))
    if "pt_files" in parts:
        torch.save(torch.from_numpy(vectors.astype(np.float32)), folder / "pt_files" / f"{stem}.pt")


def stamp(
    folder: Path,
    stem: str,
    vectors: NDArray[Any],
    coords_um: NDArray[Any] | None,
    *,
    below: str = "",
    version: str = "2.3.0",
    seed: int = 0,
    **attributes: Any,
) -> Path:
    """``<extractor>-<hash>/<rel path>.h5``: contiguous, attributes on the file, rows in no order."""
    path = folder / "uni-1a2b3c4d" / below / f"{stem}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(vectors))
    with h5py.File(path, "w") as file:
        if coords_um is not None:
            file["coords"] = coords_um.astype(np.float32)[order]
        file["feats"] = vectors[order]
        size = {"tile_size_um": 256.0} if version >= "2.1" else {"tile_size": 256.0}
        file.attrs.update(
            {"stamp_version": version, "extractor": "uni", "unit": "um", **size, "tile_size_px": 224}
            | {"code_hash": "1a2b3c4d", "feat_type": "tile"}
        )
        for name, value in attributes.items():
            if value is None:
                del file.attrs[name]
            else:
                file.attrs[name] = value
    return path


def grid(rows: int, step: int = 512, columns: int = 4) -> NDArray[np.int64]:
    """Corners of ``rows`` patches, row by row."""
    k = np.arange(rows)
    return np.stack([k % columns * step, k // columns * step], axis=1).astype(np.int64)


def vectors(rows: int, dim: int = 8, seed: int = 0, dtype: str = "float32") -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(dtype)
