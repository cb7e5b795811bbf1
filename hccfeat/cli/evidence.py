"""``hccfeat evidence``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evidence", epilog="Example: hccfeat evidence denoising --tabular-only --out evidence")(evidence)


def evidence(
    study: Annotated[
        Literal["denoising", "treatment", "null", "histology", "distillation"],
        typer.Argument(help="Which question."),
    ],
    images: Annotated[
        bool,
        typer.Option(
            "--images/--tabular-only", help="Also train networks on simulated images or volumes, where asked."
        ),
    ] = True,
    out: Annotated[Path, typer.Option(help="Folder of the page and of the replicates that are kept.")] = Path(
        "evidence"
    ),
    replicates: Annotated[
        int | None, typer.Option(min=1, help="Number of cohorts.", show_default="data_catalog/evidence.toml")
    ] = None,
) -> None:
    """Ask on simulated cohorts, whose truth is known, whether the method works, with negative controls."""
    from hccfeat.evidence.studies import Options, run_study

    typed = ["hccfeat evidence", study, *([] if images else ["--tabular-only"]), f"--out {out}"]
    typed += [] if replicates is None else [f"--replicates {replicates}"]
    found, page = run_study(study, Options(out, images, replicates, " ".join(typed)))
    typer.echo(f"SIMULATED: {found.title}")
    for line in found.summary:
        typer.echo(f"- {line}")
    typer.echo(f"Page: {page}")
