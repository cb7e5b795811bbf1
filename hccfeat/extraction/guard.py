"""What stands between one task and the others: its errors, its time limit, and the end of the driver."""

import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, TypeVar

from hccfeat.errors import FailureKind
from hccfeat.extraction.outcomes import Failure, Outcome

GRACE = 1.5
"""A worker that hangs inside a library is given this many time-outs."""


class Named(Protocol):
    """What a task is about."""

    @property
    def image_id(self) -> str:
        """Key in table ``image``."""

    @property
    def study(self) -> Path:
        """Study folder, the same for all tasks of a call."""


Task = TypeVar("Task", bound=Named)


class ImageTimeoutError(BaseException):
    """An image took too long. No ``Exception``, so that nothing on its way takes it for a bad patch."""


def attempt(embed: Callable[[Task], Outcome], task: Task, timeout_s: float | None = None) -> Outcome:
    """Run one task; whatever ordinary error ends it becomes a typed failure, so that it never ends the others.

    Parameters
    ----------
    embed : callable
        What to do with the task.
    task : Named
        What it is about.
    timeout_s : float, optional
        Seconds allowed; only in a worker process that runs one task at a time. The task is interrupted between two
        steps of Python. A worker that hangs inside a library ends itself after ``GRACE`` times as long, with a
        traceback on its standard error, and counts as lost.

    Returns
    -------
    Outcome
        What ``embed`` returned, or the failure.
    """
    try:
        try:
            if timeout_s is not None:
                _start_clock(timeout_s)
            return embed(task)
        finally:
            _stop_clock(timeout_s)
    except ImageTimeoutError:
        _stop_clock(timeout_s)  # the alarm may have come while it was being stopped
        return Outcome(task.image_id, None, _timed_out(task.image_id, timeout_s or 0.0))
    except Exception as error:
        return Outcome.failed(task.image_id, error)


def lost(image_id: str, times: int, seconds: float, timeout_s: float | None = None) -> Failure:
    """Failure of an image that took its worker down ``times`` times, the last time alone after ``seconds``."""
    if timeout_s is not None and seconds >= timeout_s:
        return _timed_out(image_id, timeout_s)
    message = f"{image_id}: its worker process died {times} times. Look at this file, or free memory."
    return Failure(image_id, FailureKind.WORKER_LOST, message)


def end_with_driver() -> None:
    """End this worker process when the process that started it has died, whatever it is doing.

    A pool's workers wait for their next task for ever otherwise, and finish the present one.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> NoReturn:
    wait([sentinel])
    os._exit(1)


def _timed_out(image_id: str, timeout_s: float) -> Failure:
    remedy = "Look at this file, or raise --timeout-per-image."
    return Failure(image_id, FailureKind.TIMEOUT, f"{image_id}: took longer than {timeout_s:g} s. {remedy}")


def _start_clock(seconds: float) -> None:
    faulthandler.dump_traceback_later(seconds * GRACE, exit=True)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, _raise_timeout)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _stop_clock(seconds: float | None) -> None:
    if seconds is None:
        return
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()


def _raise_timeout(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise ImageTimeoutError
