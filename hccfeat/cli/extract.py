"""``hccfeat extract``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    example = "Example: hccfeat extract --device auto; for MRI exams: hccfeat extract --modality mri --also z_hbp"
    app.command("extract", epilog=example)(extract)


def extract(
    modality: Annotated[str, typer.Option(help="slides or mri.")] = "slides",
    cohort: Annotated[list[str] | None, typer.Option(help="Only this cohort; may be repeated.")] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Name of the feature set; versions are numbered behind it.", show_default="pps, or mri for MRI"
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="MRI: also store z_pre or z_hbp, the vector of one phase; may be repeated."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train on today's data even if a trained network exists.")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="Use this trained network (safetensors).")] = None,
    folds: Annotated[
        int, typer.Option(help="Train one network per outer fold, for `analyze --cross-validate`.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Slides: GPUs of a machine that share the training.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Slides: machines that share the training.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0 works in this one.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="Embed on the workers of this Dask scheduler, such as tcp://node17:8786.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="I/N: only publish the shards of this part; `hccfeat commit` adopts them.")
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed/--no-embed", help="Embed, or only find, train or register the network.")
    ] = True,
    timeout_per_image: Annotated[
        float | None, typer.Option(min=1, help="Seconds that one image may take.", show_default="no limit")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Another recipe than the study file's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Train the network where there is none, and embed every image or MRI exam that lacks an embedding."""
    from hccfeat.cli.output import print_json, print_rows, time_shares
    from hccfeat.extraction.part import parse_part
    from hccfeat.study import open_study

    summary = open_study(study).extract(
        modality=modality, base=features, cohorts=tuple(cohort or ()), train=train, weights=weights, folds=folds,
        device=device, devices=devices, nodes=nodes, workers=workers, scheduler=scheduler, recipe=recipe,
        part=parse_part(part) if part else None, embed=embed, timeout_per_image=timeout_per_image,
        dry_run=dry_run, also=tuple(also or ()),
    )  # fmt: skip
    for note in summary.notes:
        typer.echo(note, err=as_json)
    exams = summary.modality == "mri"
    what = "exam" if exams else "image"
    failures = [{what: f.image_id, "kind": str(f.kind), "why": f.message} for f in summary.failures]
    if as_json:
        print_json({**vars(summary), "failures": failures, "nothing_done": summary.nothing_done})
    elif dry_run:
        names = ", ".join(summary.feature_sets) or "a feature set that is yet to be trained or registered"
        typer.echo(f"{names}: {summary.todo} {what}s to embed, {summary.already_done} done.")
    elif nodes > 1 and not summary.feature_sets:
        typer.echo("This machine has helped to train; the first one does the rest.")
    elif not embed:
        typer.echo(f"{', '.join(summary.feature_sets)}: ready, nothing was embedded.")
    elif summary.nothing_done:
        typer.echo(f"Nothing to do: {', '.join(summary.feature_sets)} has all {summary.already_done} {what}s.")
    else:
        print_rows(f"Failed {what}s", failures[:20])
        names = ", ".join(summary.feature_sets)
        quality = f" ({summary.patches} patches, {summary.excluded} images excluded by quality control)"
        done = f"{summary.embedded} {what}s embedded{'' if exams else quality}, {summary.already_done} were done"
        typer.echo(f"{names}: {done}.")
        if summary.seconds:
            typer.echo(f"Time: {time_shares(summary.seconds)}")
        if part:
            typer.echo("Published, not committed: run `hccfeat commit` when the parts have ended.")
    if failures:
        raise typer.Exit(PARTIAL)
