"""``hccfeat predict``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("predict", epilog="Example: hccfeat predict --model pps-1-1y --cohort clinic")(predict)


def predict(
    model: Annotated[str, typer.Option(help="Name of a trained prognostic model; `hccfeat status` lists them.")],
    cohort: Annotated[list[str] | None, typer.Option(help="Only this cohort; may be repeated.")] = None,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give the recurrence risk of patients whose outcome is not known."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    table = open_study(study).predict(model=model, cohorts=tuple(cohort or ()))
    if as_json:
        print_json(table)
        return
    print_rows(f"Risk by {model} (research use only)", table.rows)
    if table.simulated:
        typer.echo("The model or these patients are SIMULATED.")
    typer.echo(f"{len(table.rows)} patients without outcomes; also in {table.path}")
