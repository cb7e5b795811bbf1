"""How much memory a query may take: a share of the machine, and a ceiling for the process that runs it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GIB = 1 << 30
_USUAL = 4 * GIB


def usual_memory() -> int:
    """Bytes that a query may take unless told otherwise: 4 GiB, on small machines a quarter of the memory."""
    with suppress(AttributeError, ValueError, OSError):
        return min(_USUAL, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4)
    return _USUAL


@contextmanager
def memory_ceiling(more: int) -> Iterator[None]:
    """Let this process take at most ``more`` bytes beyond what it has; DuckDB then fails instead of the machine.

    DuckDB counts the memory of its operators, not that of single huge values; this counts everything. Linux only
    (elsewhere nothing happens), and for a process that runs queries alone: all its threads share the ceiling.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmData:\s+(\d+) kB", status.read_text(encoding="ascii")) if status.is_file() else None
    if found is None:
        yield
        return
    import resource

    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(found.group(1)) * 1024 + more
    limits = [limit for limit in (wanted, before, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))
