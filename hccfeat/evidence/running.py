"""Making the replicates of a part that are not kept yet."""

import time
from collections.abc import Callable, Sequence
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
