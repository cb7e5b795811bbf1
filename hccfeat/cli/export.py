"""``hccfeat export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    example = (
        "Example: hccfeat export for_stamp --format stamp --features pps; the whole catalog: hccfeat export tables "
        "--format parquet; outlines of tissue for QuPath: hccfeat export outlines --format geojson --what tissue"
    )
    app.command("export", epilog=example)(export)


def export(
    destination: Annotated[Path, typer.Argument(help="Folder to write to; one.parquet for a single file.")],
    format: Annotated[
        Literal["clam", "trident", "stamp", "h5ad", "parquet", "geojson"],
        typer.Option(help="docs/formats.md shows each."),
    ],
    features: Annotated[
        list[str] | None,
        typer.Option(help="Feature set; of the Parquet catalog several or, left out, all.", show_default="pps"),
    ] = None,
    cohort: Annotated[list[str] | None, typer.Option(help="Only this cohort; may be repeated.")] = None,
    what: Annotated[
        Literal["tissue", "risk"], typer.Option(help="GeoJSON: outlines of tissue, or patches with their risk.")
    ] = "tissue",
    dtype: Annotated[
        Literal["float16", "float32"] | None,
        typer.Option(help="Of the features.", show_default="float16 for STAMP, float32 for others"),
    ] = None,
    stamp_version: Annotated[
        str, typer.Option(help="Version that STAMP files state; at most that of the STAMP which reads them.")
    ] = "2.1.0",
    patches: Annotated[
        bool, typer.Option("--patches", help="Parquet catalog: every patch too, not only images and patients.")
    ] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write features, the catalog, or outlines for QuPath as files that other tools read."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.errors import InputError
    from hccfeat.study import open_study

    unused = {"--dtype": dtype, "--patches": patches} if format == "geojson" else {"--what": what == "risk"}
    for option in (name for name, given in unused.items() if given):
        raise InputError(option, f"has no meaning with --format {format}", "Leave it out.")
    own = (
        {"what": what}
        if format == "geojson"
        else {"dtype": dtype, "stamp_version": stamp_version, "patches": patches}
    )
    summary = open_study(study).export(
        destination, format, features=tuple(features or ()), cohorts=tuple(cohort or ()), **own
    )
    if as_json:
        print_json(summary)
    else:
        print_rows("Not written", summary.failures[:20])
        print_rows("Rows written", [{"table": name, "rows": rows} for name, rows in summary.tables.items()])
        what_of = f"{summary.feature_set}: " if summary.feature_set else ""
        if not summary.tables:
            typer.echo(f"{what_of}{summary.slides} slides ({summary.patches} patches) in {summary.destination}")
    if summary.failures:
        raise typer.Exit(PARTIAL)
