"""``hccfeat diff``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("diff", epilog="Example: hccfeat diff pps-1 pps-2, or: hccfeat diff internal@1 internal")(diff)


def diff(
    a: Annotated[str, typer.Argument(help="Feature set, cohort, or COHORT@NUMBER of an ingest record.")],
    b: Annotated[str, typer.Argument(help="What to compare it with, of the same kind.")],
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show what differs between two feature sets, or between two states of a cohort (counts only)."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    sections = open_study(study).diff(a, b)
    if as_json:
        print_json(sections)
        return
    for title, rows in sections.items():
        print_rows(title, rows)
        if not rows:
            typer.echo(f"{title}: no difference.")
