"""Shards: one immutable HDF5 file per image and feature set. ``docs/layout.md`` specifies the layout."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import StoreError
from hccfeat.files import sha256_of, write_atomically
from hccfeat.store.names import image_id_of, shard_path

ENCODING_TYPE = "hccfeat-shard"
ENCODING_VERSION = "1.0.0"
CHUNK_ROWS = 1024
COORDS_ATTRIBUTES = (
    "patch_size", "patch_size_level0", "level0_magnification", "target_magnification", "overlap",
    "level0_width", "level0_height",
)  # fmt: skip
_ROOT_FACTS = frozenset(
    ("encoding-type", "encoding-version", "image_id", "feature_set", "feature_set_sha256", "digest")
    + ("attributes_sha256",)
)
_EXTRACT_AGAIN = "Run `hccfeat extract` again; it replaces damaged shards."
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
        Provenance; ``docs/layout.md`` lists the names that reach the catalog.
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


def write_shard(study: Path, shard: Shard) -> ShardInfo:
    """Publish a shard: hidden sibling, close, reopen and check, fsync, rename, fsync of the folder.

    An intact shard of this image and feature set that is already there stays, whatever it holds: shards are
    written once. A damaged one is replaced.

    Parameters
    ----------
    study : Path
        Study folder.
    shard : Shard
        Arrays of the documented shapes and dtypes, finite.

    Returns
    -------
    ShardInfo
        Facts of the file now in place, for :meth:`hccfeat.store.committer.Committer.adopt`.

    Raises
    ------
    StoreError
        If an array is malformed or not finite, or what was written does not read back equal.
    OSError
        If the disk is full; nothing is left behind.
    """
    _check_arrays(shard)
    path = shard_path(study, shard.feature_set, shard.image_id)
    if path.is_file():
        try:
            standing = read_shard(path)
        except StoreError:
            pass  # damaged: replaced below
        else:
            if standing.feature_set_sha256 == shard.feature_set_sha256:
                return _info(path, standing, content_digest(standing))
    digest = content_digest(shard)

    def write(temporary: Path) -> None:
        _write_file(temporary, shard, digest)
        _read_file(temporary, shard.image_id)

    write_atomically(path, write)
    return _info(path, shard, digest)


def read_shard(path: Path) -> Shard:
    """Load a shard and check it: place, layout, shapes, finiteness, digests.

    Raises
    ------
    StoreError
        If it is missing, damaged, of a newer format, or lies at another image's place.
    """
    shard = _read_file(path, str(path))
    if (path.parents[1].name, image_id_of(path)) != (shard.feature_set, shard.image_id):
        problem = f"holds the vectors of {shard.image_id} in {shard.feature_set}: files were swapped or renamed"
        raise StoreError(str(path), problem, "Move it back, or delete it and run `hccfeat extract` again.")
    return shard


def check_shard(path: Path, expected: ShardInfo | None = None) -> ShardInfo:
    """Rehash a shard, and compare it with what the catalog holds.

    Parameters
    ----------
    path : Path
        ``<study>/features/<feature set>/<cohort>/<stem>.h5``.
    expected : ShardInfo, optional
        Committed facts; only image, feature set and digest are compared.

    Raises
    ------
    StoreError
        If it is damaged, or is not the shard expected.
    """
    shard = read_shard(path)
    info = _info(path, shard, content_digest(shard))
    if expected is None:
        return info
    if (info.image_id, info.feature_set, info.digest) != (expected.image_id, expected.feature_set, expected.digest):
        raise StoreError(str(path), "is intact but not the shard that was committed", _EXTRACT_AGAIN)
    return info


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


def _check_arrays(shard: Shard) -> None:
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
            raise StoreError(entity, problem, _EXTRACT_AGAIN)
    if shard.vectors.ndim != 2 or shard.vectors.shape[1] == 0:
        raise StoreError(entity, f"vectors have shape {shard.vectors.shape}, not (N, D)", _EXTRACT_AGAIN)
    if not np.isfinite(shard.vectors).all():
        raise StoreError(entity, "vectors hold NaN or infinity", "Check the encoder's weights.")
    reserved = _ROOT_FACTS.intersection(shard.attributes)
    if reserved:
        raise StoreError(entity, f"attributes use reserved names: {', '.join(sorted(reserved))}", "Rename them.")


def _write_file(path: Path, shard: Shard, digest: str) -> None:
    attributes = {name: _plain(value) for name, value in shard.attributes.items()}
    facts = {
        "encoding-type": ENCODING_TYPE,
        "encoding-version": ENCODING_VERSION,
        "image_id": shard.image_id,
        "feature_set": shard.feature_set,
        "feature_set_sha256": shard.feature_set_sha256,
        "digest": digest,
        "attributes_sha256": sha256_of(attributes),
    }
    with h5py.File(path, "w", locking=False) as file:
        file.attrs.update({**facts, **attributes})
        arrays = {
            "features": shard.vectors,
            "coords": shard.coords,
            "skipped/coords": shard.skipped_coords,
            "skipped/status": shard.skipped_status,
        }
        for name, array in arrays.items():
            # An empty dataset cannot be chunked, so it has no checksum; the digest covers it.
            options: dict[str, Any] = (
                {"chunks": (min(len(array), CHUNK_ROWS), *array.shape[1:]), "fletcher32": True} if len(array) else {}
            )
            file.create_dataset(name, data=array, **options)
        stem = shard.image_id.partition("/")[2]
        file["features"].attrs.update({"name": stem, "encoder": shard.feature_set})
        common = {"overlap": 0, **attributes}
        file["coords"].attrs.update({"name": stem, **{k: common[k] for k in COORDS_ATTRIBUTES if k in common}})


def _read_file(path: Path, entity: str) -> Shard:
    try:
        with h5py.File(path, "r", locking=False) as file:
            facts = {name: _plain(value) for name, value in file.attrs.items()}
            _check_encoding(facts, entity)
            shard = Shard(
                image_id=str(facts["image_id"]),
                feature_set=str(facts["feature_set"]),
                feature_set_sha256=str(facts["feature_set_sha256"]),
                vectors=file["features"][()],
                coords=file["coords"][()],
                skipped_coords=file["skipped/coords"][()],
                skipped_status=file["skipped/status"][()],
                attributes={name: value for name, value in facts.items() if name not in _ROOT_FACTS},
            )
    except FileNotFoundError as error:
        raise StoreError(entity, "the shard's file is missing", "Run `hccfeat extract` again.") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise StoreError(entity, f"cannot be read ({error})", _EXTRACT_AGAIN) from error
    _check_arrays(shard)
    if content_digest(shard) != facts["digest"]:
        raise StoreError(entity, "the arrays do not match their digest", _EXTRACT_AGAIN)
    if sha256_of(dict(shard.attributes)) != facts["attributes_sha256"]:
        raise StoreError(entity, "the attributes do not match their digest", _EXTRACT_AGAIN)
    return shard


def _check_encoding(facts: Mapping[str, Attribute], entity: str) -> None:
    if facts.get("encoding-type") != ENCODING_TYPE:
        raise StoreError(entity, "is not an hccfeat shard", "Move the file out of the study's features folder.")
    version = str(facts.get("encoding-version"))
    if version.split(".")[0] != ENCODING_VERSION.split(".")[0]:
        raise StoreError(entity, f"has shard format {version}, this hccfeat reads 1.x", "Update hccfeat.")


def _plain(value: Any) -> Attribute:
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


def _info(path: Path, shard: Shard, digest: str) -> ShardInfo:
    facts = path.stat()
    vectors = shard.vectors.astype(np.float64)
    empty = np.zeros(vectors.shape[1], dtype=np.float32)
    codes, counts = np.unique(shard.skipped_status, return_counts=True)
    return ShardInfo(
        image_id=shard.image_id,
        feature_set=shard.feature_set,
        path="/".join(path.parts[-4:]),
        bytes=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        digest=digest,
        patches=len(vectors),
        skipped=len(shard.skipped_status),
        mean=vectors.mean(axis=0).astype(np.float32) if len(vectors) else empty,
        sd=vectors.std(axis=0).astype(np.float32) if len(vectors) else empty,
        attributes={name: _plain(value) for name, value in shard.attributes.items()},
        feature_set_sha256=shard.feature_set_sha256,
        skipped_by_status={int(code): int(count) for code, count in zip(codes, counts, strict=True)},
    )
