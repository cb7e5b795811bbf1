"""``hccfeat freeze``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import JsonOption, StudyOption
from hccfeat.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("freeze", epilog="Example: hccfeat freeze paper-2026 --cohort internal --features pps-1")(freeze)


def freeze(
    name: Annotated[str | None, typer.Argument(help="Name of the freeze.", show_default="list all")] = None,
    cohort: Annotated[str | None, typer.Option(help="Cohort.", show_default="the development cohort")] = None,
    features: Annotated[str, typer.Option(help="Feature set; without a version its newest.")] = "pps",
    split: Annotated[str | None, typer.Option(help="Split.", show_default="the cohort's only one")] = None,
    release: Annotated[bool, typer.Option("--release", help="Give the freeze of this name up.")] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Freeze a cohort, its split and a feature set under a name that a report cites; or list the freezes."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    opened = open_study(study)
    if release:
        if name is None:
            raise InputError("--release", "needs the name of a freeze", "`hccfeat freeze` lists them.")
        opened.release(name)
    elif name is not None:
        opened.freeze(name, cohort=cohort, features=features, split=split)
    rows = opened.freezes()
    if as_json:
        print_json(rows)
        return
    shown = ("name", "cohort", "split", "feature_set", "patients", "images", "state")
    print_rows("Freezes", [{key: row[key] for key in shown} for row in rows])
    if not rows:
        typer.echo("Nothing is frozen.")
