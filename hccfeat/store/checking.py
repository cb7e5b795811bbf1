"""Checking shards in another process: a file that crashes or hangs the HDF5 library takes nothing else down."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from hccfeat.errors import StoreError
from hccfeat.store.inspection import Inspection, inspect_shard
from hccfeat.store.shard_types import SET_ASIDE

TIME_LIMIT = 120.0
"""Seconds that checking one shard may take; the largest real ones take about one."""

_START_SECONDS = 300.0


def inspect_shards(
    paths: Sequence[Path], *, time_limit: float = TIME_LIMIT, isolated: bool = True
) -> Iterator[tuple[Path, Inspection | StoreError]]:
    """Inspect shards one after the other.

    Parameters
    ----------
    paths : sequence of Path
        Files of shards.
    time_limit : float
        Seconds for one of them; then its process is replaced by a new one.
    isolated : bool
        Whether to use another process; without, a file that crashes HDF5 takes this process along.

    Yields
    ------
    tuple
        The path with its inspection, or with the error that says what is wrong with it.
    """
    if not isolated:
        for path in paths:
            yield path, _inspect(path)
        return
    with _Worker(time_limit) as worker:
        for path in paths:
            yield path, worker.inspect(path)


def _inspect(path: Path) -> Inspection | StoreError:
    try:
        return inspect_shard(path)
    except StoreError as error:
        return error
    except Exception as error:  # whatever a damaged file makes a library raise
        return StoreError(str(path), f"cannot be checked ({type(error).__name__}: {error})", SET_ASIDE)


class _Worker:
    """One process that inspects many shards; a new one takes over when it dies or takes too long."""

    def __init__(self, time_limit: float) -> None:
        self._time_limit = time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def inspect(self, path: Path) -> Inspection | StoreError:
        pipe = self._pipe or self._start()
        try:
            pipe.send(path)
            if pipe.poll(self._time_limit):
                return pipe.recv()
            problem = f"could not be checked within {self._time_limit:g} s"
        except (EOFError, OSError):
            assert self._process is not None
            problem = f"ends the process that reads it (exit status {self._process.wait(5)})"
        self._stop()
        return StoreError(str(path), problem, SET_ASIDE)

    def _start(self) -> Connection:
        # No multiprocessing: its processes import the caller's script, which need not be made for that.
        ours, theirs = socket.socketpair()
        command = f"from {__name__} import serve; serve({theirs.fileno()}, {self._time_limit})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", command],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        theirs.close()
        self._pipe = Connection(ours.detach())
        try:
            if self._pipe.poll(_START_SECONDS) and self._pipe.recv() == "ready":
                return self._pipe
        except (EOFError, OSError):
            pass
        self._stop()
        raise StoreError("the process that checks shards", "does not start", "Look for a full memory or disk.")

    def _stop(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None


def serve(descriptor: int, time_limit: float) -> None:
    """Answer paths with inspections until the other end of a socket is closed; runs in the other process."""
    pipe = Connection(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send("ready")
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        # Ends this process where the one that waits for it was killed and cannot.
        signal.setitimer(signal.ITIMER_REAL, 2 * time_limit)
        pipe.send(_inspect(path))
        signal.setitimer(signal.ITIMER_REAL, 0)
