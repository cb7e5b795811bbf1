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
    mri_recipe: Annotated[
        str, typer.Option(help="Recipe of MRI exams: mri-paper, mri-reduced, mri-tiny or your own.")
    ] = "mri-paper",
    cohort: Annotated[str, typer.Option(help="Development cohort: the one that trains.")] = "internal",
) -> None:
    """Make a study: a folder with hccfeat.toml and an empty store."""
    from hccfeat.study import init_study

    made = init_study(study, name=name or None, recipe=recipe, mri_recipe=mri_recipe, cohort=cohort)
    typer.echo(
        f"Study {made.config.name} in {study}. Next: hccfeat ingest --cohort {cohort} --clinical FILE --slides DIR "
        "(or --mri DIR)"
    )
