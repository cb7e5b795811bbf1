"""``hccfeat verify``."""

from pathlib import Path

import typer

from hccfeat.cli.options import JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", epilog="Example: hccfeat verify --study lirads")(verify)


def verify(study: StudyOption = Path(), as_json: JsonOption = False) -> None:
    """Rehash every shard and record, and compare them with the catalog."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    findings = [vars(finding) for finding in open_study(study).verify()]
    if as_json:
        print_json(findings)
    else:
        print_rows("Damage", findings)
        typer.echo("The store is sound." if not findings else f"{len(findings)} findings.")
    if findings:
        raise typer.Exit(1)
