"""How many threads torch may use: results of a sum depend on how it is cut."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def pin_threads(count: int | None) -> None:
    """Let torch use ``count`` threads from now on in this process; None changes nothing."""
    if count is not None:
        torch.set_num_threads(count)


@contextmanager
def pinned_threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` threads inside the block, and what it used before afterwards.

    Parameters
    ----------
    count : int or None
        Number of threads; None changes nothing.
    """
    before = torch.get_num_threads()
    pin_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
