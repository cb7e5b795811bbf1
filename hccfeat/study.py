"""The study: one object with every workflow; the command line and notebooks only call it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hccfeat.config import StudyConfig, load_mri_recipe, load_recipe, load_study_config
from hccfeat.errors import InputError
from hccfeat.summaries import AnalyzeSummary, ReproductionSummary, RiskTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from hccfeat.config import ExchangeFormat
    from hccfeat.exchange.export import ExportSummary
    from hccfeat.extraction.imports import ImportSummary
    from hccfeat.extraction.intake import IngestSummary
    from hccfeat.extraction.part import CommitSummary
    from hccfeat.extraction.session import ExtractSummary
    from hccfeat.store.dataset import ImageDataset, PatchDataset
    from hccfeat.store.repair import Repairs
    from hccfeat.store.retention import Removable
    from hccfeat.store.session import Session
    from hccfeat.store.verify import Finding

FEATURES = {"slides": "pps", "mri": "mri"}
"""Modalities, and the name of the feature set of each unless another is asked for."""


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

    def commit(self) -> "CommitSummary":
        """Adopt what `extract --part` has published; see :func:`hccfeat.extraction.part.commit`."""
        from hccfeat.extraction.part import commit

        return commit(self.folder)

    def import_features(
        self, paths: "Sequence[Path]", layout: "ExchangeFormat", features: str, **options: Any
    ) -> "ImportSummary":
        """Take another tool's features as a feature set; see :mod:`hccfeat.extraction.imports` for the options."""
        from hccfeat.extraction.imports import ImportRequest, import_features

        return import_features(self.folder, self.config, ImportRequest(tuple(paths), layout, features, **options))

    def export(
        self, destination: Path, layout: "ExchangeFormat | Literal['geojson']", **options: Any
    ) -> "ExportSummary":
        """Write files for other tools; see :mod:`hccfeat.exchange.export` and :mod:`hccfeat.explanation.qupath`."""
        if layout == "geojson":
            from hccfeat.explanation.qupath import OutlineRequest, export_geojson

            return export_geojson(self.folder, self.config, destination, OutlineRequest(**options))
        from hccfeat.exchange.export import ExportRequest, export_features

        return export_features(self.folder, destination, ExportRequest(layout, **options))

    def analyze(
        self,
        endpoints: tuple[str, ...],
        *,
        features: str | tuple[str, ...] = (),
        cohort: str | None = None,
        external: tuple[str, ...] = (),
        cross_validate: bool = False,
        tune: bool = False,
        comparators: tuple[str, ...] | None = None,
    ) -> AnalyzeSummary:
        """Judge the models of some endpoints and write the report; see :mod:`hccfeat.analysis.workflow`.

        The first of several ``features`` feeds the models (none named: pps, where there are images); the report
        compares all of them with clinical items.
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

    def sql(self, query: str, *, timeout_s: float | None = None, memory: int | None = None) -> "pl.DataFrame":
        """Run one SELECT statement, or a worked query by name, read-only and locked down.

        The study keeps its connection for the next one; see :class:`hccfeat.store.session.Session`.
        """
        return self._session.sql(query, timeout_s=timeout_s, memory=memory)

    @cached_property
    def _session(self) -> "Session":
        from hccfeat.store.session import Session

        return Session(self.folder)

    def scan(self, feature_set: str, image_ids: "list[str] | None" = None) -> "pl.LazyFrame":
        """Patch-level vectors of a feature set (a bare name: its newest version) as a LazyFrame.

        See :func:`hccfeat.store.scan.scan_patches`.
        """
        from hccfeat.store.scan import scan_patches
        from hccfeat.store.versions import resolve_feature_set

        return scan_patches(self.folder, resolve_feature_set(self.folder, feature_set), image_ids)

    def dataset(
        self, feature_set: str, *, level: Literal["patch", "image"] = "patch", image_ids: "list[str] | None" = None
    ) -> "PatchDataset | ImageDataset":
        """Vectors of a feature set as a torch dataset; see :mod:`hccfeat.store.dataset`."""
        from hccfeat.store.dataset import ImageDataset, PatchDataset

        kinds: dict[str, type[PatchDataset | ImageDataset]] = {"patch": PatchDataset, "image": ImageDataset}
        if level not in kinds:
            raise InputError(f"level {level!r}", "is unknown", f"Use {' or '.join(kinds)}.")
        return kinds[level](self.folder, feature_set, image_ids)

    def status(self) -> dict[str, list[dict[str, Any]]]:
        """Cohorts, feature sets with their coverage, failures, models, newest runs, freezes and removals."""
        from hccfeat.store.status import status

        return status(self.folder)

    def verify(self, **options: Any) -> "list[Finding]":
        """Rehash everything; see :func:`hccfeat.store.verify.verify` for the options."""
        from hccfeat.store.verify import verify

        return verify(self.folder, **options)

    def repair(self, **options: Any) -> "Repairs":
        """Verify and put right what can be; see :func:`hccfeat.store.repair.repair` for the options."""
        from hccfeat.store.repair import repair

        return repair(self.folder, **options)

    def rebuild_catalog(self, findings: "list[Finding] | None" = None) -> Path:
        """Make the catalog anew; see :func:`hccfeat.store.catalog.rebuild`."""
        from hccfeat.store.catalog import rebuild

        return rebuild(self.folder, findings)

    def gc(self, *kinds: str, dry_run: bool = True) -> "list[Removable]":
        """List what may go, or remove it; see :mod:`hccfeat.store.retention`."""
        from hccfeat.store.retention import KINDS, removable, remove

        return removable(self.folder, kinds or KINDS) if dry_run else remove(self.folder, kinds)

    def diff(self, a: str, b: str) -> dict[str, list[dict[str, Any]]]:
        """Compare two feature sets or two states of a cohort; see :func:`hccfeat.store.diff.diff`."""
        from hccfeat.store.diff import diff

        return diff(self.folder, a, b)

    def freeze(
        self, name: str, *, cohort: str | None = None, features: str = "pps", split: str | None = None
    ) -> None:
        """Freeze a cohort (by default the development cohort); see :func:`hccfeat.store.freeze.freeze`."""
        from hccfeat.store.freeze import freeze

        chosen = cohort or self.config.development_cohort
        freeze(self.folder, name, cohort=chosen, feature_set=features, split=split)

    def release(self, name: str) -> None:
        """Give a freeze up; see :func:`hccfeat.store.freeze.release`."""
        from hccfeat.store.freeze import release

        release(self.folder, name)

    def freezes(self) -> list[dict[str, Any]]:
        """Every freeze and whether it still is what was frozen; see :func:`hccfeat.store.freeze.freezes`."""
        from hccfeat.store.freeze import freezes

        return freezes(self.folder)


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
    from hccfeat.store.create import create_study

    return open_study(create_study(Path(path).resolve(), name, recipe, mri_recipe, cohort))
