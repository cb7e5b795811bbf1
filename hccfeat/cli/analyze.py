"""``hccfeat analyze``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "analyze",
        epilog="Example: hccfeat analyze --endpoint 1y --endpoint 2y --external external. "
        "Modalities compared: hccfeat analyze --endpoint mvi --features mri --features pps",
    )(analyze)


def analyze(
    endpoint: Annotated[list[str], typer.Option(help="1y, 2y, final, mvi or one of your own; may be repeated.")],
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Feature set, newest version (pps, mri) or a given one (pps-2). Repeated: the first feeds the "
            "models, and a section compares all of them with clinical items on the same patients.",
            show_default="pps",
        ),
    ] = None,
    cohort: Annotated[
        str | None, typer.Option(help="Cohort to analyse.", show_default="the development cohort")
    ] = None,
    external: Annotated[
        list[str] | None, typer.Option(help="Cohort that judges from outside; may be repeated.")
    ] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Also cross-validate, one encoder per fold (extract --folds).")
    ] = False,
    comparators: Annotated[
        list[str] | None,
        typer.Option(
            help="Model beside the prognostic network: cox, coxnet, forest, xgboost-cox, mil, all or none; may be "
            "repeated.",
            show_default="all, mil only with up to 50,000 patches",
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Tune the comparators' settings in inner folds of the training patients.")
    ] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Train and judge the prognostic models of an endpoint; write the report and the result tables."""
    from collections import Counter

    from hccfeat.cli.output import headline_rows, print_json, print_rows
    from hccfeat.study import open_study

    summary = open_study(study).analyze(
        endpoints=tuple(endpoint), features=tuple(features or ()), cohort=cohort,
        external=tuple(external or ()), cross_validate=cross_validate, tune=tune,
        comparators=None if comparators is None else tuple(comparators),
    )  # fmt: skip
    if as_json:
        print_json(summary)
        return
    if summary.simulated:
        typer.echo("SIMULATED DATA: these numbers say nothing about patients.")
    print_rows("Discrimination", headline_rows(summary.headline))
    titles = Counter(f"{notice['endpoint']}: {notice['title']}" for notice in summary.notices)
    for title in titles:
        typer.echo(f"Caution, {title}")
    typer.echo(f"Report: {summary.report}")
