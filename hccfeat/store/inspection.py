"""What one shard holds that is damaged or odd, and what is odd among all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hccfeat.store.findings import Finding
from hccfeat.store.shards import ShardInfo, open_shard, shard_info

FENCE = 5.0
"""A vector norm this many interquartile ranges outside the quartiles of its feature set is odd ..."""

FACTOR = 2.0
"""... if it also is this many times larger or smaller than the nearer quartile."""

_LOOK = "Look at the image (`hccfeat sql` shows its row of table shard); nothing is wrong with the file."


@dataclass(frozen=True, eq=False)
class Inspection:
    """One intact shard.

    ``info`` is what the catalog holds of it, ``zero`` counts vectors of zeros, ``repeated`` vectors equal to an
    earlier one of the shard (zeros apart), and ``log_norms`` holds minimum, quartiles and maximum of the natural
    logarithms of the other vectors' norms (empty if there are none).
    """

    info: ShardInfo
    zero: int
    repeated: int
    log_norms: tuple[float, ...]


def inspect_shard(path: Path) -> Inspection:
    """Check a shard as :func:`hccfeat.store.shards.read_shard` does, and look at its vectors.

    Raises
    ------
    StoreError
        If it is damaged, or lies at another image's place.
    """
    shard, digest = open_shard(path)
    vectors = shard.vectors
    norms = _norms(vectors)
    filled = vectors[norms > 0]
    different = len({row.tobytes() for row in filled})
    quantiles = np.quantile(np.log(norms[norms > 0]), [0, 0.25, 0.5, 0.75, 1]) if len(filled) else np.empty(0)
    return Inspection(
        info=shard_info(path, shard, digest),
        zero=len(vectors) - len(filled),
        repeated=len(filled) - different,
        log_norms=tuple(float(value) for value in quantiles),
    )


def oddities(inspections: Sequence[Inspection]) -> list[Finding]:
    """Warnings about intact shards: zero and repeated vectors, unusual norms, equal images; in order of path."""
    found: list[Finding] = []
    for name in sorted({inspection.info.feature_set for inspection in inspections}):
        members = sorted(
            (item for item in inspections if item.info.feature_set == name), key=lambda item: item.info.path
        )
        low, high = _fences(members)
        first: dict[bytes, str] = {}
        for item in members:
            problems = [_zero(item), _repeated(item), _norm(item, low, high), _twin(item, first)]
            found += [Finding(item.info.path, problem, _LOOK, "warning") for problem in problems if problem]
    return found


def _norms(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


def _fences(members: Sequence[Inspection]) -> tuple[float, float]:
    """Bounds of the usual logarithm of a norm, from the quartiles of the images' quartiles."""
    summaries = np.array([item.log_norms for item in members if item.log_norms])
    if not len(summaries):
        return -np.inf, np.inf
    lower, upper = np.quantile(summaries[:, 1], 0.25), np.quantile(summaries[:, 3], 0.75)
    reach = max(FENCE * (upper - lower), np.log(FACTOR))
    return float(lower - reach), float(upper + reach)


def _zero(item: Inspection) -> str:
    return f"{item.zero} of {item.info.patches} vectors are zero" if item.zero else ""


def _repeated(item: Inspection) -> str:
    return f"{item.repeated} of {item.info.patches} vectors repeat another one" if item.repeated else ""


def _norm(item: Inspection, low: float, high: float) -> str:
    if not item.log_norms or (item.log_norms[0] >= low and item.log_norms[-1] <= high):
        return ""
    smallest, largest = np.exp([item.log_norms[0], item.log_norms[-1]])
    usual = f"those of the feature set usually lie from {np.exp(low):.3g} to {np.exp(high):.3g}"
    return f"vectors have norms from {smallest:.3g} to {largest:.3g}, {usual}"


def _twin(item: Inspection, first: dict[bytes, str]) -> str:
    """Two images of equal mean, spread and number have the same vectors: one file under two names."""
    if not item.info.patches:
        return ""
    key = item.info.patches.to_bytes(8, "little") + item.info.mean.tobytes() + item.info.sd.tobytes()
    twin = first.setdefault(key, item.info.image_id)
    return "" if twin == item.info.image_id else f"has the same vectors as {twin}"
