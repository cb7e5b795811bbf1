"""``hccfeat extract``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("extract", epilog="Example: hccfeat extract --features pps --device auto")(extract)


def extract(
    cohort: Annotated[list[str] | None, typer.Option(help="Only this cohort; may be repeated.")] = None,
    features: Annotated[
        str, typer.Option(help="Name of the feature set; versions are numbered behind it.")
    ] = "pps",
    train: Annotated[
        bool, typer.Option("--train", help="Train on today's data even if an encoder exists.")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="Use this trained encoder (safetensors).")] = None,
    folds: Annotated[
        int, typer.Option(help="Train one encoder per outer fold, for `analyze --cross-validate`.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs that share the training.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 works in this one.")] = 0,
    recipe: Annotated[str | None, typer.Option(help="Another recipe than the study file's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Train the encoder where there is none, and embed every image that lacks an embedding."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.study import open_study

    summary = open_study(study).extract(
        base=features, cohorts=tuple(cohort or ()), train=train, weights=weights, folds=folds, device=device,
        devices=devices, workers=workers, recipe=recipe, dry_run=dry_run,
    )  # fmt: skip
    failures = [{"image": f.image_id, "kind": str(f.kind), "why": f.message} for f in summary.failures]
    if as_json:
        print_json({**vars(summary), "failures": failures, "nothing_done": summary.nothing_done})
    elif dry_run:
        what = ", ".join(summary.feature_sets) or f"{features} (to be trained or registered)"
        typer.echo(f"{what}: {summary.todo} images to embed, {summary.already_done} done.")
    elif summary.nothing_done:
        typer.echo(f"Nothing to do: {', '.join(summary.feature_sets)} has all {summary.already_done} images.")
    else:
        print_rows("Failed images", failures[:20])
        shares = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items())
        typer.echo(
            f"{', '.join(summary.feature_sets)}: {summary.embedded} images embedded ({summary.patches} patches, "
            f"{summary.excluded} images excluded by quality control), {summary.already_done} were done. {shares}"
        )
    if failures:
        raise typer.Exit(PARTIAL)
