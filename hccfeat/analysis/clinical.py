"""A cohort that has only a clinical table: apparent, corrected and cross-validated figures of its models."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hccfeat.analysis.clinical_folds import CrossValidated, Fit, cross_validate
from hccfeat.analysis.clinical_models import (
    IMPUTED,
    Treatment,
    fit_regressions,
    judged_by,
    not_fitted,
    treatment_of,
    treatments,
)
from hccfeat.analysis.clinical_terms import add_coefficients
from hccfeat.analysis.comparators import ComparatorOptions, fit_comparators
from hccfeat.analysis.comparisons import compare_models
from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.curves import risk_times, survival_curve
from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.judging import GROUPS, decisions_without_model, judge, metric_row, risk_of
from hccfeat.analysis.models import CLINICAL, FittedModel
from hccfeat.analysis.optimism import corrected_figures, corrected_rows
from hccfeat.analysis.out_of_fold import add_curves
from hccfeat.analysis.results import EndpointResult, GroupComparison, Notice, Prediction
from hccfeat.analysis.subgroups import add_subgroups
from hccfeat.cohort.sites import sites_of
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError

BOOTSTRAP_IMPUTATIONS = 3
"""In each resample of the optimism bootstrap, whose differences are averaged over many of them."""
OWN = "cox"
"""Comparator that the clinical models have already, unpenalised and with imputation."""


def describe(
    result: EndpointResult,
    data: EndpointData,
    patients: Population,
    settings: AnalysisConfig,
    comparators: ComparatorOptions | None = None,
) -> list[Condition]:
    """Add all that a clinical table says of an endpoint: models, coefficients, honest figures.

    Models are fitted and judged on the same patients (split ``apparent``), corrected for optimism (metrics ending
    in ``_corrected``), and cross-validated with the comparators (split ``cross_validation``). What cannot be had
    becomes a notice.

    Parameters
    ----------
    result : EndpointResult
        Is added to.
    data : EndpointData
        Names the endpoint and its horizon.
    patients : Population
        All patients of the cohort, without images.
    settings : AnalysisConfig
        Imputation, folds, resamples and seed.
    comparators : ComparatorOptions, optional
        Further models of the cross-validation.

    Returns
    -------
    list of Condition
        What replaced or withheld any number.
    """
    if not patients.indicator_names:
        problem = f"cohort {patients.cohort}: has no indicators. Map them in its cohort description."
        result.notices.append(Notice("caution", f"No clinical model in cohort {patients.cohort}", problem))
        return []
    fitted, problems = fit_regressions(
        patients, treatments(patients, settings), imputations=settings.imputations, **_facts(data, settings)
    )
    result.notices += not_fitted(f"No clinical model in cohort {patients.cohort}", problems)
    conditions = add_coefficients(result, data, patients, settings)
    if not fitted:
        return conditions
    result.notices.append(_counts(patients, fitted, settings))
    for model in fitted:
        judges = patients.take(judged_by(model, patients))
        verdict = judge(data, model, judges, settings, float(np.median(risk_of(model, judges))))
        verdict.into(result)
        conditions += verdict.conditions
    result.decisions += decisions_without_model(data, patients)
    try:
        _add_corrected(result, data, patients, fitted, settings)
        conditions += _add_folds(result, data, patients, settings, comparators)
    except AnalysisError as error:
        text = f"{error} The figures of cohort {patients.cohort} are apparent."
        result.notices.append(Notice("caution", "Not cross-validated", text))
    return conditions


def _facts(data: EndpointData, settings: AnalysisConfig) -> dict[str, Any]:
    return {"horizon": data.horizon_months, "timed": data.timed, "seed": settings.seed, "ties": settings.ties}


def _counts(patients: Population, fitted: Sequence[FittedModel], settings: AnalysisConfig) -> Notice:
    """On how many patients each model rests, and what became of the others."""
    listed = "; ".join(f"{model.name}: {model.description.rpartition('; ')[2]}" for model in fitted)
    incomplete = np.isnan(patients.indicators).any(axis=1)
    lacking = int(incomplete.sum())
    read = f"lack{'s' * (lacking == 1)} one of the {len(patients.indicator_names)} indicators in the models"
    text = f"Of {len(patients)} patients of cohort {patients.cohort}, {lacking} {read}. {listed}."
    if not incomplete.any():
        text += " There is nothing to impute."
    elif "multiple" in treatments(patients, settings):
        text += (
            f" Missing indicators were imputed {settings.imputations} times from a joint normal distribution with "
            "the event and its cumulative hazard; judged patients without their outcomes."
        )
    return Notice("info", "Patients of each model", text)


def _add_corrected(
    result: EndpointResult,
    data: EndpointData,
    patients: Population,
    fitted: Sequence[FittedModel],
    settings: AnalysisConfig,
) -> None:
    """Optimism bootstrap of the models of complete cases, and of those of imputed patients, each on its own."""
    horizon, timed = data.horizon_months, data.timed
    for treatment in dict.fromkeys(treatment_of(model) for model in fitted):
        chosen = [model for model in fitted if treatment_of(model) == treatment]
        members = patients.take(judged_by(chosen[0], patients))

        def fit(sample: Population, treatment: Treatment = treatment) -> list[FittedModel]:
            facts = _facts(data, settings)
            return fit_regressions(sample, (treatment,), imputations=BOOTSTRAP_IMPUTATIONS, **facts)[0]

        try:
            figures = corrected_figures(members, chosen, fit, settings, horizon=horizon, timed=timed)
        except AnalysisError as error:
            title = f"Not corrected for optimism in cohort {patients.cohort}"
            result.notices.append(Notice("caution", title, str(error)))
            continue
        note = f"; {BOOTSTRAP_IMPUTATIONS} imputations in each resample" if treatment == "multiple" else ""
        rows = corrected_rows(data.endpoint, members, figures)
        result.metrics += [replace(row, method=row.method + note) for row in rows]


def _add_folds(
    result: EndpointResult,
    data: EndpointData,
    patients: Population,
    settings: AnalysisConfig,
    comparators: ComparatorOptions | None,
) -> list[Condition]:
    """Cross-validate the models, and add all that is said of their out-of-fold risks."""
    told: list[Notice] = []
    fit = _fit_of(data, patients, settings, comparators, told)
    sites = sites_of(patients.cohort, patients.ids, data.sites) if settings.folds_by == "site" else None
    found = cross_validate(patients, fit, settings, horizon=data.horizon_months, timed=data.timed, sites=sites)
    result.notices += told
    result.notices += [
        Notice("caution", f"Cross-validation in cohort {patients.cohort}", f"{name} was not fitted {reason}")
        for name, reason in found.problems.items()
    ]
    for name, numbers in found.numbers.items():
        note = found.descriptions[name]
        result.metrics += [
            metric_row(data.endpoint, found.patients, name, metric, one, note) for metric, one in numbers.items()
        ]
    if data.timed:
        result.groups += [group for name in found.high if (group := _groups(data, found, name)) is not None]
    predictions = _predictions(data, found)
    result.predictions += predictions
    add_curves(result, data, found.patients, found.out_of_fold)
    reference = CLINICAL if CLINICAL in found.numbers else CLINICAL + IMPUTED
    folds = dict(zip(found.patients.ids, found.fold_of.tolist(), strict=True))
    result.comparisons += compare_models(data, predictions, settings, reference=reference, folds=folds)
    add_subgroups(result, data, predictions, folds)
    return found.conditions


def _fit_of(
    data: EndpointData,
    patients: Population,
    settings: AnalysisConfig,
    comparators: ComparatorOptions | None,
    told: list[Notice],
) -> Fit:
    """What learns in a fold: the clinical models, and comparators, whose notices go into ``told``."""
    options = None
    if comparators is not None:
        options = replace(comparators, names=tuple(name for name in comparators.names if name != OWN))
    chosen = treatments(patients, settings)

    def fit(train: Population, repeat: int) -> tuple[list[FittedModel], dict[str, str]]:
        facts = _facts(data, settings)
        models, problems = fit_regressions(train, chosen, imputations=settings.imputations, **facts)
        # The comparators take long, and one repeat is enough to be compared on the same folds.
        if options is not None and repeat == 0:
            further, notices = fit_comparators(train, data, options, settings.seed, settings.ties)
            models += further
            told.extend(notice for notice in notices if notice not in told)
        return models, problems

    return fit


def _predictions(data: EndpointData, found: CrossValidated) -> list[Prediction]:
    """Risks of the first repeat, each on the scale of its fold, with the probabilities of those that give one."""
    p = found.patients
    none = np.full(len(p), np.nan)
    return [
        Prediction(
            *(data.endpoint, p.cohort, p.split, model, patient, float(value)),
            probability=float(chance) if np.isfinite(chance) else None,
        )
        for model, risks in found.risks.items()
        for patient, value, chance in zip(p.ids, risks, found.chances.get(model, none), strict=True)
        if np.isfinite(value)
    ]


def _groups(data: EndpointData, found: CrossValidated, model: str) -> GroupComparison | None:
    """Curves of the patients called high and low risk by models that had not seen them (Simon et al. 2011)."""
    keep = found.patients.followed & np.isfinite(found.risks[model])
    followed, high = found.patients.take(keep), found.high[model][keep]
    members = {name: mask for name, mask in zip(GROUPS, (~high, high), strict=True) if mask.any()}
    if not members:
        return None
    until = data.horizon_months or min(float(followed.time[mask].max()) for mask in members.values())
    marks = risk_times(followed.time, data.horizon_months)
    curves = tuple(survival_curve(name, followed.take(mask), marks, until) for name, mask in members.items())
    note = (
        "each patient's group is by the median risk of the other folds' patients (first repeat; the cut shown is "
        "the mean over folds); no P, because the outcome of a patient helped to place the others"
    )
    cut = float(np.mean(found.cuts[model]))
    return GroupComparison(model, followed.cohort, followed.split, cut, curves, None, None, note)
