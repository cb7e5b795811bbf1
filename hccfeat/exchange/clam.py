"""CLAM: features with coordinates in ``h5_files/``, without in ``pt_files/``; the patches' size in ``patches/``."""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import InputError
from hccfeat.exchange.bag import (
    Bag,
    Facts,
    FoundFile,
    check_shape,
    contradicts,
    coordinates,
    float_vectors,
    number,
    unreadable,
)
from hccfeat.exchange.exported import Exported, FloatType
from hccfeat.exchange.finding import files_in, nothing_found
from hccfeat.exchange.hdf5 import dataset, facts_of, opened, read_coordinates, read_vectors, write_hdf5
from hccfeat.exchange.trident import check_name
from hccfeat.files import write_bytes_atomically

PARTS = ("h5_files", "pt_files")
CHUNK_ROWS = 32


def find(path: Path, coords: Path | None = None) -> list[FoundFile]:
    """Find features below a feature folder, or in one of its two parts; HDF5 comes before ``.pt``.

    ``coords`` is the folder ``patches/`` where it does not lie beside the features.

    Raises
    ------
    InputError
        If there are none, or ``coords`` is no folder.
    """
    if coords is not None and not coords.is_dir():
        raise InputError(f"--coords {coords}", "is not a folder", "Give the folder patches/ of CLAM.")
    base = path.parent if path.is_file() or path.name in PARTS else path
    base = base.parent if base.name in PARTS else base
    folders = [coords] if coords is not None else [base / "patches", base.parent / "patches"]
    if path.is_file():
        return [_found(path, folders)]
    wanted = [path] if path.name in PARTS else [*(path / part for part in PARTS), path]
    by_name: dict[str, Path] = {}
    for suffix in (".h5", ".pt"):
        for file in (file for folder in wanted for file in files_in(folder, suffix)):
            by_name.setdefault(file.stem, file)
    if not by_name:
        raise nothing_found(path, "CLAM", "the folder that holds h5_files/ or pt_files/")
    return [_found(by_name[name], folders) for name in sorted(by_name)]


def _found(path: Path, folders: list[Path]) -> FoundFile:
    places = (folder / f"{path.stem}.h5" for folder in folders)
    return FoundFile(path.stem, path, next((place for place in places if place.is_file()), None))


def facts(file: FoundFile) -> Facts:
    """Dimension and dtype of one file; CLAM does not name the network."""
    if file.path.suffix == ".pt":
        array = _tensor(file.path)
        return Facts(check_shape(array.shape, file.path), array.dtype.name if len(array) else None, None)
    with opened(file.path) as opened_file:
        return facts_of(dataset(opened_file, "features", file.path, "CLAM"), None, file.path)


def read(file: FoundFile) -> Bag:
    """Read one slide; its patches' size and level come from ``patches/`` where that is found.

    Raises
    ------
    SlideError
        If a file is damaged, or the two disagree.
    """
    if file.path.suffix == ".pt":
        vectors, coords = float_vectors(_tensor(file.path), file.path), None
    else:
        with opened(file.path) as opened_file:
            vectors = read_vectors(dataset(opened_file, "features", file.path, "CLAM"), file.path)
            coords = read_coordinates(opened_file, len(vectors), file.path)
    if file.coords is None:
        return Bag(vectors, coords)
    with opened(file.coords) as places:
        found = dataset(places, "coords", file.coords, "CLAM")
        stated = coordinates(found[()], len(vectors), file.coords)
        kept = dict(found.attrs)
    check_name(FoundFile(file.name, file.coords), kept.get("name"))
    if coords is not None and not np.array_equal(coords, stated):
        raise contradicts(file.path, f"has other coordinates than {file.coords}")
    return Bag(vectors, stated, "px", _geometry(kept, file.coords))


def _geometry(kept: dict[str, Any], path: Path) -> dict[str, int | float]:
    """Size of a patch on its level and on level 0, where it is stated."""
    size, level = number(kept.get("patch_size")), number(kept.get("patch_level"))
    factors = np.atleast_1d(kept.get("downsample", 1.0)).astype(np.float64)
    if not np.isfinite(factors).all() or (factors <= 0).any():
        raise contradicts(path, f"states the downsample {factors.tolist()}")
    found = {"patch_size": size, "patch_level": level, "level_downsample": float(factors[0])}
    if size is not None:
        found["patch_size_level0"] = round(size * float(factors[0]))
    return {name: value for name, value in found.items() if value is not None}


def _tensor(path: Path) -> NDArray[Any]:
    """The bare tensor of a ``.pt`` file; nothing in it is executed."""
    import pickle

    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise unreadable(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(loaded, torch.Tensor):
        problem = f"holds {type(loaded).__name__}, not the one tensor that CLAM writes"
        raise contradicts(path, problem, "Store the features alone, as a tensor (N, D).")
    tensor = loaded.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def write(folder: Path, slide: Exported, dtype: FloatType) -> Path:
    """Write one slide's ``patches/``, ``h5_files/`` and ``pt_files/``; without a known patch size no ``patches/``.

    Returns
    -------
    Path
        The file in ``h5_files/``.

    Raises
    ------
    SlideError
        If the coordinates are not known, or a number does not fit.
    """
    target = folder / "h5_files" / f"{slide.stem}.h5"
    small, vectors = slide.coords32(target), slide.vectors(dtype)
    geometry = _geometry_of(slide)

    def fill_places(file: h5py.File) -> None:
        places = file.create_dataset("coords", data=slide.coords(), chunks=(1, 2), maxshape=(None, 2))
        places.attrs.update({**geometry, "name": slide.stem, "save_path": "patches"})

    def fill(file: h5py.File) -> None:
        for name, array in (("features", vectors), ("coords", small)):
            width = array.shape[1]
            file.create_dataset(name, data=array, chunks=(CHUNK_ROWS, width), maxshape=(None, width))

    if geometry:
        write_hdf5(folder / "patches" / f"{slide.stem}.h5", fill_places)
    _write_tensor(folder / "pt_files" / f"{slide.stem}.pt", vectors)
    write_hdf5(target, fill)
    return target


def _write_tensor(path: Path, vectors: NDArray[Any]) -> None:
    import torch

    content = io.BytesIO()  # in a file, its random temporary name would be part of the content
    torch.save(torch.from_numpy(vectors), content)
    write_bytes_atomically(path, content.getvalue())


def _geometry_of(slide: Exported) -> dict[str, Any]:
    """Attributes of ``patches/``: as they were imported, else the patch on level 0."""
    level, factor = slide.attribute("patch_level"), slide.attribute("level_downsample")
    size = slide.attribute("patch_size")
    if level is None or factor is None:
        level, factor, size = 0, 1.0, slide.attribute("patch_size_level0")
    if size is None:
        return {}
    found: dict[str, Any] = {"patch_size": size, "patch_level": level, "downsample": np.array([factor, factor])}
    width, height = slide.attribute("level0_width"), slide.attribute("level0_height")
    if width is not None and height is not None:
        sides = np.array([width // factor, height // factor], np.int64)
        found |= {"level_dim": sides, "downsampled_level_dim": sides}
    return found


def process_list(slides: list[str]) -> str:
    """Content of ``process_list_autogen.csv`` for slides that were written."""
    return "slide_id,process,status\n" + "".join(f"{name},0,processed\n" for name in slides)
