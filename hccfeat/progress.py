"""Progress bars for long work, on standard error; silent when it is not a terminal or ``quiet`` is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Advance(Protocol):
    """Tells a bar that work was done."""

    def __call__(self, steps: int = 1, *, note: str = "") -> None:
        """Advance by ``steps``; ``note`` is shown behind the bar."""
        ...


_quiet = False
_shown: "Progress | None" = None


def set_quiet(quiet: bool) -> None:
    """Switch every bar of this process off or on (``--quiet``, ``--json``)."""
    global _quiet
    _quiet = quiet


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Advance]:
    """Show how far ``title`` has come of ``total`` steps.

    Yields
    ------
    Advance
        Call it after each finished step: the bar counts finished work only.
    """
    if _quiet or total == 0:

        def ignore(steps: int = 1, *, note: str = "") -> None:
            del steps, note

        yield ignore
        return
    with _display() as bars:
        task = bars.add_task(title, total=total, note="")

        def advance(steps: int = 1, *, note: str = "") -> None:
            bars.update(task, advance=steps, note=note)

        yield advance


@contextmanager
def _display() -> Iterator["Progress"]:
    """The display of this process: a bar inside another is a further line of it, for a terminal has one."""
    global _shown
    if _shown is not None:
        yield _shown
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        _shown = bars
        try:
            yield bars
        finally:
            _shown = None
