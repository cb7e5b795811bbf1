"""Prediction of recurrence: fit on training patients, judge on patients that nothing has seen."""

from collections.abc import Iterable

import numpy as np

from hccfeat.analysis.clinical import fit_apparent, logistic_terms
from hccfeat.analysis.crossval import analyse_folds
from hccfeat.analysis.data import EndpointData, Population, Role, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.hazards import univariable
from hccfeat.analysis.judging import Verdict, judge, risk_of
from hccfeat.analysis.models import FitRiskOfImages, FittedModel, check_classes, fit_models
from hccfeat.analysis.notices import (
    attrition_row,
    judge_notices,
    missing_notices,
    training_notices,
    withheld_notice,
)
from hccfeat.analysis.results import EndpointResult, Notice
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError

__all__ = ["EndpointData", "analyse", "analyse_folds"]

NO_TIME = Notice(
    "info",
    "No survival analysis",
    "The endpoint is a finding without a time, so there are no C-index, risk groups and hazard ratios.",
)


def analyse(
    data: EndpointData,
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe | None = None,
    *,
    fit_images: FitRiskOfImages | None = None,
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
    problems: list[AnalysisError] = []
    try:
        _development(result, data, settings, prognostic or PrognosticRecipe(), fit_images)
    except AnalysisError as error:
        problems.append(error)
    for cohort in data.cohorts("all"):
        try:
            _described(result, data, cohort, settings)
        except AnalysisError as error:
            problems.append(error)
    if not (result.metrics or result.hazard_ratios):
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
    train = everyone.take(everyone.labelled)
    check_classes(train)
    result.notices += training_notices(train)
    models = fit_models(train, settings.seed, prognostic, fit_images)
    for model in models:
        if model.keep is not None:
            result.artefacts[model.name] = model.keep
    cuts = {model.name: float(np.median(risk_of(model, train))) for model in models}
    for model in models:
        _add(result, judge(data, model, everyone, settings, None))
    _add_univariable(result, data, everyone, "univariable, apparent")
    judges = [population(data, cohort, "held_out", "held_out") for cohort in data.cohorts("held_out")]
    judges += [population(data, cohort, "external", "external") for cohort in data.cohorts("external")]
    for patients in judges:
        _judge_all(result, data, models, cuts, patients, settings)


def _judge_all(
    result: EndpointResult,
    data: EndpointData,
    models: Iterable[FittedModel],
    cuts: dict[str, float],
    patients: Population,
    settings: AnalysisConfig,
) -> None:
    result.attrition.append(attrition_row(data, patients))
    result.notices += judge_notices(patients)
    if not len(patients):
        return
    withheld: dict[str, str] = {}
    for model in models:
        verdict = judge(data, model, patients, settings, cuts[model.name])
        _add(result, verdict)
        withheld |= verdict.withheld
    withheld |= _add_univariable(result, data, patients, "univariable")
    result.notices += withheld_notice(patients, withheld)


def _described(result: EndpointResult, data: EndpointData, cohort: str, settings: AnalysisConfig) -> None:
    """A clinical-only cohort: hazard ratios of all its patients, and a logistic model judged on itself."""
    patients = population(data, cohort, "all", "apparent")
    result.attrition.append(attrition_row(data, patients))
    if not np.nansum(patients.event if data.timed else patients.y):
        raise AnalysisError(
            f"cohort {cohort}", f"has no events of endpoint {data.endpoint}", "Choose another endpoint."
        )
    withheld = _add_univariable(result, data, patients, "univariable")
    result.notices.append(
        Notice(
            "info",
            f"Cohort {cohort} has no images in this analysis",
            f"Only its clinical table is analysed: {'univariable hazard ratios, and ' if data.timed else ''}a "
            "clinical model that is fitted and judged on the same patients. Such apparent figures are too good for "
            "new patients.",
        )
    )
    result.notices += missing_notices(patients)
    try:
        model, fit, cases = fit_apparent(data, patients)
    except AnalysisError as error:
        result.notices.append(Notice("caution", f"No clinical model in cohort {cohort}", str(error)))
    else:
        result.logistic[cohort] = logistic_terms(fit)
        verdict = judge(data, model, cases, settings, float(np.median(risk_of(model, cases))))
        _add(result, verdict)
        withheld |= verdict.withheld
    result.notices += withheld_notice(patients, withheld)


def _add(result: EndpointResult, verdict: Verdict) -> None:
    result.metrics += verdict.metrics
    result.predictions += verdict.predictions
    result.rocs += verdict.rocs
    result.groups += verdict.groups
    result.hazard_ratios += verdict.hazard_ratios


def _add_univariable(result: EndpointResult, data: EndpointData, patients: Population, kind: str) -> dict[str, str]:
    if not data.timed:
        return {}
    rows, withheld = univariable(data.endpoint, patients, kind)
    result.hazard_ratios += rows
    return withheld
