"""``hccfeat rebuild-catalog``."""

from pathlib import Path

import typer

from hccfeat.cli.options import StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("rebuild-catalog", epilog="Example: hccfeat rebuild-catalog --study lirads")(rebuild_catalog)


def rebuild_catalog(study: StudyOption = Path()) -> None:
    """Make the catalog anew from the shards and records."""
    from hccfeat.study import open_study

    path = open_study(study).rebuild_catalog()
    typer.echo(f"Rebuilt {path}")
