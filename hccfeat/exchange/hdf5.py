"""Opening and writing the HDF5 files of other tools."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hccfeat.exchange.bag import Facts, check_shape, coordinates, float_vectors, lacking, unreadable
from hccfeat.files import write_bytes_atomically


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, without a lock; what HDF5 raises becomes a :class:`SlideError` naming the file."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise unreadable(path, error) from error


def dataset(file: h5py.File, name: str, path: Path, layout: str) -> h5py.Dataset:
    """A dataset of an open file.

    Raises
    ------
    SlideError
        If there is none of this name; it lists those that there are.
    """
    found = file.get(name)
    if isinstance(found, h5py.Dataset):
        return found
    problem = f"has no dataset {name} (it holds {', '.join(sorted(file)) or 'nothing'})"
    raise lacking(path, problem, f"Is this a file of features as {layout} writes them? See docs/formats.md.")


def facts_of(features: h5py.Dataset, encoder: str | None, path: Path) -> Facts:
    """Facts of an open dataset of features, nothing of which is read; an empty one does not tell its dtype."""
    dim = check_shape(features.shape, path)
    return Facts(dim, features.dtype.name if features.shape[0] else None, encoder)


def read_vectors(features: h5py.Dataset, path: Path) -> NDArray[np.float32]:
    """See :func:`hccfeat.exchange.bag.float_vectors`."""
    return float_vectors(features[()], path)


def read_coordinates(file: h5py.File, rows: int, path: Path) -> NDArray[np.float64] | None:
    """Dataset ``coords`` of an open file, None where it has none."""
    return coordinates(file["coords"][()], rows, path) if "coords" in file else None


def write_hdf5(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """Publish an HDF5 file; it is made in memory, as a failed write can end the process inside the HDF5 library.

    Raises
    ------
    OSError
        If the disk is full; nothing is left behind.
    """
    with h5py.File("export", "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        content = bytes(file.id.get_file_image())
    write_bytes_atomically(path, content)
