"""Prediction of recurrence: fit on training patients, judge on patients that nothing has seen."""

from collections.abc import Sequence

import numpy as np

from hccfeat.analysis.clinical import describe
from hccfeat.analysis.clinical_models import fit_imputed_beside
from hccfeat.analysis.clinical_terms import add_imputed, training
from hccfeat.analysis.comparators import ComparatorOptions, fit_comparators
from hccfeat.analysis.completed_risks import keep_judges
from hccfeat.analysis.conditions import Condition, condition_notices
from hccfeat.analysis.crossval import analyse_folds
from hccfeat.analysis.curves import describe_survival
from hccfeat.analysis.data import EndpointData, Population, Role, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.hazards import univariable
from hccfeat.analysis.judging import decisions_without_model, judge, risk_of
from hccfeat.analysis.models import FitRiskOfImages, FittedModel, check_classes, fit_models
from hccfeat.analysis.multivariable import MULTIVARIABLE, multivariable
from hccfeat.analysis.notices import (
    attrition_row,
    follow_up_notices,
    judge_notices,
    outside_notices,
    training_notices,
    unrecorded_notices,
)
from hccfeat.analysis.results import EndpointResult, Notice
from hccfeat.cohort.endpoints import NO_OUTCOME
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError

__all__ = ["EndpointData", "analyse", "analyse_folds"]

NO_TIME = Notice(
    "info",
    "No survival analysis",
    "The endpoint is a finding without a time, so there are no C-index, risk groups and hazard ratios.",
)

NO_HORIZON = Notice(
    "caution",
    "The label ignores the length of follow-up",
    "The endpoint has no horizon: its label is whether the event was ever seen, and whoever was lost early counts "
    "as free of it. AUROC, average precision, figures at the threshold and those of the label compare patients who "
    "were followed for different times. Read the C-index and the AUC at a time, which see the censoring.",
)


def analyse(
    data: EndpointData,
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe | None = None,
    *,
    fit_images: FitRiskOfImages | None = None,
    comparators: ComparatorOptions | None = None,
) -> EndpointResult:
    """Analyse one endpoint with the frozen split.

    The untreated labelled patients in role ``train`` fit every model; ``held_out`` and ``external`` patients,
    untreated, judge them all alike. Training patients' own scores are given as split ``apparent``. A cohort in
    role ``all`` gives apparent rows of a clinical model and the hazard ratios of its indicators.

    Parameters
    ----------
    data : EndpointData
        Patients, indicators and, where there are, image vectors.
    settings : AnalysisConfig
        Threshold, bootstraps, seed.
    prognostic : PrognosticRecipe, optional
        Settings of the prognostic network; P1's by default.
    fit_images : callable, optional
        Replaces :func:`hccfeat.training.prognostic.fit_prognostic`.
    comparators : ComparatorOptions, optional
        Which further models are fitted beside the network; none by default.

    Returns
    -------
    EndpointResult
        No number in it is NaN or infinite; where one cannot be had, it is None and says why.

    Raises
    ------
    LeakageError
        If the encoder has seen a patient who would judge it.
    AnalysisError
        If no cohort can be analysed: no patients, no labels, no events, one class.
    """
    result = EndpointResult(data.endpoint, data.label, data.horizon_months, data.exclusion_rule, timed=data.timed)
    _check_judges(data)
    if not data.timed:
        result.notices.append(NO_TIME)
    elif data.horizon_months is None:
        result.notices.append(NO_HORIZON)
    result.notices += unrecorded_notices(data) + follow_up_notices(data)
    problems: list[AnalysisError] = []
    try:
        _development(result, data, settings, prognostic or PrognosticRecipe(), fit_images, comparators)
    except AnalysisError as error:
        problems.append(error)
    for cohort in data.cohorts("all"):
        try:
            _described(result, data, cohort, settings, comparators)
        except AnalysisError as error:
            problems.append(error)
    if not (result.metrics or result.hazard_ratios or result.survival) and (problems or not result.attrition):
        raise (
            problems[0]
            if problems
            else AnalysisError(
                f"endpoint {data.endpoint}", "there are no patients to analyse", "Ingest a cohort first."
            )
        )
    result.notices += [Notice("stop", f"Not analysed: {error.entity}", f"{error}") for error in problems]
    return result


def _check_judges(data: EndpointData) -> None:
    """Raise before anything is fitted if a judge was seen by the encoder."""
    roles: tuple[Role, ...] = ("held_out", "external")
    for role in roles if data.images is not None else ():
        for cohort in data.cohorts(role):
            judges = data.patients.filter((data.patients["role"] == role) & (data.patients["cohort"] == cohort))
            assert_unseen(judges["patient_id"], data.seen, f"{role.replace('_', '-')} patients of cohort {cohort}")


def _development(
    result: EndpointResult,
    data: EndpointData,
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe,
    fit_images: FitRiskOfImages | None,
    comparators: ComparatorOptions | None,
) -> None:
    cohorts = data.cohorts("train")
    if not cohorts:
        return
    if len(cohorts) > 1:
        raise AnalysisError(
            f"endpoint {data.endpoint}", f"has training patients in {cohorts}", "Train on one cohort."
        )
    everyone = population(data, cohorts[0], "train", "apparent")
    result.attrition.append(attrition_row(data, everyone))
    result.notices += outside_notices(data, cohorts[0])
    train = everyone.take(everyone.labelled)
    check_classes(train)
    result.notices += training_notices(train)
    models = fit_models(train, settings.seed, prognostic, fit_images)
    if comparators is not None:
        further, notices = fit_comparators(everyone, data, comparators, settings.seed, settings.ties)
        models += further
        result.notices += notices
        further, notices = fit_imputed_beside(everyone, settings, horizon=data.horizon_months, timed=data.timed)
        models += further
        result.notices += notices
    for model in models:
        if model.keep is not None:
            result.artefacts[model.name] = model.keep
    cuts = {model.name: float(np.median(risk_of(model, train))) for model in models}
    _add_verdicts(result, data, [(model, None) for model in models], everyone, settings)
    judges = [population(data, cohort, "held_out", "held_out") for cohort in data.cohorts("held_out")]
    judges += [population(data, cohort, "external", "external") for cohort in data.cohorts("external")]
    for patients in judges:
        _judge_all(result, data, models, cuts, patients, settings)


def _judge_all(
    result: EndpointResult,
    data: EndpointData,
    models: Sequence[FittedModel],
    cuts: dict[str, float],
    patients: Population,
    settings: AnalysisConfig,
) -> None:
    result.attrition.append(attrition_row(data, patients))
    result.notices += judge_notices(patients, data.horizon_months)
    if not len(patients):
        return
    _add_verdicts(result, data, [(model, cuts[model.name]) for model in models], patients, settings)
    keep_judges(result, [(patients, models)])


def _add_verdicts(
    result: EndpointResult,
    data: EndpointData,
    models: Sequence[tuple[FittedModel, float | None]],
    patients: Population,
    settings: AnalysisConfig,
) -> None:
    """Judge models, each with the cut between its risk groups, and describe the patients."""
    conditions = []
    for model, cut in models:
        verdict = judge(data, model, patients, settings, cut)
        verdict.into(result)
        conditions += verdict.conditions
    result.decisions += decisions_without_model(data, patients) if models else []
    conditions += add_hazards(result, data, patients, settings)
    conditions += add_imputed(result, data, patients, settings)
    result.notices += condition_notices(conditions, patients)


def add_hazards(
    result: EndpointResult, data: EndpointData, patients: Population, settings: AnalysisConfig
) -> list[Condition]:
    """Add survival of everybody, and Cox regression of the indicators one by one and all together.

    Returns
    -------
    list of Condition
        What replaced or withheld any; nothing is done for an endpoint without a time.
    """
    if not data.timed:
        return []
    everybody, incidences = describe_survival(patients, data.horizon_months)
    result.survival += [everybody] if everybody is not None else []
    result.incidences += incidences
    end = training(data, patients)
    rows, conditions, tests = univariable(data.endpoint, patients, f"univariable{end}", settings.ties)
    together = multivariable(data.endpoint, patients, f"{MULTIVARIABLE}{end}", settings.ties)
    result.hazard_ratios += rows + together.rows
    result.proportionality += tests + together.proportionality
    result.tests += together.tests
    return conditions + together.conditions


def _described(
    result: EndpointResult,
    data: EndpointData,
    cohort: str,
    settings: AnalysisConfig,
    comparators: ComparatorOptions | None,
) -> None:
    """A clinical-only cohort: hazard ratios of all its patients, and its clinical models."""
    patients = population(data, cohort, "all", "apparent")
    result.attrition.append(attrition_row(data, patients))
    excluded = data.patients.filter(data.patients["cohort"] == cohort)["excluded"]
    if data.timed and (excluded == NO_OUTCOME).fill_null(False).all():
        raise AnalysisError(
            f"cohort {cohort}",
            f"records no outcome of endpoint {data.endpoint}",
            f"Give its clinical table the columns {data.outcome}_months and {data.outcome}_event, or name others "
            f"under [outcomes.{data.outcome}] in its cohort description; then ingest it again.",
        )
    if not np.nansum(patients.event if data.timed else patients.y):
        raise AnalysisError(
            f"cohort {cohort}", f"has no events of endpoint {data.endpoint}", "Choose another endpoint."
        )
    result.notices.append(
        Notice(
            "info",
            f"Cohort {cohort} has no images in this analysis",
            f"Only its clinical table is analysed: {'hazard ratios, and ' if data.timed else ''}clinical models. "
            "Their apparent figures, of the patients they were fitted on, are too good for new patients, and their "
            "apparent risks have no P, because the outcomes of these patients made them; beside them stand figures "
            "corrected for optimism, and those of a cross-validation.",
        )
    )
    # The patients train and judge: they get the guards of both, and what many lack is told of all of them once.
    result.notices += judge_notices(patients, data.horizon_months)
    if patients.labelled.any():
        guards = training_notices(patients.take(patients.labelled))
        result.notices += [notice for notice in guards if notice.kind != "missingness"]
    conditions = add_hazards(result, data, patients, settings)
    conditions += describe(result, data, patients, settings, comparators)
    result.notices += condition_notices(conditions, patients)
