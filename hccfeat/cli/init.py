"""``hccfeat init``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("init", epilog="Example: hccfeat init --study lirads --name lirads --recipe paper")(init)


def init(
    study: StudyOption = Path(),
    name: Annotated[str, typer.Option(help="Name of the study.", show_default="name of the folder")] = "",
    recipe: Annotated[
        str, typer.Option(help="Feature-set recipe: paper, released-code, demo, tiny or your own.")
    ] = "paper",
) -> None:
    """Make a study: a folder with hccfeat.toml and an empty store."""
    from hccfeat.study import init_study

    made = init_study(study, name=name or None, recipe=recipe)
    typer.echo(
        f"Study {made.config.name} in {study}. Next: hccfeat ingest --cohort NAME --clinical FILE --slides DIR"
    )
