"""``hccfeat reproduce``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption

if TYPE_CHECKING:
    from hccfeat.study import ReproductionSummary


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reproduce", epilog='Example: hccfeat reproduce mvi --only "Table 1" --only 62')(reproduce)


def reproduce(
    paper: Annotated[
        Literal["recurrence", "mvi"],
        typer.Argument(help="Recurrence from slides (paper 1), or microvascular invasion from MRI (paper 2)."),
    ],
    preset: Annotated[
        str, typer.Option(help="paper, reduced, or one of your own; auto: paper on a GPU, else reduced.")
    ] = "auto",
    only: Annotated[
        list[str] | None, typer.Option(help="Item by number (13) or place (Table 2); may be repeated.")
    ] = None,
    external: Annotated[
        str | None,
        typer.Option(help="recurrence: cohort that judges from outside.", show_default="the only other one"),
    ] = None,
    cohort: Annotated[
        str | None,
        typer.Option(help="mvi: cohort whose exams are cross-validated.", show_default="the development cohort"),
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

    stray = "--cohort" if paper == "recurrence" and cohort else "--external" if paper == "mvi" and external else ""
    if stray:
        raise typer.BadParameter(f"does not go with {paper}", param_hint=stray)
    own = {"external": external} if paper == "recurrence" else {"cohort": cohort}
    summary = open_study(study).reproduce(paper, preset=preset, only=tuple(only or ()), device=device, **own)
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
