"""``hccfeat simulate``."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate", epilog="Example: hccfeat simulate hospital --preset demo --seed 7")(simulate)


def simulate(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to make; must be empty or absent.")],
    preset: Annotated[str, typer.Option(help="tiny, demo, paper, or mri (the MRI cohort alone).")] = "demo",
    seed: Annotated[int, typer.Option(help="Equal seeds give equal bytes.")] = 1,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a parameter, such as pi=0.2.")
    ] = None,
) -> None:
    """Write a simulated hospital delivery: clinical tables, slides, MRI, and the truth in a folder of its own."""
    from hccfeat.simulation.command import simulate_with_changes

    delivery = simulate_with_changes(destination, preset=preset, seed=seed, changes=change or [])
    typer.echo(f"SIMULATED data in {destination}: {delivery}")
