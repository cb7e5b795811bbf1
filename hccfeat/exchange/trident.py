"""TRIDENT: one HDF5 file per slide with ``features`` and ``coords``, level-0 pixels, attributes on ``coords``."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hccfeat.errors import InputError
from hccfeat.exchange.bag import Bag, Facts, FoundFile, contradicts, number, text
from hccfeat.exchange.exported import Exported, FloatType
from hccfeat.exchange.finding import by_stem, files_in, nothing_found
from hccfeat.exchange.hdf5 import dataset, facts_of, opened, read_coordinates, read_vectors, write_hdf5
from hccfeat.store.trident import MISSING, PLACE_ATTRIBUTES, place_attributes


def find(path: Path, coords: Path | None = None) -> list[FoundFile]:
    """Find the feature files of a job folder, of one of its patch folders, or of a ``features_<encoder>`` folder.

    Raises
    ------
    InputError
        If there are none, or several encoders or patch sizes to choose from.
    """
    del coords  # each file has its own
    if path.is_file():
        return by_stem([path])
    if direct := files_in(path, ".h5"):
        return by_stem(direct)
    folders = sorted([*path.glob("features_*"), *path.glob("*/features_*")])
    if len(folders) > 1:
        listed = ", ".join(str(folder.relative_to(path)) for folder in folders)
        raise InputError(str(path), f"holds several sets of features ({listed})", "Give one of these folders.")
    found = by_stem(files_in(folders[0], ".h5")) if folders else []
    if not found:
        raise nothing_found(path, "TRIDENT", "the folder features_<encoder> with one .h5 per slide")
    return found


def facts(file: FoundFile) -> Facts:
    """Dimension, dtype and encoder of one file, without its vectors."""
    with opened(file.path) as opened_file:
        features = dataset(opened_file, "features", file.path, "TRIDENT")
        return facts_of(features, text(features.attrs.get("encoder")), file.path)


def read(file: FoundFile) -> Bag:
    """Read one file.

    Raises
    ------
    SlideError
        If it is damaged, its arrays disagree, or it says that it is of another slide.
    """
    path = file.path
    with opened(path) as opened_file:
        features = dataset(opened_file, "features", path, "TRIDENT")
        vectors = read_vectors(features, path)
        coords = read_coordinates(opened_file, len(vectors), path)
        kept = dict(opened_file["coords"].attrs) if coords is not None else {}
        check_name(file, features.attrs.get("name"), kept.get("name"))
        attributes = {name: value for name in PLACE_ATTRIBUTES if (value := number(kept.get(name))) is not None}
    return Bag(vectors, coords, "px", attributes)


def check_name(file: FoundFile, *names: Any) -> None:
    """Refuse a file that says it is of another slide than its name does.

    Raises
    ------
    SlideError
        Naming both.
    """
    own = f"{file.name}."
    for name in map(text, names):
        # Either may still have a part of the slide's suffix: slide and slide.ome are one.
        if name is not None and not (own.startswith(f"{name}.") or f"{name}.".startswith(own)):
            problem = f"says that it is of slide {name}: files were swapped or renamed"
            raise contradicts(file.path, problem, "Give each file the name of its slide.")


def write(folder: Path, slide: Exported, dtype: FloatType) -> Path:
    """Write one slide to ``<mag>x_<size>px_<overlap>px_overlap/`` below ``folder``: its patches and its features.

    Returns
    -------
    Path
        The feature file, ``features_<encoder>/<stem>.h5``.

    Raises
    ------
    SlideError
        If the coordinates are not known, or a number does not fit ``dtype``.
    """
    coords, vectors = slide.coords(), slide.vectors(dtype)
    known: dict[str, Any] = place_attributes(slide.shard.attributes)
    job = folder / "{}x_{}px_{}px_overlap".format(
        *(_plain(known.get(name, MISSING)) for name in ("target_magnification", "patch_size", "overlap"))
    )
    places = job / "patches" / f"{slide.stem}_patches.h5"
    target = job / f"features_{slide.folder}" / f"{slide.stem}.h5"
    about = {"name": slide.stem, "savetodir": str(places.parent.relative_to(folder))}
    attributes = {name: known.get(name, MISSING) for name in PLACE_ATTRIBUTES} | about
    # TRIDENT's magnification is rounded to a class: 0.23 and 0.29 um per pixel look the same without this.
    attributes["mpp"] = slide.mpp if slide.mpp is not None else MISSING

    def fill_places(file: h5py.File) -> None:
        made = file.create_dataset("coords", data=coords, chunks=(1, 2), maxshape=(None, 2))
        made.attrs.update(attributes)

    def fill(file: h5py.File) -> None:
        fill_places(file)
        width = vectors.shape[1]
        features = file.create_dataset("features", data=vectors, chunks=(1, width), maxshape=(None, width))
        own = {"savetodir": str(target.parent.relative_to(folder)), "encoder": slide.encoder}
        features.attrs.update({"name": slide.stem, **own})

    write_hdf5(places, fill_places)
    write_hdf5(target, fill)
    return target


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
