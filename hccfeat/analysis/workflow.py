"""``hccfeat analyze``: load, judge, keep the fitted models, and record every number in the catalog."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.analysis.comparators import ComparatorOptions
from hccfeat.analysis.comparators.choice import Choice, choose_comparators, with_bags
from hccfeat.analysis.comparisons import add_comparisons
from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.indicator_hazards import two_groups
from hccfeat.analysis.load import Scope, choose_cohort, load_endpoint
from hccfeat.analysis.modalities import compare_modalities, compare_modality_folds
from hccfeat.analysis.modality_load import load_inputs
from hccfeat.analysis.models import IMAGE_MODELS
from hccfeat.analysis.predict import save_model
from hccfeat.analysis.recurrence import analyse, analyse_folds
from hccfeat.analysis.results import EndpointResult, Notice
from hccfeat.analysis.subgroups import add_subgroups
from hccfeat.analysis.treatment_report import add_treatment
from hccfeat.cohort.described import recorded_variables
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import StudyConfig
from hccfeat.errors import AnalysisError, InputError
from hccfeat.extraction import feature_sets
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.provenance import run_row, versions
from hccfeat.files import sha256_of
from hccfeat.progress import progress_bar
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.records import read_records

INPUT_KINDS = ("ingest", "splits", "feature_sets")
"""Records that decide what an analysis finds."""


@dataclass(frozen=True)
class AnalyzeRequest:
    """What the command line asks of ``analyze``."""

    endpoints: tuple[str, ...]
    features: tuple[str, ...] = ()
    """Feature sets; the first feeds the models, and further ones are compared with it. None named: ``pps``."""
    cohort: str | None = None
    external: tuple[str, ...] = ()
    cross_validate: bool = False
    tune: bool = False
    """Whether the comparators' settings are tuned inside the training patients."""
    comparators: tuple[str, ...] | None = None
    """See :func:`hccfeat.analysis.comparators.choice.choose_comparators`."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The feature sets named, or the one that is used where none is."""
        return self.features or ("pps",)


@dataclass
class AnalyzeRun:
    """A finished analysis: everything the report needs that is not in the catalog."""

    run_id: str
    created: str
    scope: Scope
    simulated: bool
    settings: dict[str, Any]
    versions: dict[str, str]
    results: list[EndpointResult] = field(default_factory=list)

    def headline(self) -> list[dict[str, Any]]:
        """AUROC of every model that was judged on patients it had not seen; apparent where there is none."""
        rows = [metric for result in self.results for metric in result.all_metrics if metric.metric == "auroc"]
        fair = [metric for metric in rows if metric.split != "apparent"] or rows
        names = ("endpoint", "cohort", "split", "model", "estimate", "lower", "upper", "n", "events", "method")
        return [{name: asdict(metric)[name] for name in names} for metric in fair]

    def notices(self) -> list[dict[str, str]]:
        """Cautions of all endpoints; the report explains each."""
        return [
            {"endpoint": result.endpoint, "level": notice.level, "title": notice.title, "text": notice.text}
            for result in self.results
            for notice in result.notices
            if notice.level != "info"
        ]


def analyze(study: Path, config: StudyConfig, request: AnalyzeRequest) -> AnalyzeRun:
    """Analyse endpoints and record the results.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    request : AnalyzeRequest
        What to analyse.

    Returns
    -------
    AnalyzeRun
        Results by endpoint. Equal inputs give an equal ``run_id``.

    Raises
    ------
    InputError
        If an endpoint, a cohort or the feature set does not exist.
    LeakageError
        If a judge was seen by the encoder.
    AnalysisError
        If the data cannot be analysed.
    """
    started = time.time()
    dictionary = load_dictionary(study)
    for endpoint in request.endpoints:
        dictionary.endpoint(endpoint)
    with Committer(study) as committer:
        scope = _scope(study, config, request)
        has_images = scope.feature_set is not None and scope.cohort == config.development_cohort
        if has_images:
            frozen_split(study, committer, config)
        choice = choose_comparators(
            study, request.comparators, scope.feature_set, [scope.cohort, *scope.external], tune=request.tune
        )
        run = _new_run(study, config, request, scope, choice.options)
        with progress_bar("Analysing", len(request.endpoints)) as advance:
            for endpoint in request.endpoints:
                run.results.extend(_one_endpoint(study, config, request, scope, choice, endpoint))
                advance(note=endpoint)
        _record(study, committer, run, started)
    return run


def _scope(study: Path, config: StudyConfig, request: AnalyzeRequest) -> Scope:
    cohort = choose_cohort(study, config, request.cohort)
    known = set(query(study, "SELECT cohort FROM cohort")["cohort"])
    for name in request.external:
        if name not in known or name == cohort:
            problem = "is the analysed cohort" if name == cohort else "is not in the study"
            raise InputError(f"--external {name}", problem, f"Cohorts: {', '.join(sorted(known))}.")
    found = [_feature_set(study, name) for name in request.feature_names]
    images = query(study, "SELECT count(*) AS n FROM image WHERE cohort = ?", [cohort])["n"][0]
    for name, feature_set in zip(request.feature_names, found, strict=True):
        if feature_set is None and (images or request.features):
            names = query(study, "SELECT DISTINCT base FROM feature_set ORDER BY base")["base"].to_list()
            raise InputError(
                f"--features {name}",
                f"has no embeddings (feature sets: {', '.join(names) or 'none'})"
                + (f", but cohort {cohort} has images" if images else f", and cohort {cohort} has no images"),
                "Run extract first, or name a feature set that is there."
                + ("" if images else " Without --features the clinical table alone is analysed."),
            )
    if len(set(request.feature_names)) < len(found):
        raise InputError("--features", "names a feature set twice", "Name each once.")
    if request.external and found[0] is None:
        raise InputError("--external", "needs a feature set", "Run `hccfeat extract` first.")
    return Scope(cohort, request.external, found[0], tuple(one for one in found[1:] if one is not None))


def _feature_set(study: Path, name: str) -> FeatureSet | None:
    """Feature set of this name with version, or the newest of this name without."""
    return feature_sets.by_name(study, name) or feature_sets.newest(study, name)


def _one_endpoint(
    study: Path, config: StudyConfig, request: AnalyzeRequest, scope: Scope, choice: Choice, endpoint: str
) -> list[EndpointResult]:
    recipe = scope.feature_set.recipe.prognostic if scope.feature_set else None
    asked = request.feature_names if request.cross_validate else ()
    encoders = [_fold_encoders(study, config, name) for name in asked]
    main = with_bags(load_endpoint(study, config, endpoint, scope), study, scope.feature_set)
    result = analyse(main, config.analysis, recipe, comparators=choice.options)
    result.notices += choice.notices
    add_comparisons(result, main, config.analysis)
    add_subgroups(result, main, result.predictions)
    codings = two_groups(recorded_variables(study, scope.cohort), main.indicator_names)
    add_treatment(result, main, codings, config.analysis)
    if scope.others and scope.feature_set is not None:
        _compare(study, config, result, [(main, [scope.feature_set, *scope.others])])
    if not encoders:
        return [result]
    data = [
        with_bags(
            load_endpoint(study, config, endpoint, Scope(scope.cohort, (), encoder), fold=encoder.fold),
            study,
            encoder,
        )
        for encoder in encoders[0]
    ]
    folds = analyse_folds(data, config.analysis, recipe, comparators=choice.options)
    result.attrition.extend(folds.attrition)
    result.metrics.extend(folds.metrics)
    result.decisions.extend(folds.decisions)
    add_comparisons(folds, data[0], config.analysis)
    add_subgroups(folds, data[0], folds.predictions, folds.artefacts["folds"])
    result.comparisons.extend(folds.comparisons)
    result.subgroups.extend(folds.subgroups)
    result.notices.extend(folds.notices)
    if scope.others:
        sets = [list(of_fold) for of_fold in zip(*encoders, strict=True)]
        _compare(study, config, result, list(zip(data, sets, strict=True)))
    return [result]


def _fold_encoders(study: Path, config: StudyConfig, name: str) -> list[FeatureSet]:
    """Encoders of a feature set by fold, one for each."""
    found = feature_sets.folds(study, name)
    if len(found) != config.split.folds:
        raise InputError(
            "--cross-validate",
            f"finds encoders of {name} for {len(found)} of {config.split.folds} folds",
            f"Run `hccfeat extract --folds {config.split.folds}` first, for MRI exams with --modality mri.",
        )
    return found


def _compare(
    study: Path, config: StudyConfig, result: EndpointResult, rounds: list[tuple[EndpointData, list[FeatureSet]]]
) -> None:
    """Add the comparison of modalities to a result: on the frozen split, or over folds where there are several."""
    try:
        loaded = [(data, load_inputs(study, data, sets)) for data, sets in rounds]
        if len(loaded) == 1:
            result.modalities += compare_modalities(*loaded[0], config.analysis)
        else:
            result.modalities.append(compare_modality_folds(loaded, config.analysis))
    except AnalysisError as error:
        where = "over folds" if len(rounds) > 1 else "on the frozen split"
        result.notices.append(Notice("caution", f"Modalities not compared {where}", str(error)))


def _new_run(
    study: Path, config: StudyConfig, request: AnalyzeRequest, scope: Scope, comparators: ComparatorOptions
) -> AnalyzeRun:
    records = [record for record in read_records(study) if record.kind in INPUT_KINDS]
    name = scope.feature_set.name if scope.feature_set else ""
    others = [other.name for other in scope.others]
    shards = query(
        study,
        "SELECT image_id, digest FROM shard WHERE list_contains(?, feature_set) ORDER BY feature_set, image_id",
        [[name, *others]],
    ).rows()
    settings = {
        "endpoints": list(request.endpoints),
        "cohort": scope.cohort,
        "external": list(request.external),
        "feature_set": name,
        **({"compared_with": others} if others else {}),
        "cross_validate": request.cross_validate,
        "comparators": list(comparators.names),
        "tune": comparators.tune,
        **config.model_dump(mode="json", include={"split", "analysis", "development_cohort"}),
    }
    identity = sha256_of(
        [settings, versions(), [record.digest for record in records], [list(row) for row in shards]]
    )
    cohorts = [scope.cohort, *request.external]
    flags = query(study, "SELECT cohort, simulated FROM cohort").rows()
    simulated = any(flag for cohort, flag in flags if cohort in cohorts)
    for used in [name, *others] if name else []:
        row = query(study, "SELECT simulated FROM feature_set WHERE feature_set = ?", [used])
        simulated = simulated or bool(row["simulated"][0])
    created = max((record.created for record in records), default="")
    return AnalyzeRun(f"analyze-{identity[:12]}", created, scope, simulated, settings, versions())


def _record(study: Path, committer: Committer, run: AnalyzeRun, started: float) -> None:
    """Record the numbers once per run id: a repeated analysis finds them there."""
    for result in run.results:
        _keep_model(study, committer, run, result)
    if not committer.query("SELECT 1 FROM run WHERE run_id = ?", [run.run_id]).is_empty():
        return
    row = {**run_row("analyze", started, run.settings), "run_id": run.run_id}
    tables: dict[str, list[dict[str, Any]]] = {
        "run": [row],
        "metric": [{"run_id": run.run_id, **asdict(m)} for r in run.results for m in r.all_metrics],
        "subgroup_metric": [
            {"run_id": run.run_id, "endpoint": r.endpoint, **asdict(s)} for r in run.results for s in r.subgroups
        ],
        "hazard_ratio": [{"run_id": run.run_id, **asdict(h)} for r in run.results for h in r.hazard_ratios],
        "prediction": [{"run_id": run.run_id, **asdict(p)} for r in run.results for p in r.all_predictions],
    }
    committer.record("results", run.run_id, tables, about=run.settings)


def _keep_model(study: Path, committer: Committer, run: AnalyzeRun, result: EndpointResult) -> None:
    """Save the fitted network for ``hccfeat predict``; a model that is there already stays."""
    if run.scope.feature_set is None or not set(IMAGE_MODELS.values()) & set(result.artefacts):
        return
    row = save_model(study, run.scope.feature_set.name, result, simulated=run.simulated)
    known = committer.query("SELECT sha256 FROM model_file WHERE model = ?", [row["model"]])["sha256"].to_list()
    if known != [row["sha256"]]:
        replaces = {"model_file": {"model": row["model"]}}
        committer.record("results", f"model-{row['model']}", {"model_file": [row]}, replaces=replaces)
