"""Cross-validation with one encoder per outer fold: figures are averaged over folds, never pooled."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from hccfeat.analysis.clinical_models import fit_imputed_beside
from hccfeat.analysis.comparators import ComparatorOptions, fit_comparators
from hccfeat.analysis.completed_risks import keep_judges
from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.judging import (
    decisions_without_model,
    estimates,
    metric_row,
    model_decisions,
    predictions,
    rate,
)
from hccfeat.analysis.models import FitRiskOfImages, FittedModel, check_classes, fit_models
from hccfeat.analysis.notices import attrition_row, judge_notices, training_notices
from hccfeat.analysis.rating import LEAST_FOLLOWED, YEARS, followed_beyond
from hccfeat.analysis.results import DecisionCurve, EndpointResult, Notice, SplitRole
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.estimate import Estimate, Z

SPLIT: SplitRole = "cross_validation"
FOLD_ROW = "auroc_fold"


@dataclass
class Fold:
    """One fold: its judges, the months at which they are judged, and what its models scored."""

    number: int
    data: EndpointData
    judges: Population
    times: tuple[float, ...]
    scores: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """Model -> metric -> estimate."""
    descriptions: dict[str, str] = field(default_factory=dict)
    decisions: list[DecisionCurve] = field(default_factory=list)
    models: list[FittedModel] = field(default_factory=list)


def analyse_folds(
    folds: Sequence[EndpointData],
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe | None = None,
    *,
    fit_images: FitRiskOfImages | None = None,
    comparators: ComparatorOptions | None = None,
) -> EndpointResult:
    """Analyse one endpoint by cross-validation.

    Each fold has its own encoder, hence its own image vectors, its own patients seen, and its own models,
    fitted on the fold's ``train`` patients and judged on its ``held_out`` patients. Risks of different folds
    are on different scales: every metric is computed inside a fold and averaged (rows of split
    ``cross_validation``); ``auroc_fold`` rows keep the folds' own AUROC. The interval of a mean combines the
    folds' own variances (their judges are different patients) and holds for the fitted models; means of numbers
    without a standard error have no interval, and name the spread. A fold whose training patients are of one
    class has no models, and says so.

    Parameters
    ----------
    folds : sequence of EndpointData
        One per fold, of one cohort and endpoint; patients in other roles are ignored.
    settings, prognostic, fit_images, comparators
        As for :func:`hccfeat.analysis.recurrence.analyse`.

    Raises
    ------
    LeakageError
        If a fold's encoder has seen a patient who would judge it, or a patient judges in two folds.
    AnalysisError
        If there are fewer than two folds, fewer patients than folds, or no fold can be trained.
    """
    _check(folds)
    first = folds[0]
    result = EndpointResult(
        first.endpoint, first.label, first.horizon_months, first.exclusion_rule, timed=first.timed
    )
    judges = [population(data, data.cohorts("held_out")[0], "held_out", SPLIT) for data in folds]
    result.artefacts["folds"] = {patient: k for k, fold in enumerate(judges, start=1) for patient in fold.ids}
    times = fold_times(judges, first.horizon_months)
    found = []
    for number, (data, patients) in enumerate(zip(folds, judges, strict=True), start=1):
        fold = Fold(number, data, patients, times)
        result.attrition.append(attrition_row(data, patients) | {"split": f"{SPLIT} fold {number}"})
        notices = judge_notices(patients, data.horizon_months)
        result.notices += [replace(notice, title=f"Fold {number}: {notice.title}") for notice in notices]
        _judge_fold(result, fold, settings, prognostic, fit_images, comparators)
        found.append(fold)
    if not any(fold.descriptions for fold in found):
        raise AnalysisError("cross-validation", "finds no fold that can be trained", "Choose another endpoint.")
    for model, description in {name: text for fold in found for name, text in fold.descriptions.items()}.items():
        _add_means(result, model, description, found)
    _add_decisions(result, found)
    keep_judges(result, [(fold.judges, fold.models) for fold in found if fold.models])
    result.notices.append(
        Notice(
            "info",
            "Cross-validation",
            f"Each of the {len(folds)} folds has its own encoder and models; figures are means over folds, and "
            "risks of different folds are never put on one scale.",
        )
    )
    return result


def _check(folds: Sequence[EndpointData]) -> None:
    if len(folds) < 2:
        raise AnalysisError("cross-validation", f"has {len(folds)} folds", "Give at least two.")
    judged: set[str] = set()
    cohorts = set()
    for number, data in enumerate(folds, start=1):
        mine = data.patients.filter(data.patients["role"] == "held_out")
        if not mine.height:
            raise AnalysisError(f"fold {number}", "has no patients to judge", "Use fewer folds than patients.")
        cohorts |= set(mine["cohort"])
        assert_unseen(mine["patient_id"], data.seen, f"patients of fold {number}")
        if twice := len(judged & set(mine["patient_id"])):
            raise LeakageError(
                f"fold {number}", f"{twice} of its patients judge in another fold", "Split by patient."
            )
        judged |= set(mine["patient_id"])
    if len(cohorts) > 1:
        raise AnalysisError("cross-validation", f"has patients of {sorted(cohorts)}", "Use one cohort.")


def fold_times(judges: Sequence[Population], horizon: float | None) -> tuple[float, ...]:
    """Months at which all folds are judged: the horizon, or those to which their judges together are followed."""
    if horizon is not None:
        return (horizon,)
    known = [{year: followed_beyond(fold, year) for year in YEARS} for fold in judges]
    return tuple(year for year in YEARS if sum(fold[year] for fold in known) >= LEAST_FOLLOWED)


def _judge_fold(
    result: EndpointResult,
    fold: Fold,
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe | None,
    fit_images: FitRiskOfImages | None,
    comparators: ComparatorOptions | None,
) -> None:
    """Fit on the fold's training patients and score its judges; says so where they are of one class."""
    data, patients = fold.data, fold.judges
    everyone = population(data, patients.cohort, "train", "apparent")
    train = everyone.take(everyone.labelled)
    try:
        check_classes(train)
    except AnalysisError as error:
        text = f"No model of fold {fold.number}: {error.problem}. Means are over the other folds."
        result.notices.append(Notice("caution", f"Fold {fold.number}: one class", text, "one_class"))
        return
    models = fit_models(train, settings.seed, prognostic or PrognosticRecipe(), fit_images)
    if comparators is not None:
        further, notices = fit_comparators(everyone, data, comparators, settings.seed, settings.ties)
        imputed, problems = fit_imputed_beside(everyone, settings, horizon=data.horizon_months, timed=data.timed)
        models += further + imputed
        result.notices += [notice for notice in notices + problems if notice not in result.notices]
    fold.models += models
    if fold.number == 1:
        result.notices += training_notices(train)
    for model in models:
        fold.descriptions[model.name] = model.description.rpartition(";")[0]
        if len(patients):
            rating = rate(model, patients)
            fold.scores[model.name] = estimates(
                patients, rating, settings, horizon=data.horizon_months, timed=data.timed, times=fold.times
            )
            fold.decisions += model_decisions(data, model.name, patients, rating)
            result.predictions += predictions(data, model.name, patients, rating)
    if models and len(patients):
        fold.decisions += decisions_without_model(data, patients)


def _add_means(result: EndpointResult, model: str, description: str, found: Sequence[Fold]) -> None:
    scores = [fold.scores.get(model, {}) for fold in found]
    for metric in next((fold for fold in scores if fold), {}):
        folds = [fold.get(metric) for fold in scores]
        mean = average(metric, folds)
        place = (result.endpoint, found[0].judges, model)
        result.metrics.append(metric_row(*place, metric, mean, description))
        if metric != "auroc":
            continue
        for number, one in enumerate(folds, start=1):
            if one is not None:
                note = f"fold {number} of {len(found)}; {description}"
                result.metrics.append(metric_row(*place, FOLD_ROW, one, note))


def _add_decisions(result: EndpointResult, found: Sequence[Fold]) -> None:
    """Net benefit averaged over the folds at each threshold that all of them have."""
    by_curve: dict[tuple[str, float | None], list[DecisionCurve]] = {}
    for fold in found:
        for curve in fold.decisions:
            by_curve.setdefault((curve.model, curve.months), []).append(curve)
    trained = sum(bool(fold.descriptions) for fold in found)
    for curves in by_curve.values():
        shared = reduce(np.intersect1d, [curve.thresholds for curve in curves])
        if len(curves) < trained or not len(shared):
            continue
        benefit = [curve.net_benefit[np.isin(curve.thresholds, shared)] for curve in curves]
        result.decisions.append(
            replace(
                curves[0],
                thresholds=shared,
                net_benefit=np.mean(benefit, axis=0),
                n=sum(curve.n for curve in curves),
                events=sum(curve.events for curve in curves),
                method=f"{curves[0].method}, mean of {len(curves)} folds",
            )
        )


def average(metric: str, folds: Sequence[Estimate | None]) -> Estimate:
    """Mean over the folds in which a metric exists.

    Returns
    -------
    Estimate
        With an interval from the folds' own variances, where every fold has one; ``n`` and ``events`` are sums
        over folds, and ``method`` lists the folds' values.
    """
    known = [fold for fold in folds if fold is not None and fold.value is not None]
    n = sum(fold.n for fold in folds if fold is not None)
    events = sum(fold.events for fold in folds if fold is not None)
    if not known:
        return Estimate(None, None, None, n, events, f"mean {metric} over folds not estimated: no fold has it")
    values = np.array([fold.value for fold in known], dtype=np.float64)
    mean = float(values.mean())
    listed = ", ".join(f"{value:.3f}" for value in values)
    method = f"mean of {len(known)} of {len(folds)} folds ({listed})"
    if len(known) > 1:
        method += f", SD {values.std(ddof=1):.3f}"
    errors = [fold.standard_error for fold in known if fold.standard_error is not None]
    if len(errors) < len(folds):
        return Estimate(mean, None, None, n, events, f"{method}; no interval")
    error = float(np.sqrt(np.square(errors).sum())) / len(errors)
    low, high = metric_bounds(metric)
    whose = "DeLong" if metric == "auroc" else "own"
    method = f"{method}; 95 % interval from the folds' {whose} variances, given the fitted models"
    return Estimate(mean, max(low, mean - Z * error), min(high, mean + Z * error), n, events, method, error)


def metric_bounds(metric: str) -> tuple[float, float]:
    """Smallest and largest possible value of a metric."""
    if metric.startswith(("calibration_", "net_benefit")):
        return -np.inf, np.inf
    return (-np.inf if metric.startswith("brier_scaled") else 0.0), 1.0
