"""STAMP: one HDF5 file per slide with ``feats`` and ``coords`` in micrometres, attributes on the file itself."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import InputError
from hccfeat.exchange.bag import Bag, Facts, FoundFile, contradicts, lacking, number, text
from hccfeat.exchange.exported import Exported, FloatType
from hccfeat.exchange.finding import by_stem, files_in, nothing_found
from hccfeat.exchange.hdf5 import dataset, facts_of, opened, read_coordinates, read_vectors, write_hdf5

VERSION = "2.1.0"
"""Version of STAMP written unless another is asked for: the first that names the tile's unit."""

OLD_STRIDE_PX, OLD_TILE_UM = 224, 256.0
"""Files without a unit count pixels of tiles of 224 pixels, each 256 micrometres wide."""

NOT_TILES = "Import the features of the tiles it was made of."


def find(path: Path, coords: Path | None = None) -> list[FoundFile]:
    """Find every ``.h5`` below the folder ``<extractor>[-<hash>]``.

    Raises
    ------
    InputError
        If there are none.
    """
    del coords  # each file has its own
    found = by_stem([path] if path.is_file() else files_in(path, ".h5", below=True))
    if not found:
        raise nothing_found(path, "STAMP", "the folder <extractor>-<hash> with one .h5 per slide")
    return found


def facts(file: FoundFile) -> Facts:
    """Dimension, dtype and extractor of one file, without its vectors."""
    with opened(file.path) as opened_file:
        return facts_of(_features(opened_file, file.path), text(opened_file.attrs.get("extractor")), file.path)


def read(file: FoundFile) -> Bag:
    """Read one file; its rows are in no order, as STAMP writes them as they come.

    Raises
    ------
    SlideError
        If it is damaged, is not of tiles, or its unit is not known.
    """
    path = file.path
    with opened(path) as opened_file:
        vectors = read_vectors(_features(opened_file, path), path)
        coords = read_coordinates(opened_file, len(vectors), path)
        kept = dict(opened_file.attrs)
    size_um = number(kept.get("tile_size_um", kept.get("tile_size")))
    size_px = number(kept.get("tile_size_px"))
    if coords is not None and text(kept.get("unit")) != "um":
        coords, size_um = _old_coordinates(coords, kept, path), OLD_TILE_UM
        size_px = OLD_STRIDE_PX
    known = {"tile_size_um": size_um, "patch_size": size_px}
    return Bag(vectors, coords, "um", {name: value for name, value in known.items() if value is not None})


def _features(file: h5py.File, path: Path) -> h5py.Dataset:
    kind = text(file.attrs.get("feat_type"))
    if kind not in (None, "tile"):
        raise contradicts(path, f"holds features of a {kind}, not of tiles", NOT_TILES)
    if "feats" not in file and "patch_embeddings" in file:
        return dataset(file, "patch_embeddings", path, "STAMP")
    return dataset(file, "feats", path, "STAMP")


def _old_coordinates(coords: NDArray[np.float64], kept: dict[str, Any], path: Path) -> NDArray[np.float64]:
    """Micrometres from the pixels of files that were written before STAMP stated a unit."""
    stated = kept.get("unit")
    steps = np.concatenate([np.diff(np.unique(coords[:, axis])) for axis in (0, 1)])
    if stated is not None or (len(steps) and round(float(steps.min())) != OLD_STRIDE_PX):
        problem = f"states its coordinates in {stated}" if stated is not None else "does not state its unit"
        stride = f", and its tiles do not lie {OLD_STRIDE_PX} apart, as in old files" if stated is None else ""
        raise lacking(path, problem + stride, "Make the features again with STAMP 2, which writes micrometres.")
    return coords * (OLD_TILE_UM / OLD_STRIDE_PX)


def parse_version(version: str) -> tuple[int, ...]:
    """Numbers of a version of STAMP.

    Raises
    ------
    InputError
        If it is none.
    """
    parts = version.split(".")
    if not 2 <= len(parts) <= 3 or not all(part.isdigit() for part in parts):
        raise InputError(f"--stamp-version {version}", "is no version", "Give that of the reader, such as 2.1.0.")
    return tuple(int(part) for part in parts)


def write(folder: Path, slide: Exported, dtype: FloatType, version: str = VERSION) -> Path:
    """Write one slide to ``<encoder>/<cohort>/<stem>.h5`` below ``folder``.

    Parameters
    ----------
    folder : Path
        Destination.
    slide : Exported
        What to write.
    dtype : {"float16", "float32"}
        Of the features; STAMP's own are float16.
    version : str
        Version of STAMP that the file states; a reader refuses files of a newer one than its own.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SlideError
        If the coordinates, the size of a patch or the micrometres per pixel are not known.
    """
    target = folder / slide.folder / slide.cohort / f"{slide.stem}.h5"
    coords, vectors = slide.coords(), slide.vectors(dtype)
    mpp, side = slide.mpp, slide.attribute("patch_size_level0")
    size_um = slide.attribute("tile_size_um") or (None if side is None or mpp is None else side * mpp)
    if mpp is None or size_um is None:
        what = "micrometres per pixel" if mpp is None else "the size of a patch on the slide"
        remedy = "Ingest the slide with its mpp." if mpp is None else "Import the features with their patches/."
        raise lacking(Path(slide.shard.image_id), f"cannot become STAMP: {what} not known", remedy)
    named = "tile_size_um" if parse_version(version) >= (2, 1) else "tile_size"
    about = {
        "stamp_version": version,
        "extractor": slide.encoder,
        "unit": "um",
        named: float(size_um),
        "code_hash": slide.shard.feature_set_sha256[:8],
        "feat_type": "tile",
    }
    size_px = slide.attribute("patch_size")

    def fill(file: h5py.File) -> None:
        file.create_dataset("coords", data=(coords * mpp).astype(np.float32))
        file.create_dataset("feats", data=vectors)
        file.attrs.update(about | ({} if size_px is None else {"tile_size_px": size_px}))

    write_hdf5(target, fill)
    return target


def slide_table(rows: list[tuple[str, str]]) -> str:
    """Content of STAMP's slide table for (patient, file below the extractor's folder)."""
    return "PATIENT,FILENAME\n" + "".join(f"{patient},{name}\n" for patient, name in rows)
