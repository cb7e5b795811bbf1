"""From another tool's file to the arrays of a shard: level-0 pixels, row by row, checked against the slide."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import FailureKind, SlideError
from hccfeat.exchange.bag import Bag, Facts, contradicts, lacking

UNKNOWN_PLACE = -1
"""Coordinate of a patch of which it is not known where it lies."""

WHOLE = 1e-6

Said = TypeVar("Said", int, str)


@dataclass(frozen=True)
class Image:
    """What the catalog knows of a slide; None where it is not known.

    ``mpp`` is in micrometres per pixel of level 0, ``width`` and ``height`` are in its pixels.
    """

    image_id: str
    mpp: float | None
    mpp_source: str | None
    width: int | None
    height: int | None


@dataclass(frozen=True, eq=False)
class Placed:
    """Arrays and attributes of a shard: ``vectors`` float32 (N, D), ``coords`` int64 (N, 2)."""

    vectors: NDArray[np.float32]
    coords: NDArray[np.int64]
    attributes: dict[str, str | int | float]


def place(bag: Bag, image: Image, path: Path, dim: int, *, allow_missing: bool = False) -> Placed:
    """Bring a bag into the order and the unit of a shard.

    Rows are sorted by y, then x: the order in other files is not always reproducible.

    Parameters
    ----------
    bag : Bag
        As it was read.
    image : Image
        The slide that it is about.
    path : Path
        Its file, for messages.
    dim : int
        Length of a vector, for a bag without rows.
    allow_missing : bool
        Take vectors without coordinates; their corners are (-1, -1) and attribute ``coords_known`` is 0.

    Raises
    ------
    SlideError
        If coordinates are missing, are no whole pixels, or lie outside the slide; if micrometres cannot become
        pixels; or if the file states another size of the slide.
    """
    rows = len(bag.vectors)
    vectors = bag.vectors if rows else np.empty((0, dim), np.float32)
    attributes = _attributes(bag, image, path)
    if not rows:
        attributes |= {"status": "excluded", "reason": f"no patches in the {path.suffix} file that was imported"}
        return Placed(vectors, np.empty((0, 2), np.int64), attributes)
    attributes |= {"status": "ok", "reason": ""}
    if bag.coords is None:
        if not allow_missing:
            remedy = "Give the folder that has them too (CLAM: --coords patches), or --allow-missing-coords."
            raise lacking(path, "does not say where its patches lie", remedy)
        unknown = np.full((rows, 2), UNKNOWN_PLACE, np.int64)
        return Placed(vectors, unknown, attributes | {"coords_known": 0})
    coords = _pixels(bag.coords, _scale(bag, image, path), path)
    for axis, side in enumerate((image.width, image.height)):
        if (least := coords[:, axis].min()) < 0:
            problem = f"has patches at {'xy'[axis]} = {least}, outside the slide"
            raise contradicts(path, problem, "Look whether it is of this slide, and in level-0 pixels.")
        if side is not None and coords[:, axis].max() >= side:
            problem = f"has patches at {'xy'[axis]} = {coords[:, axis].max()}, the slide has {side} pixels"
            raise contradicts(path, problem, "Look whether it is of this slide, and in level-0 pixels.")
    order = np.lexsort((coords[:, 0], coords[:, 1]))
    return Placed(np.ascontiguousarray(vectors[order]), np.ascontiguousarray(coords[order]), attributes)


def _scale(bag: Bag, image: Image, path: Path) -> float:
    """Level-0 pixels per unit of the coordinates."""
    if bag.unit == "px":
        return 1.0
    if image.mpp is None:
        problem = f"is in micrometres, and the micrometres per pixel of {image.image_id} are not known"
        remedy = "Ingest the slide with its mpp (column mpp of the manifest)."
        raise SlideError(FailureKind.NO_MPP, str(path), problem, remedy)
    return 1.0 / image.mpp


def _pixels(coords: NDArray[np.float64], scale: float, path: Path) -> NDArray[np.int64]:
    whole = np.rint(coords * scale)
    if scale == 1.0 and (np.abs(coords - whole) > WHOLE).any():
        raise contradicts(path, "has coordinates that are no whole pixels", "Look in which unit it is.")
    return whole.astype(np.int64)


def _attributes(bag: Bag, image: Image, path: Path) -> dict[str, str | int | float]:
    found = dict(bag.attributes)
    for name, side in (("level0_width", image.width), ("level0_height", image.height)):
        if side is None:
            continue
        if name in found and found[name] != side:
            problem = f"says that its slide has {name} {found[name]}, {image.image_id} has {side}"
            raise contradicts(path, problem, "Look whether it is of this slide.")
        found[name] = side
    if image.mpp is not None:
        found |= {"mpp": image.mpp, "mpp_source": image.mpp_source or ""}
        if "patch_size_level0" not in found and isinstance(size := found.get("tile_size_um"), int | float):
            found["patch_size_level0"] = round(size / image.mpp)
    return found


def agreement(facts: Mapping[str, Facts]) -> Facts:
    """What most files say; the smallest where as many say something else."""
    said = list(facts.values())
    return Facts(_most(f.dim for f in said), _most(f.dtype for f in said), _most(f.encoder for f in said))


def disagreement(own: Facts, agreed: Facts) -> str:
    """Say what a file has that the others, or the user, have not; empty if nothing. Silence is no disagreement."""
    said = {"vectors of length": "dim", "numbers of type": "dtype", "the network": "encoder"}
    parts = [
        f"{words} {getattr(own, name)}, not {getattr(agreed, name)}"
        for words, name in said.items()
        if getattr(own, name) not in (None, getattr(agreed, name))
    ]
    return ", ".join(parts)


def _most(values: Iterable[Said | None]) -> Said | None:
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None
