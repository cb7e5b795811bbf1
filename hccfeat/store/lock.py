"""The writer lock: one process at a time writes to a study."""

import fcntl
import json
import os
import platform
import weakref
from datetime import UTC, datetime
from pathlib import Path

from hccfeat.errors import StudyBusyError
from hccfeat.files import file_system

NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "nfs", "nfs4", "panfs",
    "smb3", "smbfs", "virtiofs",
})  # fmt: skip
"""Where a lock may hold on one machine only, without an error."""

_held: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()


class WriterLock:
    """Exclusive lock on ``.hccfeat/writer.lock``.

    The kernel drops it when the process dies, so a lock never is stale. The file says who holds it; a clean
    release empties it, so that text in a free lock file means that the last writer was killed; on a network file
    system it may also mean that its lock does not reach this machine, and is refused if another one wrote it.
    """

    def __init__(self, study: Path) -> None:
        self.path = study / ".hccfeat" / "writer.lock"
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; return whether the last writer ended cleanly.

        Raises
        ------
        StudyBusyError
            If another process, or another committer of this one, holds it; or if a writer on another machine has
            not ended cleanly and the file system's locks may not reach from there.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise StudyBusyError(
                str(self.path.parents[1]),
                f"is being written to by {holder}",
                "Wait until it has finished; reading and `hccfeat sql` work meanwhile.",
            ) from error
        text = os.pread(descriptor, 4096, 0).strip()
        if text and _host(text) != platform.node() and file_system(self.path) in NETWORK_FILE_SYSTEMS:
            os.close(descriptor)
            raise StudyBusyError(
                str(self.path.parents[1]),
                f"is being written to by {_holder(text)}, or was when that process ended: locks of a network file "
                f"system ({file_system(self.path)}) may not reach from one machine to another",
                f"Write from that machine, or make sure that nothing runs there any more and delete {self.path}.",
            )
        clean = not text
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}).encode(), 0)
        self._descriptor = descriptor
        _held.add(self)
        return clean

    def release(self, *, clean: bool = True) -> None:
        """Let go; with ``clean=False`` the next writer looks for work left half done."""
        if self._descriptor is None:
            return
        if clean:
            os.ftruncate(self._descriptor, 0)
        self.forget()
        _held.discard(self)

    def forget(self) -> None:
        """Close the file; in a forked child this keeps the lock with the parent, not with the child."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _host(text: bytes) -> str | None:
    try:
        return str(json.loads(text)["host"])
    except (ValueError, KeyError, TypeError):
        return None


def _holder(text: bytes) -> str:
    try:
        facts = json.loads(text)
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_all)
