"""Running tasks over an executor of ``concurrent.futures``: in this process, in a pool of processes, or on Dask.

One loop serves all three. It hands out a bounded number of tasks, in the order given, and sets aside the image that
takes its worker down twice. Every image is embedded by one thread, because the bits of a convolution depend on the
number of threads that share it: any number of workers gives equal digests, and several images at a time keep the
cores busy. What counts as done is decided by the published shards, never here.
"""

import multiprocessing
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, ExitStack
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol, Self

from hccfeat.cores import shared_cores
from hccfeat.errors import ClusterError
from hccfeat.extraction.guard import Task, attempt, end_with_driver, lost
from hccfeat.extraction.outcomes import Outcome

WINDOW_PER_WORKER = 2
"""Tasks handed out ahead per process: enough to keep it busy, few enough to lose little."""

GRACE_S = 5.0
"""Seconds that idle processes may take to end."""

MAX_LOSSES = 2
"""An image that takes its worker down this often is set aside."""


def run_tasks(
    embed: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    workers: int = 0,
    *,
    scheduler: str | None = None,
    share_gpus: bool = False,
    timeout_s: float | None = None,
) -> Iterator[Outcome]:
    """Embed images or exams and yield each outcome as it comes.

    Parameters
    ----------
    embed : callable
        A function of a module, so that another process can be told of it; thread-safe.
    tasks : sequence
        Picklable, in the order to start them.
    workers : int
        0 runs in this process, one image per core at a time; more start that many processes.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers are used instead.
    share_gpus : bool
        Give each process of a pool one of the GPUs, in turn.
    timeout_s : float, optional
        Seconds that one image may take. A thread cannot be stopped, so processes do the work then.

    Yields
    ------
    Outcome
        One per task, in order of completion.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, does not see the study, or is lost.
    """
    if not tasks:
        return
    crew: Crew
    if scheduler is not None:
        from hccfeat.extraction.cluster import DaskCrew

        crew = DaskCrew(scheduler, tasks[0].study)
    elif workers == 0 and timeout_s is None:
        crew = ThreadCrew(available_cores())
    else:
        crew = PoolCrew(workers or available_cores(), share_gpus=share_gpus)
    with crew:
        yield from _run(crew, embed, tasks, timeout_s)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew(Protocol):
    """Workers behind an executor, as a context manager."""

    executor: Executor
    lost: tuple[type[BaseException], ...]
    """Exceptions of a future whose worker died."""

    def window(self) -> int:
        """Tasks to hand out at once."""

    def recover(self, running: Collection[Future[Outcome]]) -> None:
        """Be ready for work again after a loss."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ThreadCrew:
    """Threads of this process, which die with it."""

    lost: tuple[type[BaseException], ...] = ()

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        self.stack.enter_context(_one_torch_thread())
        take_part = self.stack.enter_context(shared_cores(self.threads))
        pool = ThreadPoolExecutor(self.threads, initializer=take_part)
        self.executor: Executor = self.stack.enter_context(pool)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def window(self) -> int:
        """One waits, so that no thread does."""
        return self.threads + 1

    def recover(self, running: Collection[Future[Outcome]]) -> None:
        """Nothing is lost."""


class PoolCrew:
    """Processes of this machine; when one dies, ``concurrent.futures`` gives up all of them."""

    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)

    def __init__(self, workers: int, *, share_gpus: bool) -> None:
        self.workers = workers
        self.context = multiprocessing.get_context("spawn")
        self.number = self.context.Value("i", 0) if share_gpus else None

    def __enter__(self) -> Self:
        self.pool = ProcessPoolExecutor(
            self.workers, mp_context=self.context, initializer=_begin_worker, initargs=(self.number,)
        )
        self.executor: Executor = self.pool
        return self

    def __exit__(self, *_: object) -> None:
        _close(self.pool)

    def window(self) -> int:
        """Enough to keep every process busy."""
        return self.workers * WINDOW_PER_WORKER

    def recover(self, running: Collection[Future[Outcome]]) -> None:
        """Start another pool."""
        wait(running)
        _close(self.pool)
        self.__enter__()


def _close(pool: ProcessPoolExecutor) -> None:
    """End a pool that has nothing left to do.

    A worker killed while it took from the queue leaves the queue locked, and the others would wait for ever: who
    has not ended after ``GRACE_S`` is killed.
    """
    workers = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    left: dict[Any, BaseProcess] = {worker.sentinel: worker for worker in workers}
    until = time.monotonic() + GRACE_S
    while left and (seconds := until - time.monotonic()) > 0:
        for ended in connection.wait(list(left), seconds):
            del left[ended]
    for worker in left.values():
        worker.kill()


def one_thread() -> None:
    """Let this process compute with one thread, whether torch is loaded yet or not."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _begin_worker(number: Any) -> None:
    """Start of a process of the pool; ``number`` counts them where they share the GPUs."""
    end_with_driver()
    one_thread()
    if number is not None and (gpus := _gpus()):
        with number.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number.value % len(gpus)]
            number.value += 1


def _gpus() -> list[str]:
    """GPUs that this process may use, by the names that CUDA goes by."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip()]
    driver = Path("/proc/driver/nvidia/gpus")
    return [str(place) for place in range(len(list(driver.iterdir())))] if driver.is_dir() else []


def _one_torch_thread() -> AbstractContextManager[None]:
    from hccfeat.training.threads import pinned_threads

    return pinned_threads(1)


def _run(
    crew: Crew, embed: Callable[[Task], Outcome], tasks: Sequence[Task], timeout_s: float | None
) -> Iterator[Outcome]:
    """Run tasks; one whose worker died runs again after all others, and is set aside when it dies again.

    It then runs alone: a dying worker takes along what waits there, and only the guilty one shall be blamed.
    """
    fresh, suspects = deque(tasks), deque[Task]()
    losses: Counter[str] = Counter()
    running: dict[Future[Outcome], tuple[Task, float]] = {}
    while fresh or suspects or running:
        try:
            while queue := _next_queue(crew, fresh, suspects, len(running)):
                future = crew.executor.submit(attempt, embed, queue[0], timeout_s)
                running[future] = queue.popleft(), time.monotonic()
        except BrokenExecutor:  # a process died between two tasks
            if not running:
                crew.recover(())
                continue
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        if any(_is_lost(crew, future) for future in done):
            crew.recover(running)
            done = {future for future in running if future.done()}
        finished = []
        for future in done:
            task, since = running.pop(future)
            if not _is_lost(crew, future):
                finished.append(_outcome(task, future))
                continue
            losses[task.image_id] += 1
            if losses[task.image_id] < MAX_LOSSES:
                suspects.append(task)
            else:
                failure = lost(task.image_id, losses[task.image_id], time.monotonic() - since, timeout_s)
                finished.append(Outcome(task.image_id, None, failure))
        yield from finished


def _next_queue(crew: Crew, fresh: deque[Task], suspects: deque[Task], running: int) -> deque[Task] | None:
    """Queue whose first task may start now."""
    if fresh:
        return fresh if running < crew.window() else None
    return suspects if suspects and not running else None


def _is_lost(crew: Crew, future: Future[Outcome]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), crew.lost)


def _outcome(task: Task, future: Future[Outcome]) -> Outcome:
    """Result of a task; if it could not even be sent, that is its failure and nobody else's."""
    try:
        return future.result()
    except CancelledError as error:
        raise ClusterError(
            "the Dask cluster",
            "was lost before the work was done",
            "Start it and run the same command again: every published shard counts.",
        ) from error
    except Exception as error:
        return Outcome.failed(task.image_id, error)
