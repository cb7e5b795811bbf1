"""``hccfeat status``."""

from pathlib import Path

import typer

from hccfeat.cli.options import JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status", epilog="Example: hccfeat status --json")(status)


def status(study: StudyOption = Path(), as_json: JsonOption = False) -> None:
    """Show cohorts, feature sets, failures, models, runs, freezes and removals."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    sections = open_study(study).status()
    if as_json:
        print_json(sections)
        return
    for title, rows in sections.items():
        print_rows(title, rows)
    if not any(sections.values()):
        typer.echo("The study is empty. Next: hccfeat ingest --help")
