"""``hccfeat gc``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("gc", epilog="Example: hccfeat gc caches features --dry-run")(gc)


def gc(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to remove: leftovers, caches, quarantine, results, features.", show_default="list all"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go, and remove nothing.")] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List what may go, with its bytes, and remove the kinds that are named; frozen and newest features stay."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    only_list = dry_run or not kinds
    found = open_study(study).gc(*(kinds or []), dry_run=only_list)
    rows = [{name: value for name, value in vars(item).items() if name != "paths"} for item in found]
    if as_json:
        print_json(rows)
        return
    print_rows("Would go" if only_list else "Removed", rows)
    size = sum(item.bytes for item in found) / 1e6
    typer.echo(
        f"{len(found)} item{'' if len(found) == 1 else 's'}, {size:.1f} MB"
        + (" would go." if only_list else " removed.")
    )
    if not kinds and found:
        typer.echo("Nothing was removed: name the kinds that may go, such as `hccfeat gc caches`.")
