"""``hccfeat sql``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hccfeat.cli.options import MOST_SECONDS, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sql", epilog='Example: hccfeat sql "SELECT cohort, count(*) FROM patient GROUP BY cohort"')(sql)


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT statement, or the name of a worked query; none opens a shell.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Read statements from this file.")] = None,
    format: Annotated[
        Literal["table", "csv", "json", "parquet", "xlsx"] | None,
        typer.Option(help="How to print or write.", show_default="table, or what the suffix of --out names"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write there; needed for parquet and xlsx.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds after which a query is stopped.", min=0.1, max=MOST_SECONDS)
    ] = 60.0,
    memory: Annotated[
        float | None,
        typer.Option(
            help="GiB a query may take.",
            min=0.1,
            max=1_000_000,
            show_default="4, at most a quarter of the machine's",
        ),
    ] = None,
    study: StudyOption = Path(),
) -> None:
    """Ask the catalog in SQL, read-only. Without a statement: a shell, or statements from standard input."""
    from hccfeat.errors import InputError
    from hccfeat.store.export import as_text, check_folder, kind_of, rows_of, write_frame
    from hccfeat.store.limits import GIB, memory_ceiling, usual_memory
    from hccfeat.store.shell import Shell
    from hccfeat.study import open_study

    if query is not None and file is not None:
        raise InputError("hccfeat sql", "takes a statement or --file, not both", "See `hccfeat sql --help`.")
    if file is not None and not file.is_file():
        raise InputError(str(file), "does not exist", "Give a file that holds SELECT statements.")
    if out is not None and query is None and file is None:
        raise InputError("--out", "needs a statement or --file", "Or write with .export in the shell.")
    opened = open_study(study)
    limit = int(memory * GIB) if memory else usual_memory()
    with memory_ceiling(2 * limit):
        if out is not None:
            kind = format or kind_of(out)
            check_folder(out)
            text = _decoded(file.read_bytes(), str(file)) if file else str(query)
            frame = opened.sql(text, timeout_s=timeout, memory=limit)
            write_frame(frame, kind, out)
            sys.stdout.write(f"{rows_of(frame)} in {out}\n")
        elif query is not None:
            sys.stdout.write(as_text(opened.sql(query, timeout_s=timeout, memory=limit), format or "table"))
        else:
            shell = Shell(opened.folder, timeout, limit, format or "table")
            if file is None and sys.stdin.isatty():
                from hccfeat.cli.terminal import converse

                converse(shell)
                return
            source = _decoded(file.read_bytes(), str(file)) if file else _piped()
            for text in shell.run(source):
                sys.stdout.write(text)


def _piped() -> str:
    content = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read() if content is None else _decoded(content.read(), "standard input")


def _decoded(content: bytes, name: str) -> str:
    from hccfeat.errors import InputError

    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not text in UTF-8 (byte {error.start + 1})"
        raise InputError(name, problem, "Save it in UTF-8, or convert it with iconv.") from error
