"""``hccfeat export``: a feature set as files of another tool."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.config import ExchangeFormat
from hccfeat.errors import HccfeatError, InputError, SlideError
from hccfeat.exchange import anndata_files, clam, parquet_files, stamp, trident
from hccfeat.exchange.exported import Exported, FloatType
from hccfeat.files import write_text_atomically
from hccfeat.progress import progress_bar
from hccfeat.store.catalog import query
from hccfeat.store.shards import read_shard
from hccfeat.store.versions import resolve_feature_set

OWN_FOLDERS = ("features", "records", "models", ".hccfeat")
DEFAULT = "pps"
"""Feature set that is exported unless another is named."""

BY_STEM = ("clam", "trident")
"""Formats that know a slide by its stem alone."""

OF_PATCHES = (*BY_STEM, "stamp")
"""Formats that make no sense without patches of a slide."""


@dataclass(frozen=True)
class ExportRequest:
    """What the command line asks of ``export``.

    ``features`` names one feature set, with or without version; the Parquet catalog takes several, or all (none).
    ``dtype`` None takes the format's own: float16 for STAMP, float32 for the others. ``stamp_version`` is what
    STAMP files state; a reader refuses those of a newer version than its own. ``patches`` adds every patch to the
    Parquet catalog.
    """

    layout: ExchangeFormat
    features: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()
    dtype: FloatType | None = None
    stamp_version: str = stamp.VERSION
    patches: bool = False


@dataclass
class ExportSummary:
    """What ``export`` did; ``failures`` are slides that were not written, each with problem and remedy."""

    destination: Path
    feature_set: str = ""
    slides: int = 0
    patches: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)


def export_features(study: Path, destination: Path, request: ExportRequest) -> ExportSummary:
    """Write a feature set in another tool's layout; a slide that cannot be written does not stop the others.

    Files that are there already are replaced, each as a whole.

    Parameters
    ----------
    study : Path
        Study folder.
    destination : Path
        Folder; of Parquet the one file.
    request : ExportRequest
        What to write.

    Returns
    -------
    ExportSummary
        Counts and failures.

    Raises
    ------
    InputError
        If an option is wrong, or there is nothing to export.
    """
    refuse_own_folders(study, destination)
    _check_options(destination, request)
    if request.layout == "parquet" and destination.suffix != ".parquet":
        names = [resolve_feature_set(study, name) for name in request.features]
        return _export_catalog(study, destination, names, request)
    name = resolve_feature_set(study, *(request.features or (DEFAULT,)))
    summary = ExportSummary(destination, name)
    rows = _rows(study, name, request.cohorts)
    if request.layout in BY_STEM:
        rows = _without_twins(rows, summary)
    about = _about(study, name, request.layout)
    slides = _slides(study, rows, about["encoder"], summary)
    with progress_bar(f"Exporting {name}", len(rows)) as advance:
        if request.layout == "parquet":
            parquet_files.write(destination, _counted(slides, summary, advance), about, about["dim"])
        else:
            _write_each(destination, slides, request, summary, advance)
    return summary


def _check_options(destination: Path, request: ExportRequest) -> None:
    stamp.parse_version(request.stamp_version)
    whole_catalog = request.layout == "parquet" and destination.suffix != ".parquet"
    if len(request.features) > 1 and not whole_catalog:
        remedy = "Export one after the other; only the catalog (--format parquet to a folder) takes several."
        raise InputError(f"--features {request.features[1]}", "is a second feature set", remedy)
    if request.patches and not whole_catalog:
        raise InputError("--patches", "is for the Parquet catalog", "Leave it out, or give a folder with parquet.")
    if request.dtype == "float16" and request.layout == "parquet":
        raise InputError("--dtype float16", "is not for Parquet, which few readers know", "Leave it out.")


def _export_catalog(study: Path, folder: Path, names: list[str], request: ExportRequest) -> ExportSummary:
    from hccfeat.exchange.parquet_catalog import export_parquet

    made = export_parquet(study, folder, feature_sets=names, cohorts=request.cohorts, patches=request.patches)
    return ExportSummary(made.folder, tables=dict(made.tables))


def refuse_own_folders(study: Path, destination: Path) -> None:
    """Refuse to write where the store keeps its own files.

    Raises
    ------
    InputError
        If the destination lies there.
    """
    for name in OWN_FOLDERS:
        if destination.resolve().is_relative_to(study.resolve() / name):
            raise InputError(str(destination), "belongs to the store", "Give a folder of its own.")


def _rows(study: Path, feature_set: str, cohorts: Sequence[str]) -> list[dict[str, Any]]:
    rows = query(
        study,
        "SELECT s.image_id, s.path, i.patient_id, i.mpp, split_part(s.image_id, '/', 1) AS cohort "
        "FROM shard AS s LEFT JOIN image AS i USING (image_id) WHERE s.feature_set = ? ORDER BY s.image_id",
        [feature_set],
    )
    known = rows["cohort"].unique().sort().to_list()
    for cohort in cohorts:
        if cohort not in known:
            problem = f"has no images in {feature_set}"
            raise InputError(f"--cohort {cohort}", problem, f"Cohorts with images: {', '.join(known) or 'none'}.")
    if cohorts:
        rows = rows.filter(pl.col("cohort").is_in(cohorts))
    if rows.is_empty():
        raise InputError(f"feature set {feature_set}", "has no images", "Run `hccfeat extract` first.")
    return rows.to_dicts()


def _about(study: Path, feature_set: str, layout: str) -> dict[str, Any]:
    """Facts of the feature set; a network that others know keeps its name, ours is called like the feature set."""
    columns = "feature_set, sha256, encoder, weights_sha256, dim, recipe, modality"
    row = query(study, f"SELECT {columns} FROM feature_set WHERE feature_set = ?", [feature_set]).to_dicts()[0]
    if row.pop("modality") == "mri" and layout in OF_PATCHES:
        problem = f"is of MRI exams, and {layout} files are of patches of slides"
        raise InputError(f"feature set {feature_set}", problem, "Export it with --format h5ad or parquet.")
    imported = json.loads(row.pop("recipe") or "{}").get("modality") == "imported"
    return row if imported else {**row, "encoder": feature_set}


def _without_twins(rows: list[dict[str, Any]], summary: ExportSummary) -> list[dict[str, Any]]:
    """Leave out slides of several cohorts with the same stem: one file cannot be both."""
    stems = Counter(row["image_id"].partition("/")[2] for row in rows)
    kept = [row for row in rows if stems[row["image_id"].partition("/")[2]] == 1]
    problem, remedy = "has the name of a slide of another cohort", "Export one cohort at a time with --cohort."
    summary.failures += [
        {"entity": row["image_id"], "problem": problem, "remedy": remedy} for row in rows if row not in kept
    ]
    return kept


def _slides(
    study: Path, rows: Sequence[dict[str, Any]], encoder: str, summary: ExportSummary
) -> Iterator[Exported]:
    """Read one shard after the other; damaged ones are listed."""
    for row in rows:
        try:
            shard = read_shard(study / row["path"])
        except HccfeatError as error:
            summary.failures.append(_failure(error))
            continue
        mpp = shard.attributes.get("mpp", row["mpp"])  # as it was when the patches were cut
        yield Exported(shard, row["patient_id"] or "", encoder, None if mpp is None else float(mpp))


def _failure(error: HccfeatError) -> dict[str, str]:
    return {"entity": error.entity, "problem": error.problem, "remedy": error.remedy}


def _counted(
    slides: Iterator[Exported], summary: ExportSummary, advance: Callable[..., None]
) -> Iterator[Exported]:
    for slide in slides:
        yield slide
        _count(slide, summary, advance)


def _count(slide: Exported, summary: ExportSummary, advance: Callable[..., None]) -> None:
    summary.slides += 1
    summary.patches += len(slide.shard.vectors)
    advance(note=slide.shard.image_id)


def _write_each(
    folder: Path,
    slides: Iterator[Exported],
    request: ExportRequest,
    summary: ExportSummary,
    advance: Callable[..., None],
) -> None:
    """One file, or one of each kind, per slide; then the table of slides that the format knows."""
    write = _writer(request)
    written: list[tuple[str, Path]] = []
    for slide in slides:
        try:
            written.append((slide.patient_id.partition("/")[2], write(folder, slide)))
        except SlideError as error:
            summary.failures.append(_failure(error))
            advance(note=slide.shard.image_id)
        else:
            _count(slide, summary, advance)
    if request.layout == "clam":
        text = clam.process_list([path.stem for _, path in written])
        write_text_atomically(folder / "process_list_autogen.csv", text)
    elif request.layout == "stamp":
        rows = [(patient, "/".join(path.parts[-2:])) for patient, path in written]
        write_text_atomically(folder / "slide_table.csv", stamp.slide_table(rows))


def _writer(request: ExportRequest) -> Callable[[Path, Exported], Path]:
    dtype: FloatType = request.dtype or ("float16" if request.layout == "stamp" else "float32")
    if request.layout == "stamp":
        return partial(stamp.write, dtype=dtype, version=request.stamp_version)
    writers = {"clam": clam.write, "trident": trident.write, "h5ad": anndata_files.write}
    return partial(writers[request.layout], dtype=dtype)
