"""What a file of another tool says about one slide, in memory, and the checks that every format shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import FailureKind, SlideError

Unit = Literal["px", "um"]
"""Of coordinates: pixels of level 0, or micrometres."""

LARGEST_EXACT = 2**24
"""Whole numbers up to this are exact in float32."""

MAKE_AGAIN = "Make the features of this slide again with the tool they come from."


@dataclass(frozen=True)
class FoundFile:
    """Features of one slide on disk.

    Attributes
    ----------
    name : str
        What the file calls the slide: a stem, or a whole image id.
    path : Path
        The file.
    coords : Path or None
        Another file that says where the patches lie (CLAM).
    rows : (int, int) or None
        First row and the row after the last, where one file holds many slides (Parquet).
    """

    name: str
    path: Path
    coords: Path | None = None
    rows: tuple[int, int] | None = None


@dataclass(frozen=True)
class Facts:
    """What must agree among the files of one feature set; None where a file does not say.

    ``dim`` is the length of one vector, ``dtype`` NumPy's name of the numbers, ``encoder`` the network's name.
    """

    dim: int | None
    dtype: str | None
    encoder: str | None


@dataclass(frozen=True, eq=False)
class Bag:
    """The patches of one slide as another tool stored them.

    Attributes
    ----------
    vectors : float32 (N, D)
        Finite; D is 0 where an empty file does not say.
    coords : float64 (N, 2) or None
        Top-left corner (x, y) of each patch in ``unit``; None where the file has none.
    unit : {"px", "um"}
        Pixels of level 0, or micrometres.
    attributes : mapping
        What the file says of its patches, by the names of a shard's attributes.
    """

    vectors: NDArray[np.float32]
    coords: NDArray[np.float64] | None
    unit: Unit = "px"
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


def unreadable(path: Path, error: object) -> SlideError:
    """Error for a file that cannot be opened or decoded."""
    return SlideError(FailureKind.UNREADABLE, str(path), f"cannot be read ({error})", MAKE_AGAIN)


def lacking(path: Path, problem: str, remedy: str) -> SlideError:
    """Error for a file without something that is needed."""
    return SlideError(FailureKind.INCOMPLETE, str(path), problem, remedy)


def contradicts(path: Path, problem: str, remedy: str = MAKE_AGAIN) -> SlideError:
    """Error for a file whose parts do not fit each other."""
    return SlideError(FailureKind.INCONSISTENT, str(path), problem, remedy)


def check_shape(shape: tuple[int, ...], path: Path) -> int | None:
    """Length of one vector of features of some shape; None for ``(0,)``, which does not say.

    Raises
    ------
    SlideError
        If the shape is neither (N, D) nor (0,).
    """
    if len(shape) == 2 and shape[1] > 0:
        return shape[1]
    if shape in {(0,), (0, 0)}:
        return None
    if len(shape) == 1:
        problem = "holds one vector of a whole slide, not of patches"
        raise contradicts(path, problem, "Import the features of the patches it was made of.")
    raise contradicts(path, f"holds features of shape {shape}, not (N, D)")


def float_vectors(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Features of any float or integer type as float32 (N, D); ``(0,)`` becomes (0, 0).

    Raises
    ------
    SlideError
        If they are no numbers, not finite, or beyond what float32 holds.
    """
    dim = check_shape(array.shape, path)
    if dim is None:
        return np.empty((0, 0), np.float32)
    if array.dtype.kind not in "fiu":
        raise contradicts(path, f"holds features of type {array.dtype}, which are no real numbers")
    if array.dtype.kind in "iu" and array.size and np.abs(array.astype(np.float64)).max() > LARGEST_EXACT:
        raise contradicts(path, "holds whole numbers too large for float32", "Store the features as floats.")
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise contradicts(path, "holds features that are NaN, infinite or beyond float32")
    return vectors


def coordinates(array: NDArray[Any], rows: int, path: Path) -> NDArray[np.float64]:
    """Corners (x, y) of any number type as float64 (N, 2).

    Raises
    ------
    SlideError
        If they are not finite numbers, or not one (x, y) per row of features.
    """
    if array.dtype.kind not in "fiu":
        raise contradicts(path, f"holds coordinates of type {array.dtype}, which are no real numbers")
    if array.size == 0 and rows == 0:
        return np.empty((0, 2), np.float64)
    if array.shape != (rows, 2):
        raise contradicts(path, f"holds coordinates of shape {array.shape} for {rows} vectors")
    coords = array.astype(np.float64)
    if not np.isfinite(coords).all():
        raise contradicts(path, "holds coordinates that are NaN or infinite")
    return coords


def number(value: Any) -> int | float | None:
    """A number of an attribute as int where it is whole; None for ``'None'`` and anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return None
    plain = float(value)
    if not np.isfinite(plain):
        return None
    return int(plain) if plain.is_integer() else plain


def text(value: Any) -> str | None:
    """Text of an attribute; None for empty text and ``'None'``, which stands for a missing value."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) and value not in ("", "None") else None
