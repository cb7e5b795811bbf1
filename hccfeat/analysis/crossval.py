"""Cross-validation with one encoder per outer fold: figures are averaged over folds, never pooled."""

from collections.abc import Sequence

import numpy as np

from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.judging import estimates, metric_row, risk_of
from hccfeat.analysis.models import FitRiskOfImages, fit_models
from hccfeat.analysis.notices import attrition_row, judge_notices, training_notices
from hccfeat.analysis.results import EndpointResult, Notice, Prediction, SplitRole
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.estimate import Estimate, Z

SPLIT: SplitRole = "cross_validation"
FOLD_ROW = "auroc_fold"


def analyse_folds(
    folds: Sequence[EndpointData],
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe | None = None,
    *,
    fit_images: FitRiskOfImages | None = None,
) -> EndpointResult:
    """Analyse one endpoint by cross-validation.

    Each fold has its own encoder, hence its own image vectors, its own patients seen, and its own models,
    fitted on the fold's ``train`` patients and judged on its ``held_out`` patients. Risks of different folds
    are on different scales: every metric is computed inside a fold and averaged (rows of split
    ``cross_validation``); ``auroc_fold`` rows keep the folds' own AUROC. The interval of the mean AUROC
    combines the folds' DeLong variances (their judges are different patients) and holds for the fitted
    models; the other means have no interval, and name the spread.

    Parameters
    ----------
    folds : sequence of EndpointData
        One per fold, of one cohort and endpoint; patients in other roles are ignored.
    settings, prognostic, fit_images
        As for :func:`hccfeat.analysis.recurrence.analyse`.

    Raises
    ------
    LeakageError
        If a fold's encoder has seen a patient who would judge it, or a patient judges in two folds.
    AnalysisError
        If there are fewer than two folds, fewer patients than folds, or a fold cannot be trained.
    """
    _check(folds)
    first = folds[0]
    result = EndpointResult(
        first.endpoint, first.label, first.horizon_months, first.exclusion_rule, timed=first.timed
    )
    scores: list[dict[str, dict[str, Estimate]]] = []
    descriptions: dict[str, str] = {}
    judges: list[Population] = []
    for number, data in enumerate(folds, start=1):
        patients = population(data, data.cohorts("held_out")[0], "held_out", SPLIT)
        judges.append(patients)
        scores.append(_one_fold(result, data, patients, descriptions, settings, prognostic, fit_images))
        result.attrition.append(attrition_row(data, patients) | {"split": f"{SPLIT} fold {number}"})
        result.notices += [
            Notice(notice.level, f"Fold {number}: {notice.title}", notice.text)
            for notice in judge_notices(patients)
        ]
    for model, description in descriptions.items():
        _add_means(result, model, description, judges, [fold.get(model, {}) for fold in scores])
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


def _one_fold(
    result: EndpointResult,
    data: EndpointData,
    patients: Population,
    descriptions: dict[str, str],
    settings: AnalysisConfig,
    prognostic: PrognosticRecipe | None,
    fit_images: FitRiskOfImages | None,
) -> dict[str, dict[str, Estimate]]:
    """Fit on the fold's training patients and score its judges; estimates by model and metric."""
    train = population(data, patients.cohort, "train", "apparent")
    train = train.take(train.labelled)
    models = fit_models(train, settings.seed, prognostic or PrognosticRecipe(), fit_images)
    if not descriptions:
        result.notices += training_notices(train)
    found = {}
    for model in models:
        descriptions.setdefault(model.name, model.description.rpartition(";")[0])
        if not len(patients):
            continue
        risk = risk_of(model, patients)
        found[model.name] = estimates(patients, risk, settings, timed=data.timed)
        result.predictions += [
            Prediction(data.endpoint, patients.cohort, SPLIT, model.name, patient, float(value))
            for patient, value in zip(patients.ids, risk, strict=True)
        ]
    return found


def _add_means(
    result: EndpointResult,
    model: str,
    description: str,
    judges: Sequence[Population],
    scores: Sequence[dict[str, Estimate]],
) -> None:
    total = len(scores)
    for metric in next((fold for fold in scores if fold), {}):
        folds = [fold.get(metric) for fold in scores]
        mean = average(metric, folds)
        result.metrics.append(metric_row(result.endpoint, judges[0], model, metric, mean, description))
        if metric != "auroc":
            continue
        for number, found in enumerate(folds, start=1):
            if found is not None:
                note = f"fold {number} of {total}; {description}"
                result.metrics.append(metric_row(result.endpoint, judges[0], model, FOLD_ROW, found, note))


def average(metric: str, folds: Sequence[Estimate | None]) -> Estimate:
    """Mean over the folds in which a metric exists.

    Returns
    -------
    Estimate
        For the AUROC with an interval from the folds' own intervals, where every fold has one; ``n`` and
        ``events`` are sums over folds, and ``method`` lists the folds' values.
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
    if metric != "auroc" or len(errors) < len(folds):
        return Estimate(mean, None, None, n, events, f"{method}; no interval")
    error = float(np.sqrt(np.square(errors).sum())) / len(errors)
    method = f"{method}; 95 % interval from the folds' DeLong variances, given the fitted models"
    return Estimate(mean, max(0.0, mean - Z * error), min(1.0, mean + Z * error), n, events, method, error)
