"""Prepared patches shared by all cells: read once, held in memory while they fit."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import Recipe
from hccfeat.errors import SlideError
from hccfeat.extraction.executors import available_cores
from hccfeat.extraction.patch_cache import prepared_image
from hccfeat.extraction.tasks import Source, check_unchanged
from hccfeat.progress import progress_bar
from hccfeat.training.seeds import derived_seed
from hccfeat.training.threads import pinned_threads


@dataclass(frozen=True)
class Patches:
    """Patches of one image: uint8 (n, S, S, 3) and their level-0 corners, int64 (n, 2)."""

    pixels: NDArray[np.uint8]
    coords: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.coords)

    def drawn(self, most: int, *seed: int | str) -> "Patches":
        """At most ``most`` of them, drawn without replacement, in their order (P1 reading 22)."""
        if len(self) <= most:
            return self
        generator = np.random.default_rng(derived_seed(*seed))
        chosen = np.sort(generator.choice(len(self), most, replace=False))
        return Patches(self.pixels[chosen], self.coords[chosen])


@dataclass
class PatchMemory:
    """Reads prepared patches through the patch cache, and keeps up to ``limit`` bytes of them."""

    study: Path
    device: str
    limit: int = field(default_factory=lambda: _physical_memory() // 2)
    _held: dict[tuple[str, str], Patches] = field(default_factory=dict)
    _bytes: int = 0
    _lock: Lock = field(default_factory=Lock)

    def prepare(self, wanted: Sequence[tuple[Source, Recipe]]) -> None:
        """Cut and normalise what is not in the cache yet, one image per core at a time.

        Raises
        ------
        SlideError
            If a file is gone or changed since it was ingested.
        """
        todo = {_key(source, recipe): (source, recipe) for source, recipe in wanted}
        todo = {key: pair for key, pair in todo.items() if key not in self._held}
        # one thread per image, as in embedding: the bits of a sum depend on the threads that share it
        bar = progress_bar("Preparing patches", len(todo))
        with bar as advance, pinned_threads(1), ThreadPoolExecutor(available_cores()) as pool:
            for _ in pool.map(lambda pair: self.load(*pair), todo.values()):
                advance()

    def load(self, source: Source, recipe: Recipe) -> Patches:
        """Patches of an image; none where it cannot be read or was excluded.

        Raises
        ------
        SlideError
            If its file is gone or changed since it was ingested.
        """
        key = _key(source, recipe)
        if key in self._held:
            return self._held[key]
        check_unchanged(source)
        try:
            image = prepared_image(self.study, source, recipe, device=self.device, keep=True)
        except SlideError:  # damaged: `extract` lists it with its reason
            size = recipe.patches.size_px
            found = Patches(np.zeros((0, size, size, 3), dtype=np.uint8), np.zeros((0, 2), dtype=np.int64))
        else:
            found = Patches(image.patches, image.coords)
        with self._lock:
            if self._bytes + found.pixels.nbytes <= self.limit:
                self._held[key] = found
                self._bytes += found.pixels.nbytes
        return found


def _key(source: Source, recipe: Recipe) -> tuple[str, str]:
    return source.image_id, recipe.preprocessing_sha256()


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
