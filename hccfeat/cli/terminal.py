"""The SQL shell at a terminal: line editing, completion, history, pages."""

import os
import pydoc
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hccfeat.errors import HccfeatError

if TYPE_CHECKING:
    from hccfeat.store.shell import Shell

HISTORY_LINES = 1000
_ROWS = 10_000


def converse(shell: "Shell") -> None:
    """Read lines until ``.quit`` or the end of the input; a query that fails costs a message, nothing more."""
    from polars.exceptions import PanicException

    shell.rows = _ROWS
    typer.echo(f"Study in {shell.study}, read-only. A statement ends with ;   .help lists the commands.")
    with suppress(ImportError):  # no readline on this platform: neither completion nor history
        _prepare_line_editing(shell)
    while not shell.finished:
        try:
            line = input("     ...> " if shell.pending.strip() else "hccfeat> ")
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            shell.pending = ""
            typer.echo()
            continue
        try:
            for text in shell.feed(line):
                show(text)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
        except (HccfeatError, OSError, PanicException) as error:
            typer.echo(str(error), err=True)


def show(text: str) -> None:
    """Print a text, in pages where it is larger than the terminal."""
    size = shutil.get_terminal_size()
    lines = text.splitlines()
    if len(lines) < size.lines and all(len(line) <= size.columns for line in lines):
        typer.echo(text, nl=False)
        return
    os.environ.setdefault("LESS", "-FRSX")  # wide tables are cut and scroll sideways
    pydoc.pager(text)


def history_file() -> Path | None:
    """Where typed lines are kept: in the user's state folder, or nowhere if that cannot be written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "hccfeat" / "sql_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what people ask may name patients
    except OSError:
        return None
    return path if os.access(path, os.R_OK | os.W_OK) else None


def _prepare_line_editing(shell: "Shell") -> None:
    import atexit
    import readline

    completer = shell.completer()
    found: list[str] = []

    def complete(_word: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            found[:] = completer.complete(shell.pending + line)
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,()=<>;+-*/'\"[]")
    editline = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")
    history = history_file()
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)
        readline.set_history_length(HISTORY_LINES)
        atexit.register(_write_history, history)


def _write_history(history: Path) -> None:
    import readline

    with suppress(OSError):
        readline.write_history_file(history)
