"""Running tasks in this process or in a pool of processes; a lost worker never takes the others along.

Every image is embedded by one thread, because the bits of a convolution depend on the number of threads that share
it: so any number of workers gives equal digests, and the cores are kept busy by several images at a time.
"""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from hccfeat.errors import FailureKind
from hccfeat.extraction.outcomes import Failure, Outcome

WINDOW_PER_WORKER = 3
"""Tasks handed out ahead per worker: enough to keep it busy, few enough to lose little."""

MAX_LOSSES = 2
"""An image that takes its worker down this often is set aside."""


class Named(Protocol):
    """What a task is about."""

    @property
    def image_id(self) -> str:
        """Key in table ``image``."""


Task = TypeVar("Task", bound=Named)


def run_tasks(embed: Callable[[Task], Outcome], tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    """Embed images or exams and yield each outcome as it comes.

    Parameters
    ----------
    embed : callable
        A function of a module, so that another process can be told of it; thread-safe.
    tasks : sequence
        Picklable, in the order to start them.
    workers : int
        0 runs in this process, one image per core at a time; more start that many processes.

    Yields
    ------
    Outcome
        One per task, in order of completion.
    """
    if workers == 0:
        yield from _run_threads(embed, tasks, available_cores())
        return
    waiting = list(reversed(tasks))
    losses: Counter[str] = Counter()
    while waiting:
        yield from _run_pool(embed, waiting, workers, losses)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_threads(embed: Callable[[Task], Outcome], tasks: Sequence[Task], threads: int) -> Iterator[Outcome]:
    from hccfeat.training.threads import pinned_threads

    with pinned_threads(1), ThreadPoolExecutor(threads) as pool:
        waiting = list(reversed(tasks))
        running: set[Future[Outcome]] = set()
        while waiting or running:
            while waiting and len(running) <= threads:
                running.add(pool.submit(embed, waiting.pop()))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _run_pool(
    embed: Callable[[Task], Outcome], waiting: list[Task], workers: int, losses: Counter[str]
) -> Iterator[Outcome]:
    """Run one pool until the work is done or a worker dies; unfinished tasks go back to ``waiting``."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        running: dict[Future[Outcome], Task] = {}
        while waiting or running:
            try:
                while waiting and len(running) < _window(waiting, workers, losses):
                    task = waiting[-1]
                    running[pool.submit(embed, task)] = task
                    waiting.pop()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    outcome = future.result()
                    del running[future]
                    yield outcome
            except BrokenProcessPool:
                yield from _collect_after_loss(running, waiting, losses)
                return


def _window(waiting: list[Task], workers: int, losses: Counter[str]) -> int:
    """Images once lost run one at a time, so that only the guilty one is blamed."""
    return 1 if waiting[-1].image_id in losses else workers * WINDOW_PER_WORKER


def _collect_after_loss(
    running: dict[Future[Outcome], Task], waiting: list[Task], losses: Counter[str]
) -> Iterator[Outcome]:
    alone = len(running) == 1
    for future, task in running.items():
        if future.done() and future.exception() is None:
            yield future.result()
            continue
        image_id = task.image_id
        losses[image_id] += 1
        if alone and losses[image_id] >= MAX_LOSSES:
            message = (
                f"{image_id}: its worker process died {losses[image_id]} times. Look at this file, or free memory."
            )
            yield Outcome(image_id, None, Failure(image_id, FailureKind.WORKER_LOST, message))
        else:
            waiting.append(task)
