"""Atomic publication of files, and content hashes."""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that nobody ever sees it half written.

    ``write`` fills a hidden sibling; it is then flushed to disk and renamed over ``path``, and the folder
    entry is flushed too. Concurrent readers see the old file or the new one, and a reader that holds the
    old file open keeps it. After a kill only the hidden sibling (``.<name>.<random>.tmp``) can remain.

    Parameters
    ----------
    path : Path
        Final name. Its folder is made if missing.
    write : callable
        Receives the temporary path and must leave a closed file there.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        write(temporary)
        flush_to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush_to_disk(path.parent)


def write_text_atomically(path: Path, text: str) -> None:
    """Publish ``text`` as UTF-8; see :func:`write_atomically`."""
    write_bytes_atomically(path, text.encode("utf-8"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file inside the kernel; file systems that share blocks (Btrfs, XFS) then copy nothing at all.

    Raises
    ------
    OSError
        If the disk is full; ``target`` may be left incomplete.
    """
    try:
        with source.open("rb") as old, target.open("wb") as new:
            left = os.fstat(old.fileno()).st_size
            while left and (copied := os.copy_file_range(old.fileno(), new.fileno(), left)):
                left -= copied
    except (AttributeError, OSError):  # other systems, and file systems that cannot
        left = 1
    if left:
        shutil.copyfile(source, target)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Publish ``content``; see :func:`write_atomically`."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)


def flush_to_disk(path: Path) -> None:
    """Fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quick_hash(path: Path, block: int = 1 << 20) -> str:
    """Hex SHA-256 of size, first and last block: a cheap identity for slides of many gigabytes."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(block))
        if size > 2 * block:
            file.seek(-block, os.SEEK_END)
        digest.update(file.read(block))
    return digest.hexdigest()


def file_system(path: Path) -> str:
    """Type of the file system that holds ``path``, as Linux names it (``ext4``, ``nfs4``); empty if unknown."""
    real = path.resolve()
    found = ("", "")
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    for line in mounts.splitlines():
        place, _, kind = line.partition(" - ")
        folder = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), place.split(" ")[4])
        if real.is_relative_to(folder) and len(folder) >= len(found[0]):
            found = (folder, kind.split(" ")[0])
    return found[1]
