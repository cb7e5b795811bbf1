"""``hccfeat verify``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import MOST_SECONDS, PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", epilog="Example: hccfeat verify --study lirads --repair")(verify)


def verify(
    study: StudyOption = Path(),
    repair: Annotated[
        bool, typer.Option("--repair", help="Set damaged shards aside, move swapped ones back, remake the catalog.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option(min=0.1, max=MOST_SECONDS, help="Seconds that reading one shard may take.")
    ] = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Rehash every shard, record and weights file, and compare them with the catalog; warnings are no damage."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.store.findings import Finding
    from hccfeat.study import open_study

    opened = open_study(study)
    warnings: list[Finding] = []
    repaired: list[Finding] = []
    if repair:
        result = opened.repair(time_limit=time_limit)
        findings, warnings, repaired = result.left, result.warnings, result.done
    else:
        findings = opened.verify(warnings=warnings, time_limit=time_limit)
    if as_json:
        print_json([vars(finding) for finding in [*repaired, *findings, *warnings]])
    else:
        for title, found in (("Repaired", repaired), ("Left to you" if repair else "Damage", findings)):
            print_rows(title, [_row(finding) for finding in found])
        print_rows("Warnings", [_row(finding) for finding in warnings])
        typer.echo(f"{len(findings)} findings." if findings else "The store is sound.")
    if findings:
        raise typer.Exit(PARTIAL if repair else 1)


def _row(finding: object) -> dict[str, str]:
    return {name: value for name, value in vars(finding).items() if name != "level"}
