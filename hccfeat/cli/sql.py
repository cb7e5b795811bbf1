"""``hccfeat sql``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hccfeat.cli.options import StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sql", epilog='Example: hccfeat sql "SELECT cohort, count(*) FROM patient GROUP BY cohort"')(sql)


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT statement, or the name of a worked query.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Read the statement from this file.")] = None,
    format: Annotated[Literal["table", "csv", "json", "parquet"], typer.Option(help="How to print.")] = "table",
    out: Annotated[Path | None, typer.Option(help="Write there; needed for parquet.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds after which a query is stopped.")] = 60.0,
    study: StudyOption = Path(),
) -> None:
    """Ask the catalog in SQL, read-only."""
    from hccfeat.study import open_study

    text = open_study(study).sql_text(query=query, file=file, layout=format, out=out, timeout=timeout)
    sys.stdout.write(text)
