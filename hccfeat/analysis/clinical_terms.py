"""Coefficients of the clinical models: one indicator at a time and all together, complete cases and pooled."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.clinical_models import complete, treatments
from hccfeat.analysis.conditions import Condition, who
from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.imputed import PooledModel, impute, pooled_cox, pooled_logistic
from hccfeat.analysis.judge_metrics import too_few
from hccfeat.analysis.models import usable_indicators
from hccfeat.analysis.multivariable import MULTIVARIABLE
from hccfeat.analysis.results import (
    ConditionKind,
    EndpointResult,
    HazardRatio,
    LogisticTerm,
    ModelTest,
    Notice,
)
from hccfeat.analysis.separation import raw_logistic
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import independent_columns
from hccfeat.stats.cox import TIES
from hccfeat.stats.coxmodel import CollinearityError
from hccfeat.stats.estimate import exponential
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import FEW_EVENTS

Floats = NDArray[np.float64]
Pool = Callable[[Floats, Sequence[str]], PooledModel]
"""Completed copies of some covariates (m, n, p) and their names to a pooled model."""
UNIVARIABLE = "univariable"
WITH_IMPUTATION = ", imputed"
"""Ending of kinds of hazard ratios and names of logistic fits that are pooled over imputations."""


def add_coefficients(
    result: EndpointResult, data: EndpointData, patients: Population, settings: AnalysisConfig
) -> list[Condition]:
    """Add logistic coefficients of complete cases, and those of both regressions pooled over imputations.

    Cox regression of complete cases is told of every population; see
    :func:`hccfeat.analysis.multivariable.multivariable`. An endpoint without a time has its univariable
    coefficients by logistic regression.

    Returns
    -------
    list of Condition
        What replaced or withheld any.
    """
    conditions: list[Condition] = []
    chosen = treatments(patients, settings)
    if "complete" in chosen:
        conditions += _add_complete(result, data, patients.take(patients.labelled))
    if "multiple" in chosen:
        conditions += _add_pooled(result, data, patients, settings, by_label=True)
    return conditions


def add_imputed(
    result: EndpointResult, data: EndpointData, patients: Population, settings: AnalysisConfig
) -> list[Condition]:
    """Add what patients of an image cohort have pooled over imputations, beside the rows of complete cases.

    Both Cox regressions of any patients, each by what these patients teach; of those who train also the logistic
    coefficients, complete cases first. Nothing where no patient lacks an indicator.

    Returns
    -------
    list of Condition
        What replaced or withheld any.
    """
    trained = patients.split == "apparent"
    if not patients.indicator_names or "multiple" not in treatments(patients, settings):
        return []
    if not (data.timed or trained):
        return []
    result.notices.append(_imputed_notice(patients, settings))
    if trained:
        return add_coefficients(result, data, patients, settings)
    return _add_pooled(result, data, patients, settings, by_label=False)


def _add_pooled(
    result: EndpointResult, data: EndpointData, patients: Population, settings: AnalysisConfig, *, by_label: bool
) -> list[Condition]:
    known = patients.take(patients.followed | patients.labelled)
    columns = usable_indicators(known)
    try:
        copies = impute(known, columns, imputations=settings.imputations, seed=settings.seed).completed
    except AnalysisError as error:
        return [Condition("missingness", "multiple imputation", error.problem)]
    kept, left_out = independent_columns(copies[0], [known.indicator_names[column] for column in columns])
    left_out |= {name: "constant" for column, name in enumerate(known.indicator_names) if column not in columns}
    names = [known.indicator_names[columns[k]] for k in kept]
    conditions = _left_out("regressions of imputed patients", left_out)
    if by_label:
        conditions += _add_pooled_logistic(result, data, known, copies[:, :, kept], names)
    return conditions + _add_pooled_cox(result, data, known, copies[:, :, kept], names, settings.ties)


def _imputed_notice(patients: Population, settings: AnalysisConfig) -> Notice:
    """Who lacks what, and what it is drawn from."""
    missing = np.isnan(patients.indicators)
    lacking = dict(zip(patients.indicator_names, missing.sum(axis=0).tolist(), strict=True))
    listed = ", ".join(f"{name} {number}" for name, number in lacking.items() if number)
    text = (
        f"{int(missing.any(axis=1).sum())} of {len(patients)} {who(patients)} lack an indicator ({listed}). Beside "
        f"the regressions of complete cases stand those pooled over {settings.imputations} imputations, drawn from "
        "what these patients have and their outcomes. Models that predict learn it from training patients alone."
    )
    return Notice("info", f"Indicators imputed in cohort {patients.cohort}", text)


def _left_out(about: str, names: dict[str, str]) -> list[Condition]:
    reason = "; ".join(f"{name} is {why}" for name, why in names.items())
    return [Condition("collinear", about, f"left out: {reason}")] if names else []


def training(data: EndpointData, patients: Population) -> str:
    """Ending of names of rows about patients whom models of an image cohort were fitted on."""
    return ", apparent" if patients.split == "apparent" and patients.cohort not in data.cohorts("all") else ""


def _add_complete(result: EndpointResult, data: EndpointData, labelled: Population) -> list[Condition]:
    cohort, conditions = labelled.cohort + training(data, labelled), []
    if not data.timed:
        terms: list[LogisticTerm] = []
        for column, name in enumerate(labelled.indicator_names):
            has = labelled.take(~np.isnan(labelled.indicators[:, column]))
            found, met = _maximum_likelihood(has, [column], f"univariable logistic regression of {name}")
            terms += [term for term in found if term.term == name]
            conditions += met
        if terms:
            result.logistic[f"{cohort}, {UNIVARIABLE}"] = terms
    cases = labelled.take(complete(labelled))
    columns, left_out = independent_columns(cases.indicators, cases.indicator_names) if len(cases) else ([], {})
    about = "logistic regression of complete cases"
    conditions += _left_out(about, left_out)
    if columns:
        terms, met = _maximum_likelihood(cases, columns, about)
        conditions += met
        if terms:
            result.logistic[cohort] = terms
    return conditions


def _maximum_likelihood(
    cases: Population, columns: list[int], about: str
) -> tuple[list[LogisticTerm], list[Condition]]:
    """Coefficients of some indicators, Firth's where they separate the classes; none where that fails too.

    None with fewer than 5 patients of a class either, because a table of coefficients is one of P.
    """
    names = [cases.indicator_names[column] for column in columns]
    if len(set(cases.y)) == 2 and (reason := too_few(len(cases), int(cases.y.sum()))):
        return [], [Condition("few_events", about, f"{reason}; not fitted")]
    rarer = int(min(cases.y.sum(), len(cases) - cases.y.sum()))
    if 0 < rarer <= len(columns) > 1:
        return [], [_too_many(about, rarer, len(columns))]
    try:
        fit = raw_logistic(cases.indicators[:, columns], cases.y, names)
    except AnalysisError as error:
        kind: ConditionKind = "one_class" if len(set(cases.y)) < 2 else "too_many_parameters"
        kind = "collinear" if isinstance(error, CollinearityError) else kind
        return [], [Condition(kind, about, error.problem)]
    counted = f"n {fit.n}, {fit.events} events"
    terms = [replace(term, method=f"{term.method}; {counted}") for term in fit.terms]
    return terms, [] if fit.condition is None else [replace(fit.condition, about=about)]


def _add_pooled_logistic(
    result: EndpointResult, data: EndpointData, known: Population, copies: Floats, names: list[str]
) -> list[Condition]:
    rows = known.labelled
    y = known.y[rows]
    fits, conditions = _pooled(
        lambda x, terms: pooled_logistic(y, x[:, rows], terms), copies, names, "logistic regression",
        int(min(y.sum(), len(y) - y.sum())), univariable=not data.timed,
    )  # fmt: skip
    for kind, found in fits.items():
        terms = [
            term for fit in found for term in _pooled_terms(fit) if kind == MULTIVARIABLE or term.term in names
        ]
        lost = {name for fit in found for name in fit.terms if name in names} - {term.term for term in terms}
        if lost:
            reason = f"no row of {', '.join(sorted(lost))}: its odds ratio per unit is too large to write"
            about = f"{kind} logistic regression of imputed patients"
            conditions.append(Condition("too_many_parameters", about, reason))
        name = known.cohort + training(data, known) + ("" if kind == MULTIVARIABLE else f", {kind}")
        result.logistic[name + WITH_IMPUTATION] = terms
    result.tests += [_pooled_test(known, "logistic", fit) for fit in fits.get(MULTIVARIABLE, [])]
    return conditions


def _add_pooled_cox(
    result: EndpointResult, data: EndpointData, known: Population, copies: Floats, names: list[str], ties: Ties
) -> list[Condition]:
    rows = known.followed
    if not data.timed:
        return []
    time, event = known.time[rows], known.event[rows]
    ending = training(data, known) + WITH_IMPUTATION
    fits, conditions = _pooled(
        lambda x, terms: pooled_cox(time, event, x[:, rows], terms, ties), copies, names, "Cox regression",
        int(event.sum()), univariable=True,
    )  # fmt: skip
    for kind, found in fits.items():
        for fit in found:
            result.hazard_ratios += pooled_hazards(data.endpoint, known.cohort, kind + ending, fit, ties)
    result.tests += [_pooled_test(known, "Cox", fit, ties) for fit in fits.get(MULTIVARIABLE, [])]
    return conditions


def _pooled(
    pool: Pool, copies: Floats, names: list[str], what: str, events: int, *, univariable: bool
) -> tuple[dict[str, list[PooledModel]], list[Condition]]:
    """Pooled models by kind, and why others are not there."""
    if events < FEW_EVENTS:
        reason = f"only {events} in the rarer class or with the event (fewer than {FEW_EVENTS}); not fitted"
        return {}, [Condition("few_events", f"{what} of imputed patients", reason)]
    chosen = {f"{UNIVARIABLE} {name}": [k] for k, name in enumerate(names)} if univariable else {}
    if events > len(names) > 1:
        chosen[MULTIVARIABLE] = list(range(len(names)))
    found: dict[str, list[PooledModel]] = {}
    conditions = []
    if len(names) > 1 and events <= len(names):
        conditions.append(_too_many(f"{MULTIVARIABLE} {what} of imputed patients", events, len(names)))
    for kind, columns in chosen.items():
        try:
            fit = pool(copies[:, :, columns], [names[k] for k in columns])
        except AnalysisError as error:
            reason = f"not pooled: it {error.problem} in some imputation"
            conditions.append(Condition("separation", f"{kind} {what} of imputed patients", reason))
        else:
            found.setdefault(kind.split(" ")[0], []).append(fit)
    return found, conditions


def _too_many(about: str, events: int, terms: int) -> Condition:
    reason = f"{events} with the event or in the rarer class for {terms} coefficients; not fitted"
    return Condition("too_many_parameters", about, reason)


def _pooled_terms(fit: PooledModel) -> list[LogisticTerm]:
    method = (
        f"pooled over {fit.times} imputations by Rubin's rules, t interval; n {fit.n}, {fit.events} events, "
        f"{fit.incomplete} with a missing item"
    )
    p, rows = fit.pooled, []
    for k, term in enumerate(fit.terms):
        odds, low, high = (exponential(values[k]) for values in (p.estimates, p.lower, p.upper))
        if odds is not None:
            coefficient, error = float(p.estimates[k]), float(p.standard_errors[k])
            rows.append(LogisticTerm(term, coefficient, error, odds, low, high, float(p.p[k]), method))
    return rows


def pooled_hazards(endpoint: str, cohort: str, kind: str, fit: PooledModel, ties: Ties) -> list[HazardRatio]:
    """Rows of a pooled Cox regression, t intervals."""
    p, rows = fit.pooled, []
    for k, term in enumerate(fit.terms):
        hr, low, high = (exponential(values[k]) for values in (p.estimates, p.lower, p.upper))
        numbers = (hr, low, high, float(p.p[k]))
        rows.append(HazardRatio(endpoint, cohort, kind, term, *numbers, fit.n, fit.events, ties))
    return rows


def _pooled_test(known: Population, what: str, fit: PooledModel, ties: Ties = TIES) -> ModelTest:
    """D3's F times its degrees of freedom, nearly a chi-square, to stand beside that of complete cases."""
    test = fit.test
    other = "" if ties == TIES else f", {ties.title()}'s ties"
    method = f"{what} regression of {test.df} indicators{other}, {fit.said}, times {test.df}"
    return ModelTest(
        known.cohort, known.split, f"{MULTIVARIABLE} {what.lower()}{WITH_IMPUTATION}", "likelihood ratio (D3)",
        test.f * test.df, test.df, test.p, fit.n, fit.events, method,
    )  # fmt: skip
