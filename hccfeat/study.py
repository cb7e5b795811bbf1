"""The study: one object with every workflow; the command line and notebooks only call it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hccfeat.config import NAME_PATTERN, STUDY_FILE, StudyConfig, load_mri_recipe, load_recipe, load_study_config
from hccfeat.errors import InputError
from hccfeat.files import write_text_atomically

if TYPE_CHECKING:
    import polars as pl

    from hccfeat.extraction.intake import IngestSummary
    from hccfeat.extraction.session import ExtractSummary
    from hccfeat.simulation.deliver import CohortFiles
    from hccfeat.store.verify import Finding

_STUDY_FILE = """\
# The study file of hccfeat; docs/study-file.md explains every key.
name = "{name}"
title = "{name}"
development_cohort = "{cohort}"   # the cohort that trains; others only judge
recipe = "{recipe}"               # slides: paper, released-code, demo, tiny, or one of data_catalog/feature_sets/
mri_recipe = "{mri_recipe}"       # MRI exams: mri-paper, mri-reduced, mri-tiny, or one of the same folder

[split]
test_fraction = 0.2               # of patients, stratified on treatment and recurrence
folds = 5
seed = 2023

[analysis]
bootstraps = 1000
seed = 2023
threshold = 0.5
"""


FEATURES = {"slides": "pps", "mri": "mri"}
"""Modalities, and the name of the feature set of each unless another is asked for."""


@dataclass
class AnalyzeSummary:
    """What ``analyze`` shows on one screen."""

    run_id: str
    report: Path
    simulated: bool
    headline: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, str]] = field(default_factory=list)


@dataclass
class ReproductionSummary:
    """What ``reproduce`` shows on one screen."""

    run_id: str
    report: Path
    simulated: bool
    preset: str
    items: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class RiskTable:
    """Risks of patients without outcomes."""

    rows: list[dict[str, Any]]
    path: Path
    simulated: bool


@dataclass(frozen=True)
class Study:
    """An open study; make one with :func:`open_study`.

    Attributes
    ----------
    folder : Path
        Where it lies.
    config : StudyConfig
        Its study file.
    """

    folder: Path
    config: StudyConfig

    def ingest(self, cohort: str, clinical: Path, **options: Any) -> "IngestSummary":
        """Read a cohort; see :func:`hccfeat.extraction.intake.ingest` for the options (slides, MRI, manifests)."""
        from hccfeat.extraction.intake import ingest

        return ingest(self.folder, cohort, clinical, **options)

    def extract(
        self, *, modality: str = "slides", recipe: str | None = None, base: str | None = None, **options: Any
    ) -> "ExtractSummary":
        """Train and embed; see :func:`hccfeat.extraction.workflow.extract` and ``ExtractOptions``.

        ``modality`` is ``slides`` (feature set ``pps`` unless ``base`` says otherwise) or ``mri`` (``mri``).
        """
        from hccfeat.extraction.workflow import ExtractOptions, extract

        if modality not in FEATURES:
            raise InputError(f"--modality {modality}", "is unknown", f"Use {' or '.join(FEATURES)}.")
        mri = modality == "mri"
        chosen = (
            load_mri_recipe(recipe or self.config.mri_recipe, self.folder)
            if mri
            else load_recipe(recipe or self.config.recipe, self.folder)
        )
        return extract(self.folder, self.config, chosen, ExtractOptions(base=base or FEATURES[modality], **options))

    def analyze(
        self,
        endpoints: tuple[str, ...],
        *,
        features: str | tuple[str, ...] = "pps",
        cohort: str | None = None,
        external: tuple[str, ...] = (),
        cross_validate: bool = False,
        tune: bool = False,
        comparators: tuple[str, ...] | None = None,
    ) -> AnalyzeSummary:
        """Judge the models of some endpoints and write the report; see :mod:`hccfeat.analysis.workflow`.

        The first of several ``features`` feeds the models; the report compares all of them with clinical items.
        ``comparators`` names the models beside the network, and ``tune`` chooses their settings in inner folds.
        """
        from hccfeat.analysis.workflow import AnalyzeRequest, analyze
        from hccfeat.report.collect import collect
        from hccfeat.report.html import write_report

        names = (features,) if isinstance(features, str) else features
        request = AnalyzeRequest(endpoints, names, cohort, external, cross_validate, tune, comparators)
        run = analyze(self.folder, self.config, request)
        report = write_report(self.folder / "results" / run.run_id, collect(self.folder, self.config, run))
        return AnalyzeSummary(run.run_id, report, run.simulated, run.headline(), run.notices())

    def reproduce(self, paper: str = "recurrence", **options: Any) -> ReproductionSummary:
        """Run the study of paper 1 (``recurrence``) or 2 (``mvi``) and write its report.

        See :func:`hccfeat.reproduction.run.reproduce` and :func:`hccfeat.reproduction.mvi.run.reproduce_mvi`.
        """
        from hccfeat.reproduction.mvi.run import MviRequest, reproduce_mvi
        from hccfeat.reproduction.page import checklist_rows, write_page
        from hccfeat.reproduction.run import ReproduceRequest, reproduce

        if paper == "mvi":
            run = reproduce_mvi(self.folder, self.config, MviRequest(**options))
        else:
            run = reproduce(self.folder, self.config, ReproduceRequest(**options))
        report = write_page(self.folder / "results" / run.run_id, run)
        return ReproductionSummary(run.run_id, report, run.simulated, run.preset.name, checklist_rows(run))

    def predict(self, *, model: str, cohorts: tuple[str, ...] = ()) -> RiskTable:
        """Give the risk of patients without outcomes; see :mod:`hccfeat.analysis.predict`."""
        from hccfeat.analysis.predict import predict

        rows, path, simulated = predict(self.folder, model, cohorts)
        return RiskTable(rows, path, simulated)

    def sql(self, query: str, *, timeout_s: float | None = None) -> "pl.DataFrame":
        """Run one SELECT statement, or a worked query by name, read-only and locked down."""
        from hccfeat.store.session import named_query, run_sql

        text = named_query(query) if re.fullmatch(r"[a-z0-9_-]+", query.strip()) else query
        return run_sql(self.folder, text, timeout_s=timeout_s)

    def scan(self, feature_set: str, image_ids: "list[str] | None" = None) -> "pl.LazyFrame":
        """Patch-level vectors of a feature set as a LazyFrame; see :func:`hccfeat.store.scan.scan_patches`."""
        from hccfeat.store.scan import scan_patches

        return scan_patches(self.folder, feature_set, image_ids)

    def sql_text(
        self, *, query: str | None, file: Path | None, layout: str, out: Path | None, timeout: float | None
    ) -> str:
        """Run a query and return what to print; ``parquet`` goes to the file ``out``."""
        from hccfeat.store.export import as_text, write_frame

        if (query is None) == (file is None):
            raise InputError("hccfeat sql", "needs a statement or --file, not both", "See `hccfeat sql --help`.")
        if file is not None and not file.is_file():
            raise InputError(str(file), "does not exist", "Give a file that holds one SELECT statement.")
        frame = self.sql(file.read_text(encoding="utf-8") if file else str(query), timeout_s=timeout)
        if out is not None:
            write_frame(frame, layout, out)
            return f"{frame.height} rows in {out}\n"
        return as_text(frame, layout)

    def status(self) -> dict[str, list[dict[str, Any]]]:
        """Cohorts, feature sets with their coverage, failures, models and the newest runs."""
        from hccfeat.store.status import status

        return status(self.folder)

    def verify(self) -> "list[Finding]":
        """Rehash everything; see :func:`hccfeat.store.verify.verify`."""
        from hccfeat.store.verify import verify

        return verify(self.folder)

    def rebuild_catalog(self) -> Path:
        """Make the catalog anew; see :func:`hccfeat.store.catalog.rebuild`."""
        from hccfeat.store.catalog import rebuild

        return rebuild(self.folder)


def open_study(path: Path | str = ".") -> Study:
    """Open a study folder.

    Parameters
    ----------
    path : Path or str
        Folder that holds ``hccfeat.toml``.

    Raises
    ------
    ConfigError
        If it is no study, or its study file is malformed.
    """
    folder = Path(path).resolve()
    return Study(folder, load_study_config(folder))


def init_study(
    path: Path | str,
    name: str | None = None,
    recipe: str = "paper",
    mri_recipe: str = "mri-paper",
    cohort: str = "internal",
) -> Study:
    """Make a study folder with a commented study file and an empty store.

    Parameters
    ----------
    path : Path or str
        The folder.
    name : str, optional
        Of the study; by default the folder's.
    recipe, mri_recipe : str
        Of slides and of MRI exams; a study may have only one of the two.
    cohort : str
        The development cohort: the one that trains.

    Raises
    ------
    InputError
        If the folder is a study already, or a name is no slug.
    ConfigError
        If a recipe does not exist.
    """
    from hccfeat.store.committer import Committer

    folder = Path(path).resolve()
    if (folder / STUDY_FILE).exists():
        raise InputError(str(folder), "is a study already", f"Edit its {STUDY_FILE}, or choose another folder.")
    load_recipe(recipe, folder)
    load_mri_recipe(mri_recipe, folder)
    chosen = name or re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-_")
    if not NAME_PATTERN.fullmatch(chosen):
        raise InputError(
            f"study name {chosen!r}", "is no name", "Give --name: lower-case letters, digits, - and _."
        )
    if not NAME_PATTERN.fullmatch(cohort):
        raise InputError(f"--cohort {cohort}", "is no name", "Use lower-case letters, digits, - and _.")
    text = _STUDY_FILE.format(name=chosen, recipe=recipe, mri_recipe=mri_recipe, cohort=cohort)
    write_text_atomically(folder / STUDY_FILE, text)
    with Committer(folder):
        pass  # an empty store: the catalog with all tables and views
    return open_study(folder)


def simulate(destination: Path, *, preset: str, seed: int, changes: list[str]) -> str:
    """Write a simulated delivery; ``changes`` are ``key=value`` texts. Returns one line about it."""
    from hccfeat.simulation.deliver import simulate as deliver

    overrides: dict[str, float | int] = {}
    for change in changes:
        key, _, value = change.partition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise InputError(f"--set {change}", "is not KEY=NUMBER", "Write for example --set pi=0.2.") from error
        overrides[key.strip()] = int(number) if number.is_integer() else number
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InputError(str(destination), "exists and is not an empty folder", "Give a new folder.")
    made = deliver(destination, preset, seed, overrides or None)
    return ", ".join(f"{c.name} {c.patients} patients{_files_of(c)}" for c in made.cohorts.values())


def _files_of(cohort: "CohortFiles") -> str:
    counts = {"images": cohort.images, "MRI exams": cohort.exams}
    return "".join(f", {count} {what}" for what, count in counts.items() if count)
