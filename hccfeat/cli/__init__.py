"""The command line: one thin file per verb, heavy imports inside the verb."""

import errno
import importlib
import re
import sys
from typing import Annotated, Any

import typer

from hccfeat import __version__
from hccfeat.cli.options import PARTIAL
from hccfeat.errors import HccfeatError

VERBS = (
    "simulate", "init", "ingest", "extract", "commit", "predict", "analyze", "reproduce", "sql", "status", "verify",
    "import", "export", "rebuild_catalog", "gc", "diff", "freeze", "doctor", "demo", "evidence",
)  # fmt: skip

app = typer.Typer(
    name="hccfeat",
    help="Slides and clinical tables of a liver-cancer study in; a feature store and a report out.",
    epilog="Start with `hccfeat demo`, or `hccfeat init` in an empty folder. Exit status: 0 all done, "
    f"{PARTIAL} part of it failed and was listed, 1 nothing was done because of an error, 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (may stand anywhere).")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars (may stand anywhere).")] = False,
) -> None:
    """Take the options that every command has."""
    del debug
    if version:
        typer.echo(f"hccfeat {__version__}")
        raise typer.Exit
    from hccfeat.progress import set_quiet

    set_quiet(quiet)


for _verb in VERBS:
    importlib.import_module(f"hccfeat.cli.{_verb}").register(app)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of those of the process.

    Returns
    -------
    int
        Exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    anywhere = [flag for flag in ("--debug", "--quiet") if flag in given]
    given = anywhere + [argument for argument in given if argument not in anywhere]
    try:
        status = app(given, standalone_mode=False)
        return status if isinstance(status, int) else 0
    except HccfeatError as error:
        if "--debug" in anywhere:
            raise
        typer.echo(f"hccfeat: {error}", err=True)
        return 1
    except BaseException as error:
        # A panic of a library in Rust is no Exception; an interrupt and SystemExit go on.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        return _foreign_error(error, debug="--debug" in anywhere)


def _foreign_error(error: BaseException, *, debug: bool) -> int:
    """Say in one line what went wrong outside hccfeat's own checks; usage errors keep their own text."""
    show: Any = getattr(error, "show", None)
    if callable(show):
        show()
        return int(getattr(error, "exit_code", 2))
    if type(error).__name__ in ("Abort", "KeyboardInterrupt"):
        typer.echo("hccfeat: stopped; run the same command again to continue.", err=True)
        return 130
    if debug:
        raise error
    if isinstance(error, OSError) and error.errno is not None:
        typer.echo(f"hccfeat: {_of_system(error)}", err=True)
        return 1
    typer.echo(f"hccfeat: {type(error).__name__}: {error}. Run again with --debug for the traceback.", err=True)
    return 1


def _of_system(error: OSError) -> str:
    """What the system refused, and of which file: of a hidden half-written one, the file that it was to become."""
    name = re.sub(r"\.([^/]+)\.[0-9a-f]{32}\.tmp\b", r"\1", str(error.filename or ""))
    text = re.sub(r"\.([^/]+)\.[0-9a-f]{32}\.tmp\b", r"\1", error.strerror or str(error))
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Free some space" if full else "Check that the path is right, and that you may read or write there"
    return f"{name + ': ' if name else ''}{text}. {remedy}; --debug shows the traceback."
