"""Idle cores of this process help with an image that one of its threads works on, never more than there are.

Each image has a thread. While there are fewer images than cores, the parts of one (blocks to read, batches to
embed) are shared with the cores that have none. What is computed does not depend on who computes it.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Generic, TypeVar

from threadpoolctl import threadpool_limits

if sys.platform == "linux":
    import resource

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Permits:
    """As many as there are cores; whoever computes holds one."""

    def __init__(self, count: int) -> None:
        self._changed = threading.Condition()
        self._free = count
        self._waiting = 0

    def take(self) -> None:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._free > 0)
            self._waiting -= 1
            self._free -= 1

    def take_idle(self) -> bool:
        """Take one that nobody waits for."""
        with self._changed:
            if self._free <= self._waiting:
                return False
            self._free -= 1
            return True

    def give(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()


_permits: ContextVar[_Permits | None] = ContextVar("permits", default=None)
"""None where each task has one thread: in a worker process, or outside of an extraction."""


@contextmanager
def shared_cores(count: int) -> Iterator[Callable[[], object]]:
    """Let the images worked on inside this block share ``count`` cores.

    Yields
    ------
    callable
        Other threads call it once to take part.
    """
    permits = _Permits(count)
    before = _permits.set(permits)
    try:
        with threadpool_limits(1, user_api="blas"):  # NumPy's own threads would come on top
            yield lambda: _permits.set(permits)
    finally:
        _permits.reset(before)


@contextmanager
def one_core() -> Iterator[None]:
    """Hold a core while one image is worked on; waits until one is free."""
    permits = _permits.get()
    if permits is None:
        yield
        return
    permits.take()
    try:
        yield
    finally:
        permits.give()


def spread(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Apply a thread-safe function to every item; idle cores help the caller, which holds one itself.

    Parameters
    ----------
    work : callable
        Called once for each item, from any thread.
    items : sequence
        In the order in which to start them.

    Returns
    -------
    list
        The results, in the order of the items.

    Raises
    ------
    Exception
        The error of the first item that failed; those not started by then are left out.
    """
    shared = _Shared(work, items)
    permits = _permits.get()
    helpers: list[threading.Thread] = []
    while shared.left():
        while permits is not None and shared.left() > 1 and permits.take_idle():
            helpers.append(threading.Thread(target=copy_context().run, args=(_help, shared, permits)))
            helpers[-1].start()
        shared.work_on_next()
    for helper in helpers:
        helper.join()
    return shared.results()


class _Shared(Generic[Item, Result]):
    """Items that several threads take from the front."""

    def __init__(self, work: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self._work, self._items = work, items
        self._lock = threading.Lock()
        self._next = 0
        self._done: dict[int, Result] = {}
        self._failed: dict[int, BaseException] = {}

    def left(self) -> int:
        """Items that nobody has started."""
        return 0 if self._failed else len(self._items) - self._next

    def work_on_next(self) -> None:
        with self._lock:
            if not self.left():
                return
            number = self._next
            self._next += 1
        try:
            self._done[number] = self._work(self._items[number])
        except BaseException as error:  # raised by the thread that asked
            self._failed[number] = error

    def results(self) -> list[Result]:
        if self._failed:
            raise self._failed[min(self._failed)]
        return [self._done[number] for number in range(len(self._items))]


def _help(shared: "_Shared[Item, Result]", permits: _Permits) -> None:
    """Work with a permit in hand; give it up after each item for which somebody waits."""
    while True:
        try:
            shared.work_on_next()
        finally:
            permits.give()
        if not shared.left() or not permits.take_idle():
            return


class Shares:
    """Where time goes: seconds by name, added up over the threads that spent them."""

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self._lock = threading.Lock()
        self._seconds = dict(seconds or {})

    def add(self, name: str, seconds: float) -> None:
        """Count some seconds."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count the seconds of a block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    @contextmanager
    def of_reading(self) -> Iterator[None]:
        """Count a block as ``decode`` while it computes, and as ``read`` while it waits for the file.

        A block that never gave up its core has not waited: what is missing then went to other programs.
        """
        waits, started, computed = _waits(), time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            computed, passed = time.thread_time() - computed, time.perf_counter() - started
            waited = max(passed - computed, 0.0) if _waits() != waits else 0.0
            self.add("decode", passed - waited)
            self.add("read", waited)

    def seconds(self) -> dict[str, float]:
        """What was counted."""
        with self._lock:
            return dict(self._seconds)


def _waits() -> float:
    """How often this thread has given up its core of its own accord; where nobody counts, always another number."""
    if sys.platform != "linux":
        return time.perf_counter()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
