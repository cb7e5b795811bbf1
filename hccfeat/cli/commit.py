"""``hccfeat commit``."""

from pathlib import Path

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("commit", epilog="Example: hccfeat commit, after the jobs of `hccfeat extract --part I/N`")(commit)


def commit(study: StudyOption = Path(), as_json: JsonOption = False) -> None:
    """Adopt into the catalog what `extract --part` has published."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    summary = open_study(study).commit()
    failures = [{"image": f.image_id, "kind": str(f.kind), "why": f.message} for f in summary.failures]
    findings = [vars(finding) for finding in summary.findings]
    if as_json:
        print_json({**vars(summary), "failures": failures, "findings": findings})
    else:
        print_rows("Failed images", failures[:20])
        print_rows("Damage", findings)
        adopted = ", ".join(f"{count} shards of {name}" for name, count in summary.adopted.items())
        typer.echo(
            f"Adopted {adopted or 'nothing: the catalog has every shard'}; {summary.parts} parts have ended."
        )
    if failures or findings:
        raise typer.Exit(PARTIAL)
