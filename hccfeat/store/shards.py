"""Shards: one immutable HDF5 file per image and feature set. ``docs/layout.md`` specifies the layout."""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import MisplacedShardError, StoreError, UnreachableShardError
from hccfeat.files import sha256_of, write_atomically
from hccfeat.store.names import image_id_of, shard_path
from hccfeat.store.shard_types import (
    ENCODING_TYPE,
    ROOT_FACTS,
    SET_ASIDE,
    Attribute,
    Shard,
    ShardInfo,
    check_arrays,
    content_digest,
    plain_attribute,
    plain_attributes,
)
from hccfeat.store.trident import MISSING, place_attributes

__all__ = [
    "Shard", "ShardInfo", "check_shard", "content_digest", "open_shard", "present_shard", "read_shard",
    "shard_info", "shard_path", "unreadable", "write_shard",
]  # fmt: skip

ENCODING_VERSION = "1.0.0"
CHUNK_ROWS = 1024


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
    check_arrays(shard)
    path = shard_path(study, shard.feature_set, shard.image_id)
    if path.is_file():
        try:
            standing = read_shard(path)
        except StoreError:
            pass  # damaged: replaced below
        else:
            if standing.feature_set_sha256 == shard.feature_set_sha256:
                return shard_info(path, standing, content_digest(standing))
    digest = content_digest(shard)

    def write(temporary: Path) -> None:
        temporary.write_bytes(_file_image(shard, digest))
        _read_file(temporary, shard.image_id)

    write_atomically(path, write)
    return shard_info(path, shard, digest)


def read_shard(path: Path) -> Shard:
    """Load a shard and check it: place, layout, shapes, finiteness, digests.

    Raises
    ------
    StoreError
        If it is missing, damaged, of a newer format, or lies at another image's place.
    """
    return open_shard(path)[0]


def open_shard(path: Path) -> tuple[Shard, str]:
    """Load and check a shard like :func:`read_shard`; return its content digest too.

    Raises
    ------
    StoreError
        As :func:`read_shard`; a :class:`hccfeat.errors.MisplacedShardError` if all but its place is right.
    """
    shard, digest = _read_file(path, str(path))
    if (path.parents[1].name, image_id_of(path)) != (shard.feature_set, shard.image_id):
        raise MisplacedShardError(str(path), shard.feature_set, shard.image_id)
    return shard, digest


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
    info = shard_info(path, *open_shard(path))
    if expected is None:
        return info
    if (info.image_id, info.feature_set, info.digest) != (expected.image_id, expected.feature_set, expected.digest):
        raise StoreError(str(path), "is intact but not the shard that was committed", SET_ASIDE)
    return info


def present_shard(study: Path, info: ShardInfo) -> ShardInfo:
    """Facts of a published shard as it lies there now: another process may have put an equal one there since.

    Raises
    ------
    StoreError
        If it is gone, or not the shard described.
    """
    path = study / info.path
    try:
        facts = path.stat()
        same = (facts.st_size, facts.st_mtime_ns) == (info.bytes, info.mtime_ns)
        return info if same else check_shard(path, info)
    except (OSError, StoreError) as error:
        problem = "is missing or changed since it was written"
        raise StoreError(str(path), problem, "Run `hccfeat extract` again.") from error


def _file_image(shard: Shard, digest: str) -> bytes:
    """Bytes of the HDF5 file.

    Made in memory: when a write to the disk fails, the HDF5 library can take the process down with it.
    """
    attributes = plain_attributes(shard.attributes)
    facts = {
        "encoding-type": ENCODING_TYPE,
        "encoding-version": ENCODING_VERSION,
        "image_id": shard.image_id,
        "feature_set": shard.feature_set,
        "feature_set_sha256": shard.feature_set_sha256,
        "digest": digest,
        "attributes_sha256": sha256_of(attributes),
    }
    with h5py.File("shard", "w", driver="core", backing_store=False) as file:
        file.attrs.update({**facts, **attributes})
        arrays: dict[str, NDArray[Any]] = {
            "features": shard.vectors,
            "coords": shard.coords,
            "skipped/coords": shard.skipped_coords,
            "skipped/status": shard.skipped_status,
        }
        for name, array in arrays.items():
            # An empty dataset cannot be chunked, so it has no checksum; the digest covers it.
            chunks = (min(len(array), CHUNK_ROWS), *array.shape[1:]) if len(array) else None
            file.create_dataset(name, data=array, chunks=chunks, fletcher32=chunks is not None)
        stem = shard.image_id.partition("/")[2]
        file["features"].attrs.update({"name": stem, "encoder": shard.feature_set})
        file["coords"].attrs.update({"name": stem, "savetodir": MISSING, **place_attributes(attributes)})
        file.flush()
        return bytes(file.id.get_file_image())


def _read_file(path: Path, entity: str) -> tuple[Shard, str]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            facts = {name: plain_attribute(value) for name, value in file.attrs.items()}
            _check_encoding(facts, entity)
            shard = Shard(
                image_id=str(facts["image_id"]),
                feature_set=str(facts["feature_set"]),
                feature_set_sha256=str(facts["feature_set_sha256"]),
                vectors=file["features"][()],
                coords=file["coords"][()],
                skipped_coords=file["skipped/coords"][()],
                skipped_status=file["skipped/status"][()],
                attributes={name: value for name, value in facts.items() if name not in ROOT_FACTS},
            )
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise unreadable(entity, error) from error
    check_arrays(shard, SET_ASIDE)
    digest = content_digest(shard)
    if digest != facts["digest"]:
        raise StoreError(entity, "the arrays do not match their digest", SET_ASIDE)
    if sha256_of(dict(shard.attributes)) != facts["attributes_sha256"]:
        raise StoreError(entity, "the attributes do not match their digest", SET_ASIDE)
    return shard, digest


def unreadable(entity: str, error: BaseException) -> StoreError:
    """Why a shard cannot be read: it is gone, the system does not hand it out, or it is damaged."""
    # HDF5 gives the system's number for what the system refuses only, not for what is wrong with the content.
    found = re.search(r"errno = (\d+)", str(error)) if isinstance(error, OSError) else None
    number = getattr(error, "errno", None) or (int(found[1]) if found else None)
    if number == errno.ENOENT:
        return StoreError(entity, "cannot be read: the shard's file is missing", SET_ASIDE)
    if number is not None:
        problem = f"cannot be opened ({os.strerror(number)}): permissions or file system"
        return UnreachableShardError(
            entity, problem, "Make the file readable, or move it away; `--repair` leaves it where it is."
        )
    return StoreError(entity, f"cannot be read ({error})", SET_ASIDE)


def _check_encoding(facts: Mapping[str, Attribute], entity: str) -> None:
    if facts.get("encoding-type") != ENCODING_TYPE:
        raise StoreError(entity, "is not an hccfeat shard", "Move the file out of the study's features folder.")
    version = str(facts.get("encoding-version"))
    if version.split(".")[0] != ENCODING_VERSION.split(".")[0]:
        raise StoreError(entity, f"has shard format {version}, this hccfeat reads 1.x", "Update hccfeat.")


def shard_info(path: Path, shard: Shard, digest: str) -> ShardInfo:
    """Describe an intact shard as the catalog holds it."""
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
        attributes=plain_attributes(shard.attributes),
        feature_set_sha256=shard.feature_set_sha256,
        skipped_by_status={int(code): int(count) for code, count in zip(codes, counts, strict=True)},
    )
