"""Making the replicates of a part that are not kept yet: one by one, many at once, or in several processes."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from hccfeat.evidence.record import Part, Record, Row
from hccfeat.progress import progress_bar

SAVE_SECONDS = 5.0


def run_missing(
    record: Record, part: Part, title: str, todo: Sequence[tuple[Any, ...]], work: Callable[..., Row]
) -> Part:
    """Make every replicate of ``todo`` that the part lacks, and keep it.

    Parameters
    ----------
    record, part : Record, Part
        Where replicates are kept; the file is published every few seconds and at the end, also after an error or
        an interrupt.
    title : str
        Of the progress bar.
    todo : sequence of tuple
        What identifies each replicate, in the order of the part's first columns.
    work : callable
        Called with these values; gives the remaining columns.

    Returns
    -------
    Part
        The same part, completed. Its seconds are processor time.
    """
    done = part.done()
    missing = [key for key in todo if key not in done]
    saved = time.perf_counter()
    try:
        with progress_bar(title, len(missing)) as advance:
            for key in missing:
                started = time.process_time()
                numbers = work(*key)
                due = time.perf_counter() - saved > SAVE_SECONDS
                record.add(part, [[*key, *numbers]], time.process_time() - started, save=due)
                saved = time.perf_counter() if due else saved
                advance()
    finally:
        if missing:
            record.save()
    return part


def run_groups(
    record: Record,
    part: Part,
    title: str,
    groups: Sequence[Sequence[tuple[Any, ...]]],
    work: Callable[[Sequence[tuple[Any, ...]]], Sequence[Row]],
) -> Part:
    """Make groups of replicates that are computed together; a group that lacks one is made anew as a whole.

    Parameters
    ----------
    record, part, title
        As of :func:`run_missing`; the file is published after every group.
    groups : sequence of sequence of tuple
        What identifies each replicate.
    work : callable
        Called with a group; gives the remaining columns of each of its replicates.

    Returns
    -------
    Part
        The same part, completed.
    """
    done = part.done()
    missing = [group for group in groups if not done.issuperset(group)]
    with progress_bar(title, sum(map(len, missing))) as advance:
        for group in missing:
            started = time.process_time()
            made = zip(group, work(group), strict=True)
            rows = [[*key, *numbers] for key, numbers in made if key not in done]
            record.add(part, rows, time.process_time() - started)
            advance(len(group))
    return part


def run_processes(
    record: Record,
    part: Part,
    title: str,
    todo: Sequence[tuple[Any, ...]],
    work: Callable[..., Sequence[Row]],
    pool: ProcessPoolExecutor,
) -> Part:
    """Make missing replicates in worker processes, and keep each when it is finished.

    Parameters
    ----------
    record, part, title, todo
        As of :func:`run_missing`, in the order to start them.
    work : callable
        What a worker can be sent; called with the values of a replicate, gives the remaining columns of its rows.
    pool : ProcessPoolExecutor
        Of :func:`workers`.

    Returns
    -------
    Part
        The same part, completed.
    """
    done = part.done()
    running = {pool.submit(_timed, work, key): key for key in todo if key not in done}
    try:
        with progress_bar(title, len(running)) as advance:
            for future in as_completed(running):
                rows, seconds = future.result()
                record.add(part, [[*running[future], *row] for row in rows], seconds)
                advance()
    finally:
        for future in running:
            future.cancel()
    return part


def workers(count: int) -> ProcessPoolExecutor:
    """A pool of processes with one torch thread each."""
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _one_thread)


def _timed(work: Callable[..., Sequence[Row]], key: tuple[Any, ...]) -> tuple[Sequence[Row], float]:
    started = time.process_time()
    rows = work(*key)
    return rows, time.process_time() - started


def _one_thread() -> None:
    import torch

    from hccfeat.progress import set_quiet

    set_quiet(True)
    torch.set_num_threads(1)
