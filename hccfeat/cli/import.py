# ruff: noqa: N999
"""``hccfeat import``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    example = (
        "Example: hccfeat import trident_processed --format trident --features uni; files of several cohorts or "
        "folders go together: hccfeat import internal_uni external_uni --format stamp --features uni --seen none"
    )
    app.command("import", epilog=example)(import_features)


def import_features(
    paths: Annotated[list[Path], typer.Argument(help="Folders (or files) of features.")],
    format: Annotated[
        Literal["clam", "trident", "stamp", "h5ad", "parquet"], typer.Option(help="docs/formats.md shows each.")
    ],
    features: Annotated[
        str, typer.Option(help="Name of the feature set; with its version (uni-1), files are added to that one.")
    ],
    cohort: Annotated[list[str] | None, typer.Option(help="Only images of this cohort; may be repeated.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Name of the network, where the files do not say (CLAM).")
    ] = None,
    weights_sha256: Annotated[
        str | None, typer.Option(help="SHA-256 of the network's weights, if you know it.")
    ] = None,
    seen: Annotated[
        list[str] | None,
        typer.Option(help="none, or a cohort whose patients trained the network; may be repeated."),
    ] = None,
    coords: Annotated[Path | None, typer.Option(help="CLAM: the folder patches/, if it lies elsewhere.")] = None,
    allow_missing_coords: Annotated[
        bool, typer.Option("--allow-missing-coords", help="Take vectors of which nobody knows where they lie.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which files match which images.")] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take patch features of CLAM, TRIDENT, STAMP, AnnData or Parquet as a feature set like any other."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    summary = open_study(study).import_features(
        paths, format, features, cohorts=tuple(cohort or ()), encoder=encoder, weights_sha256=weights_sha256,
        seen=tuple(seen or ()), coords=coords, allow_missing=allow_missing_coords, dry_run=dry_run,
    )  # fmt: skip
    failures = [{"image": f.image_id, "kind": str(f.kind), "why": f.message} for f in summary.failures]
    if as_json:
        print_json({**vars(summary), "failures": failures})
    else:
        print_rows("Failed images", failures[:20])
        print_rows("Files without an image", summary.problems[:20])
        shown = (
            f"{summary.encoder}, {summary.dim} dimensions, seen by its network: {', '.join(summary.seen) or 'none'}"
        )
        without = f"{len(summary.problems)} files without an image, {len(summary.without)} images without a file."
        if dry_run:
            typer.echo(f"{shown}: {summary.todo} images to import, {without}")
        else:
            done = f"{summary.imported} images imported ({summary.patches} patches, {summary.empty} images empty)"
            typer.echo(f"{summary.feature_set} ({shown}): {done}, {summary.already_done} were there. {without}")
    if failures or summary.problems:
        raise typer.Exit(PARTIAL)
