"""``hccfeat doctor``."""

import typer

from hccfeat.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", epilog="Example: hccfeat doctor --json")(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Check this installation: libraries, devices, slide formats, disk, memory."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.doctor import examine

    checks = [vars(check) for check in examine()]
    if as_json:
        print_json(checks)
    else:
        print_rows("hccfeat doctor", checks)
    if any(check["state"] == "broken" for check in checks):
        raise typer.Exit(1)
