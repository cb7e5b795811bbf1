"""``hccfeat reproduce``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption

if TYPE_CHECKING:
    from hccfeat.study import ReproductionSummary


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reproduce", epilog='Example: hccfeat reproduce recurrence --only 13 --only "Fig 4A"')(reproduce)


def reproduce(
    paper: Annotated[Literal["recurrence"], typer.Argument(help="Which study.")],
    preset: Annotated[
        str, typer.Option(help="paper, reduced, or one of your own; auto: paper on a GPU, else reduced.")
    ] = "auto",
    only: Annotated[
        list[str] | None, typer.Option(help="Item by number (13) or place (Table 2); may be repeated.")
    ] = None,
    external: Annotated[
        str | None, typer.Option(help="Cohort that judges from outside.", show_default="the only other one")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Run the whole study of a paper from the store, item by item, and write its report.

    Exit status 3: an item is not possible with these data; the checklist says why.
    """
    from hccfeat.cli.output import print_json
    from hccfeat.study import open_study

    del paper
    summary = open_study(study).reproduce(
        preset=preset, only=tuple(only or ()), external=external, device=device
    )  # fmt: skip
    if as_json:
        print_json(summary)
    else:
        _show(summary)
    if any(item["status"] == "not possible with these data" for item in summary.items):
        raise typer.Exit(PARTIAL)


def _show(summary: "ReproductionSummary") -> None:
    """Print the checklist and where the report is."""
    from collections import Counter

    from hccfeat.cli.output import print_rows

    if summary.simulated:
        typer.echo("SIMULATED DATA: these numbers say nothing about patients.")
    print_rows(f"Items, preset {summary.preset}", summary.items)
    for status, count in Counter(item["status"] for item in summary.items).items():
        typer.echo(f"{count} {status}")
    typer.echo(f"Report: {summary.report}")
