"""``hccfeat ingest``."""

from pathlib import Path
from typing import Annotated

import typer

from hccfeat.cli.options import PARTIAL, JsonOption, StudyOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    example = (
        "Example: hccfeat ingest --cohort internal --clinical clinical.csv --slides slides --manifest manifest.csv"
    )
    app.command("ingest", epilog=example)(ingest)


def ingest(
    cohort: Annotated[
        str, typer.Option(help="Name of the cohort; a description of that name says how to read it.")
    ],
    clinical: Annotated[Path, typer.Option(help="Clinical table (CSV, TSV or XLSX).")],
    format: Annotated[str | None, typer.Option(help="plain, gdc or tcga-cdr.", show_default="the cohort's")] = None,
    slides: Annotated[Path | None, typer.Option(help="Folder of slides or images.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="CSV with columns file, patient_id and optionally mpp.")
    ] = None,
    mri: Annotated[
        Path | None,
        typer.Option(help="Folder of MRI exams; without --mri-manifest one folder per patient with PRE and HBP."),
    ] = None,
    mri_manifest: Annotated[
        Path | None,
        typer.Option(help="CSV with patient_id, phase (PRE or HBP), path, and optionally masks or a lesion box."),
    ] = None,
    study: StudyOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Read a cohort's clinical table, slides and MRI exams into the store, checked against the data catalog."""
    from hccfeat.cli.output import print_json, print_rows
    from hccfeat.stats.estimate import count
    from hccfeat.study import open_study

    summary = open_study(study).ingest(
        cohort=cohort, clinical=clinical, table_format=format, slides=slides, manifest=manifest, mri=mri,
        mri_manifest=mri_manifest,
    )  # fmt: skip
    if as_json:
        print_json(summary)
    else:
        print_rows(f"Cohort {cohort}", summary.attrition)
        print_rows("Problems", summary.problems[:20])
        if summary.problems:
            typer.echo(f"{count(len(summary.problems), 'problem')}; all of them: {summary.rejected_file}", err=True)
        print_rows("Worth a look", summary.cautions[:20])
        read = {"patient": summary.patients, "image": summary.images, "MRI exam": summary.exams}
        typer.echo(f"{', '.join(count(n, what) for what, n in read.items())}.")
    if summary.problems:
        raise typer.Exit(PARTIAL)
