"""``hccfeat demo``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo", epilog="Example: hccfeat demo demo --seed 1")(demo)


def demo(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder for the delivery and the study.")
    ] = Path("demo"),
    preset: Annotated[str, typer.Option(help="Size of the simulated cohort: tiny or demo.")] = "demo",
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Run everything on a small simulated cohort: simulate, init, ingest, extract, analyze."""
    from hccfeat.cli.output import headline_rows, print_json, print_rows
    from hccfeat.demo import run_demo

    result = run_demo(destination, preset=preset, seed=seed)
    if as_json:
        print_json(result)
        return
    typer.echo("SIMULATED DATA: these numbers say nothing about patients.")
    print_rows("The study", result.facts)
    print_rows("Recurrence within one year", headline_rows(result.headline))
    print_rows("Time", result.seconds)
    typer.echo(
        f"Study:  {result.study}\nReport: {result.report}\n"
        f"Try:    hccfeat sql --study {result.study} mean_pps_by_bclc"
    )
