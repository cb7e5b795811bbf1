"""Reading the patches of one shard: the one way in which scans, means and datasets reach the vectors.

Opens the file with the low-level calls of h5py, which take about half the time of its objects on a shard of a few
hundred patches. ``read_shard`` loads and checks a whole shard; this reads only what is asked for, and leaves the
digest to ``hccfeat verify`` (HDF5's own checksum of each chunk still counts).
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from hccfeat.store.shards import CHUNK_ROWS, unreadable

BLOCK_ROWS = 4 * CHUNK_ROWS
"""Rows of :meth:`PatchFile.blocks`: 2 MiB of vectors of length 128, which stay in the processor's cache."""


class PatchFile:
    """One shard open for reading; use it as a context manager.

    Parameters
    ----------
    path : Path
        The shard.

    Attributes
    ----------
    rows : int
        Number of usable patches.

    Raises
    ------
    StoreError
        On entry and while reading, if the file is missing or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._file: Any = None

    def __enter__(self) -> Self:
        try:
            self._file = h5py.h5f.open(os.fsencode(self.path), h5py.h5f.ACC_RDONLY, _access())
            self.rows = int(h5py.h5d.open(self._file, b"coords").shape[0])
        except BaseException as error:
            self.__exit__(None, None, None)
            raise unreadable(str(self.path), error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if isinstance(error, OSError | KeyError | RuntimeError | ValueError):
            raise unreadable(str(self.path), error) from error

    def coords(self) -> NDArray[np.int64]:
        """Top-left corners (x, y) of all patches, pixels of level 0: int64, (rows, 2)."""
        return self._read(h5py.h5d.open(self._file, b"coords"), 0, np.empty((self.rows, 2), dtype=np.int64))

    def vectors(self, chosen: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """Vectors of all patches, or of the chosen rows (ascending): float32, (n, D).

        Of the chosen rows only the chunks that hold one are read.
        """
        dataset = self._features()
        if chosen is None or len(chosen) == self.rows:
            return self._read(dataset, 0, np.empty(dataset.shape, dtype=np.float32))
        found = np.empty((len(chosen), dataset.shape[1]), dtype=np.float32)
        edges = np.flatnonzero(np.diff(chosen // CHUNK_ROWS)) + 1
        for start, stop in zip([0, *edges], [*edges, len(chosen)], strict=True):
            rows = chosen[start:stop]
            if len(rows):
                span = np.empty((rows[-1] - rows[0] + 1, dataset.shape[1]), dtype=np.float32)
                found[start:stop] = self._read(dataset, int(rows[0]), span)[rows - rows[0]]
        return found

    def blocks(self, block_rows: int = BLOCK_ROWS) -> Iterator[NDArray[np.float32]]:
        """Vectors in blocks of rows, float32, (at most ``block_rows``, D); each block overwrites the one before."""
        dataset = self._features()
        buffer = np.empty((min(block_rows, self.rows), dataset.shape[1]), dtype=np.float32)
        for start in range(0, self.rows, block_rows):
            yield self._read(dataset, start, buffer[: min(block_rows, self.rows - start)])

    def _features(self) -> Any:
        dataset = h5py.h5d.open(self._file, b"features")
        if len(dataset.shape) != 2 or dataset.shape[0] != self.rows:
            raise ValueError(f"features have shape {dataset.shape} for {self.rows} coordinates")
        return dataset

    def _read(self, dataset: Any, start: int, target: NDArray[Any]) -> NDArray[Any]:
        if len(target):
            place = dataset.get_space()
            place.select_hyperslab((start, 0), target.shape)
            dataset.read(h5py.h5s.create_simple(target.shape), place, target)
        return target


@cache
def _access() -> Any:
    settings = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    settings.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    settings.set_file_locking(False, True)  # shards never change, and shared file systems may not lock
    return settings
