"""What a shard holds, in memory: arrays, their rules and their digest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import StoreError

ENCODING_TYPE = "hccfeat-shard"
ROOT_FACTS = frozenset(
    (
        "encoding-type", "encoding-version", "image_id", "feature_set", "feature_set_sha256", "digest",
        "attributes_sha256",
    )
)  # fmt: skip
"""Root attributes that the layout itself uses."""

SET_ASIDE = "Run `hccfeat verify --repair` and then `hccfeat extract` (imported features: `hccfeat import`)."
"""What puts a damaged shard right: extraction alone looks at size and time only, and leaves it as it is."""

Attribute = str | int | float


@dataclass(frozen=True, eq=False)
class Shard:
    """The usable patches of one image as vectors.

    Attributes
    ----------
    image_id, feature_set, feature_set_sha256 : str
        Whose they are, and the identity of what made them.
    vectors : ndarray of float32, shape (N, D)
        One per usable patch; N may be 0.
    coords : ndarray of int64, shape (N, 2)
        Top-left corner (x, y) of each patch, pixels of level 0.
    skipped_coords : ndarray of int64, shape (M, 2)
        The same of candidates that are not usable.
    skipped_status : ndarray of uint8, shape (M,)
        Why: 1 background, 2 read error, 3 blank, 4 blurred, 5 not sampled.
    attributes : dict
        Provenance; ``docs/layout.md`` lists the names that reach the catalog. NaN means missing.
    """

    image_id: str
    feature_set: str
    feature_set_sha256: str
    vectors: NDArray[np.float32]
    coords: NDArray[np.int64]
    skipped_coords: NDArray[np.int64]
    skipped_status: NDArray[np.uint8]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ShardInfo:
    """What the catalog holds of a shard. Small and picklable, so that workers can send it.

    ``path`` is relative to the study, ``digest`` the content digest (keyed by the image), ``mean`` and ``sd``
    float32 (D,) over the patches (population spread; zeros where there are no patches), and
    ``skipped_by_status`` counts skipped candidates by their code.
    """

    image_id: str
    feature_set: str
    path: str
    bytes: int
    mtime_ns: int
    digest: str
    patches: int
    skipped: int
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    feature_set_sha256: str = ""
    skipped_by_status: Mapping[int, int] = field(default_factory=dict)


def content_digest(shard: Shard) -> str:
    """Hex SHA-256 over the image's id and dtype, shape and bytes of every array.

    Keyed by the image, so that vectors under another image's name never pass.
    """
    digest = hashlib.sha256(f"{ENCODING_TYPE}\0{shard.image_id}\0".encode())
    for name in ("vectors", "coords", "skipped_coords", "skipped_status"):
        array = np.ascontiguousarray(getattr(shard, name))
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def check_arrays(shard: Shard, remedy: str = "Check the encoder and its weights.") -> None:
    """Refuse arrays of another shape or dtype than documented, or that are not finite.

    Parameters
    ----------
    shard : Shard
        What is to be written, or was read.
    remedy : str
        What the error advises.

    Raises
    ------
    StoreError
        Naming the array.
    """
    entity = f"shard of {shard.image_id}"
    n, m = len(shard.coords), len(shard.skipped_coords)
    wanted = {
        "vectors": (np.float32, (n, *shard.vectors.shape[1:2])),
        "coords": (np.int64, (n, 2)),
        "skipped_coords": (np.int64, (m, 2)),
        "skipped_status": (np.uint8, (m,)),
    }
    for name, (dtype, shape) in wanted.items():
        array = getattr(shard, name)
        if array.dtype != dtype or array.shape != shape or array.ndim != len(shape):
            problem = f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}"
            raise StoreError(entity, problem, remedy)
    if shard.vectors.ndim != 2 or shard.vectors.shape[1] == 0:
        raise StoreError(entity, f"vectors have shape {shard.vectors.shape}, not (N, D)", remedy)
    if not np.isfinite(shard.vectors).all():
        raise StoreError(entity, "vectors hold NaN or infinity", remedy)
    reserved = ROOT_FACTS.intersection(shard.attributes)
    if reserved:
        raise StoreError(entity, f"attributes use reserved names: {', '.join(sorted(reserved))}", "Rename them.")


def plain_attribute(value: Any) -> Attribute:
    """Python scalar of an attribute, so that equal values hash equal whatever wrote them."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int | float):
        return value
    raise StoreError("shard attribute", f"{value!r} is not text, integer or float", "Store a scalar.")


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Attribute]:
    """Attributes as they are stored: a number that is not finite is missing, so it is left out."""
    plain = {name: plain_attribute(value) for name, value in attributes.items()}
    return {name: value for name, value in plain.items() if not isinstance(value, float) or isfinite(value)}
