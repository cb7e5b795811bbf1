"""Moments of a run, by event: the run is killed when the nth event of its kind comes.

Events are calls into the system and their return (``os.replace``, ``os.fsync``, opening, writing, locking ...), and
every entry to and exit from a function that commits; a profile function of the interpreter counts them, so
that nothing of the package is replaced. They count for the worker in a process of the pool, else for the committer
where it is among the callers, else for the driver.
"""

import errno
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import hccfeat.store

ROLES = ("worker", "committer", "driver")
CALLS = frozenset(
    (
        "close", "flock", "fsync", "ftruncate", "get_file_image", "mkdir", "open", "pwrite", "read", "replace",
        "rmdir", "scandir", "send_bytes", "stat", "sendfile", "unlink", "utime", "write",
    )
)  # fmt: skip
STORE = Path(hccfeat.store.__file__).parent
COMMITTER = str(STORE / "committer.py")
STEPS = frozenset(str(STORE / name) for name in ("apply.py", "build.py", "committer.py", "lock.py", "shards.py"))
DISK_CALLS = frozenset(("fsync", "write", "replace", "mkdir"))


@dataclass
class Moments:
    """Counts events; kills its process at one of them, or lets one fail as on a full disk."""

    folder: Path
    role: str = ""
    number: int = 0
    full: bool = False
    driver: int = field(default_factory=os.getpid)
    counts: Counter[str] = field(default_factory=Counter)

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Count what the interpreter reports; for :func:`sys.setprofile`."""
        if event in ("c_call", "c_return"):
            name = getattr(argument, "__name__", "")
            if name not in (DISK_CALLS if self.full else CALLS) or (self.full and event == "c_return"):
                return
        elif self.full or event not in ("call", "return") or frame.f_code.co_filename not in STEPS:
            return
        role = self._role(frame)
        self.counts[role] += 1
        if role == self.role and self.counts[role] == self.number:
            self._strike()

    def _role(self, frame: FrameType | None) -> str:
        if os.getpid() != self.driver:
            return "worker"
        while frame is not None:
            if frame.f_code.co_filename == COMMITTER:
                return "committer"
            frame = frame.f_back
        return "driver"

    def _strike(self) -> None:
        try:
            (self.folder / "struck").touch(exist_ok=False)  # one worker of the pool, once
        except FileExistsError:
            return
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), signal.SIGKILL)


_armed: Moments | None = None


def arm(moments: Moments, *, count: bool) -> None:
    """Count from now on, in this process and those it forks, or only let workers leave their mark."""
    global _armed
    _armed = moments
    if count:
        sys.setprofile(moments.profile)


def disarm() -> dict[str, int]:
    """Stop counting; the events of this process by role."""
    sys.setprofile(None)
    return dict(_armed.counts) if _armed else {}


def note_worker(pid: int) -> None:
    """Leave the number of this worker's events so far in a file, for :func:`worker_events`."""
    if _armed is not None and pid != _armed.driver:
        (_armed.folder / f"worker-{pid}").write_text(str(_armed.counts["worker"]))


def worker_events(folder: Path) -> int:
    """Events of the worker that had fewest."""
    return min((int(path.read_text()) for path in folder.glob("worker-*")), default=0)
