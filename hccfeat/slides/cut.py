"""Reading the candidate patches of a slide and judging each, in blocks that several cores can share."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import Recipe
from hccfeat.cores import Shares, spread
from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.base import Slide
from hccfeat.slides.patches import PatchStatus, focus, is_blank
from hccfeat.slides.tissue import TissueRule
from hccfeat.units import Level0Px

MAX_READ_ERRORS = 0.5
BLOCK_PATCHES = 8
"""Side of the blocks that are read together: neighbours share the file's tiles."""
MOST_IN_MEMORY = 512 << 20
"""Bytes of one image's patches that are kept in memory; more lie in an unnamed file."""


@dataclass(frozen=True)
class Cut:
    """Candidates in row order with their status, and the pixels of the usable ones.

    ``coords`` int64 (C, 2), ``status`` uint8 (C,), ``patches`` uint8 (N, S, S, 3).
    """

    coords: NDArray[np.int64]
    status: NDArray[np.uint8]
    patches: NDArray[np.uint8]

    @classmethod
    def empty(cls, recipe: Recipe) -> "Cut":
        """No candidates."""
        side = recipe.patches.size_px
        return cls(np.empty((0, 2), np.int64), np.empty(0, np.uint8), np.empty((0, side, side, 3), np.uint8))

    def count(self, status: PatchStatus) -> int:
        """Candidates of this status."""
        return int((self.status == status).sum())

    def blurred_fraction(self) -> float:
        """Share of the judged tissue patches that are out of focus."""
        blurred, usable = self.count(PatchStatus.BLURRED), self.count(PatchStatus.USABLE)
        return blurred / (blurred + usable) if blurred + usable else 0.0


def cut(
    slide: Slide,
    candidates: NDArray[np.int64],
    size: Level0Px,
    rule: TissueRule,
    recipe: Recipe,
    image_id: str,
    shares: Shares,
    scratch: Path | None = None,
) -> Cut:
    """Read and judge candidates until enough are usable.

    They are visited in a random order that depends on ``recipe.patches.seed`` and ``image_id`` only. As long as
    ``n`` are missing, the next ``n`` are needed in any case: these are read together, block by block.

    Parameters
    ----------
    slide : Slide
    candidates : int64 (C, 2)
        Level-0 corners in row order.
    size : Level0Px
        Side of a patch on level 0.
    rule : TissueRule
        Of the slide.
    recipe : Recipe
    image_id : str
    shares : Shares
        Told of ``read``, ``decode`` and ``tissue``.
    scratch : Path, optional
        Folder of an unnamed file for patches that take much memory.

    Raises
    ------
    SlideError
        If most of what was tried cannot be read.
    OSError
        If the scratch folder's disk is full.
    """
    wanted = len(candidates)
    if recipe.patches.per_image is not None:
        wanted = min(wanted, recipe.patches.per_image)
    side = recipe.patches.size_px
    pixels = _room((wanted, side, side, 3), scratch)
    status = np.full(len(candidates), PatchStatus.NOT_SAMPLED, np.uint8)
    place = np.empty(len(candidates), np.int64)
    order = _visiting_order(len(candidates), recipe.patches.seed, image_id)
    kept = position = 0
    with _Twins(slide) as twins:
        while kept < wanted and position < len(order):
            batch = np.sort(order[position : position + wanted - kept])
            position += len(batch)
            free = count(kept)

            def visit(indexes: Iterable[int]) -> None:
                own = twins.own()
                for index in indexes:
                    x, y = (Level0Px(int(value)) for value in candidates[index])
                    try:
                        with shares.of_reading():
                            patch = own.read(x, y, size, side)
                    except SlideError:
                        status[index] = PatchStatus.READ_ERROR
                        continue
                    with shares.of("tissue"):
                        status[index] = _judged(patch, rule, recipe)
                    if status[index] == PatchStatus.USABLE:
                        place[index] = next(free)  # noqa: B023 - all are visited before the next round
                        pixels[place[index]] = patch

            spread(visit, _blocks(batch, candidates, size))
            kept = int((status == PatchStatus.USABLE).sum())
    _refuse_if_damaged(slide.path, status)
    _arrange(pixels, place[status == PatchStatus.USABLE])
    return Cut(candidates, status, pixels[:kept])


class _Twins:
    """The slide for the thread that opened it, a handle of its own for every other."""

    def __init__(self, slide: Slide) -> None:
        self._handles = {threading.get_ident(): slide}
        self._slide = slide

    def __enter__(self) -> "_Twins":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles.values():
            if handle is not self._slide:
                handle.close()

    def own(self) -> Slide:
        return self._handles.setdefault(threading.get_ident(), self._slide.twin())


def _room(shape: tuple[int, ...], scratch: Path | None) -> NDArray[np.uint8]:
    size = int(np.prod(shape))
    if scratch is None or size <= MOST_IN_MEMORY:
        return np.empty(shape, np.uint8)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as file:  # gone with the last reference to the array
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and a crash later
        return np.memmap(file, np.uint8, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)


def _visiting_order(candidates: int, seed: int, image_id: str) -> NDArray[np.int64]:
    digest = hashlib.sha256(f"{seed}:{image_id}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return generator.permutation(candidates)


def _blocks(batch: NDArray[np.int64], candidates: NDArray[np.int64], size: int) -> list[list[int]]:
    """Candidates of one block of the slide together, block by block in row order."""
    blocks: dict[tuple[int, int], list[int]] = {}
    for index, (x, y) in zip(batch.tolist(), (candidates[batch] // (size * BLOCK_PATCHES)).tolist(), strict=True):
        blocks.setdefault((y, x), []).append(index)
    return [blocks[key] for key in sorted(blocks)]


def _judged(patch: NDArray[np.uint8], rule: TissueRule, recipe: Recipe) -> PatchStatus:
    if is_blank(patch):
        return PatchStatus.BLANK
    if 1.0 - float(rule.is_tissue(patch).mean()) > recipe.patches.max_background:
        return PatchStatus.BACKGROUND
    if recipe.quality.min_focus > 0 and focus(patch) < recipe.quality.min_focus:
        return PatchStatus.BLURRED
    return PatchStatus.USABLE


def _refuse_if_damaged(path: Path, status: NDArray[np.uint8]) -> None:
    tried = int((status != PatchStatus.NOT_SAMPLED).sum())
    failed = int((status == PatchStatus.READ_ERROR).sum())
    if tried and failed / tried > MAX_READ_ERRORS:
        problem = f"{failed} of {tried} patches cannot be read"
        raise SlideError(FailureKind.UNREADABLE, str(path), problem, "Copy or scan the slide again.")


def _arrange(rows: NDArray[np.uint8], order: NDArray[np.int64]) -> None:
    """Row ``i`` becomes what row ``order[i]`` was, without a second copy of all."""
    for row, source in enumerate(order.tolist()):
        while source < row:  # moved on by an earlier exchange
            source = int(order[source])
        if source != row:
            rows[[row, source]] = rows[[source, row]]
