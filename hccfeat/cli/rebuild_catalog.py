"""``hccfeat rebuild-catalog``."""

from pathlib import Path

import typer

from hccfeat.cli.options import PARTIAL, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("rebuild-catalog", epilog="Example: hccfeat rebuild-catalog --study lirads")(rebuild_catalog)


def rebuild_catalog(study: StudyOption = Path()) -> None:
    """Make the catalog anew from the shards and records."""
    from hccfeat.cli.output import print_rows
    from hccfeat.store.findings import Finding
    from hccfeat.study import open_study

    findings: list[Finding] = []
    path = open_study(study).rebuild_catalog(findings)
    typer.echo(f"Rebuilt {path}")
    if findings:
        rows = [{"entity": f.entity, "problem": f.problem, "remedy": f.remedy} for f in findings]
        print_rows("Left out", rows)
        raise typer.Exit(PARTIAL)
