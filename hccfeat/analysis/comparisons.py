"""Models compared on the same judged patients: paired bootstrap, DeLong's paired test, and what a risk adds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.added_value import added_value, pooled_added_value
from hccfeat.analysis.completed_risks import JUDGES, completed_risks
from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.judge_metrics import too_few
from hccfeat.analysis.judged_risks import CompletedRisks, JudgedRisks, judged_risks
from hccfeat.analysis.models import CLINICAL, COLOUR, IMAGE_MODELS, INTEGRATED
from hccfeat.analysis.results import EndpointResult, ModelComparison, Notice, Prediction, SplitRole
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.intervals import holm, normal_estimate, wald_p
from hccfeat.stats.paired_bootstrap import paired_auroc, paired_brier, paired_brier_at, paired_harrell

AUROC, C_INDEX, BRIER, ADDED = "auroc", "c_index", "brier", "likelihood_ratio"
ADDED_IMPUTED = "likelihood_ratio_imputed"
TESTED = (AUROC, ADDED, ADDED_IMPUTED)
"""Metrics with a P; the others are given with their interval alone, which keeps the families small."""
TEST_NAMES = {
    AUROC: "DeLong's paired tests of AUROC",
    ADDED: "likelihood-ratio tests of added value",
    ADDED_IMPUTED: "likelihood-ratio tests of added value on imputed patients",
}

FILLED = (
    "missing indicators are training medians, which leave a risk that follows them too much to add: read the "
    "imputed test beside it"
)


@dataclass(frozen=True)
class Pair:
    """Two models to compare; only a pair that was ``declared`` beforehand gets a P."""

    first: str
    second: str
    declared: bool


def compare_models(
    data: EndpointData,
    predictions: Sequence[Prediction],
    settings: AnalysisConfig,
    *,
    reference: str = CLINICAL,
    folds: Mapping[str, int] | None = None,
    completed: Mapping[tuple[str, SplitRole], CompletedRisks] | None = None,
) -> list[ModelComparison]:
    """Compare the models of an endpoint in every cohort and split that judged them.

    Every model is compared with the reference, and the integrated model with that of images; the control by colour
    with none. Declared, and therefore tested, are the pairs among the image, integrated and reference models.

    Parameters
    ----------
    data : EndpointData
        Outcomes of the patients.
    predictions : sequence of Prediction
        Apparent ones are passed over, because nothing is tested on patients whom models were fitted on.
    settings : AnalysisConfig
        Bootstraps and seed.
    reference : str
        Model that the others are compared with.
    folds : mapping, optional
        Patient -> fold of a cross-validation; its differences are means over folds.
    completed : mapping, optional
        (cohort, split) -> risks of patients whose missing indicators are imputed.

    Returns
    -------
    list of ModelComparison
        First minus second; a number that cannot be had is None, and the method says why.

    Raises
    ------
    AnalysisError
        If a patient is judged twice by one model, or a cross-validated patient has no fold.
    """
    rows = []
    for judged in judged_risks(data, predictions, folds, completed):
        rows += compare_pairs(judged, model_pairs(list(judged.risks), reference), settings, reference)
    return rows


def add_comparisons(result: EndpointResult, data: EndpointData, settings: AnalysisConfig) -> None:
    """Add the comparisons of a result's judged models to it.

    Parameters
    ----------
    result : EndpointResult
        With its predictions; ``artefacts["folds"]`` maps the patients of a cross-validation to their folds,
        ``artefacts["judges"]`` are the judges from whom risks are completed.
    data : EndpointData
        With the outcomes of these patients.
    settings : AnalysisConfig
        Bootstraps and seed.
    """
    completed: dict[tuple[str, SplitRole], CompletedRisks] = {}
    for place, parts in result.artefacts.get(JUDGES, {}).items():
        try:
            found = completed_risks(parts, settings)
        except AnalysisError as error:
            title = f"Added value not tested on imputed patients of cohort {place[0]}"
            result.notices.append(Notice("caution", title, str(error), "missingness"))
        else:
            completed |= {place: found} if found is not None else {}
    folds = result.artefacts.get("folds")
    result.comparisons += compare_models(data, result.predictions, settings, folds=folds, completed=completed)


def model_pairs(models: Sequence[str], reference: str) -> list[Pair]:
    """Which models are compared: each with the reference, and the integrated with that of images."""
    images = [name for name in IMAGE_MODELS.values() if name in models]
    pairs = [
        Pair(name, reference, name in (*images, INTEGRATED))
        for name in models
        if reference in models and name not in (reference, COLOUR)
    ]
    return pairs + [Pair(INTEGRATED, name, declared=True) for name in images if INTEGRATED in models]


def compare_pairs(
    judged: JudgedRisks, pairs: Sequence[Pair], settings: AnalysisConfig, reference: str
) -> list[ModelComparison]:
    """Compare pairs of models on the patients whom both have judged.

    AUROC of labelled patients, Harrell's C of those with a time, Brier score of either; for declared pairs, what
    the first adds to the reference. Holm's correction inside each family: the declared pairs in one metric.
    """
    rows = [row for pair in pairs for row in _rows(judged, pair, settings, reference)]
    for metric in TESTED:
        family = {k: row.p for k, row in enumerate(rows) if row.metric == metric and row.p is not None}
        for k, p in zip(family, holm(list(family.values())), strict=True):
            note = f"{rows[k].method}; Holm over {len(family)} {TEST_NAMES[metric]}"
            rows[k] = replace(rows[k], p_adjusted=p, method=note)
    return rows


def declaration(rows: Sequence[ModelComparison]) -> str:
    """Say which comparisons were declared, how they are tested, and what is not corrected for; "" without rows."""
    if not rows:
        return ""
    tested = dict.fromkeys(f"{row.first} against {row.second}" for row in rows if row.p is not None)
    sizes = Counter((row.metric, row.endpoint, row.cohort, row.split) for row in rows if row.p is not None)
    largest = {metric: max((sizes[key] for key in sizes if key[0] == metric), default=0) for metric in TESTED}
    kinds = [f"{TEST_NAMES[metric]} ({size} at most)" for metric, size in largest.items() if size]
    tests = "No test is declared for these models."
    if tested:
        tests = (
            f"Tests are declared for {'; '.join(tested)}. A family holds the tests of one kind in one cohort and "
            f"split: {' and '.join(kinds)}; P are adjusted inside it by Holm, not across families or endpoints."
        )
    return (
        f"{tests} Differences are first minus second on the same patients, with paired bootstrap intervals over "
        "patients; those in C-index and Brier score, and those of other models, have no P. Nothing is compared on "
        "patients whom a model was fitted on."
    )


def delong_difference(judged: JudgedRisks, first: str, second: str) -> tuple[Estimate, float | None]:
    """AUROC of the first minus that of the second model by DeLong, or the mean over folds, with interval and P.

    Over folds the interval combines the folds' variances (their patients differ) and holds for the fitted models.
    There is no P with fewer than 5 patients of a class; the method says so.
    """
    found, p = _delong(judged, first, second)
    if p is not None and (reason := too_few(found.n, found.events)):
        return replace(found, method=f"{found.method}; {reason}"), None
    return found, p


def _delong(judged: JudgedRisks, first: str, second: str) -> tuple[Estimate, float | None]:
    keep = judged.labelled & judged.both(first, second)
    y, a, b = judged.y[keep], judged.risks[first][keep], judged.risks[second][keep]
    fold = judged.fold[keep]
    numbers = np.unique(fold)
    if len(numbers) < 2:
        found = paired_delong(y, b, a)
        return found.difference, found.p
    tests = [paired_delong(y[rows], b[rows], a[rows]) for rows in (fold == number for number in numbers)]
    n, events = len(y), int(y.sum())
    values = [test.difference.value for test in tests if test.difference.value is not None]
    if len(values) < len(tests):
        reason = f"{len(tests) - len(values)} of {len(tests)} folds have too few patients of a class"
        return Estimate(None, None, None, n, events, f"difference in AUROC not estimated: {reason}"), None
    errors = [test.difference.standard_error or 0.0 for test in tests]
    value, error = float(np.mean(values)), float(np.sqrt(np.square(errors).sum())) / len(tests)
    name = f"difference in AUROC, mean of {len(tests)} folds"
    note = "95 % interval from the folds' paired DeLong variances, given the fitted models"
    return normal_estimate(value, error, n, events, name, note, (-1.0, 1.0)), wald_p(value, error)


def _rows(judged: JudgedRisks, pair: Pair, settings: AnalysisConfig, reference: str) -> list[ModelComparison]:
    found = {AUROC: _auroc(judged, pair, settings)}
    if judged.timed:
        found[C_INDEX] = (_harrell(judged, pair, settings), None)
    found[BRIER] = (_brier(judged, pair, settings), None)
    if pair.declared and pair.second == reference:
        found[ADDED] = added_value(judged, pair.first, reference, settings.ties)
        if {pair.first, reference} <= set(judged.completed):
            filled, p = found[ADDED]
            found[ADDED] = replace(filled, method=f"{filled.method}; {FILLED}"), p
            found[ADDED_IMPUTED] = pooled_added_value(judged, pair.first, reference, settings.ties)
    return [
        ModelComparison(
            endpoint=judged.endpoint,
            cohort=judged.cohort,
            split=judged.split,
            first=pair.first,
            second=pair.second,
            metric=metric,
            difference=estimate.value,
            lower=estimate.lower,
            upper=estimate.upper,
            p=p,
            p_adjusted=None,
            n=estimate.n,
            events=estimate.events,
            method=estimate.method,
        )
        for metric, (estimate, p) in found.items()
    ]


def _auroc(judged: JudgedRisks, pair: Pair, settings: AnalysisConfig) -> tuple[Estimate, float | None]:
    keep = judged.labelled & judged.both(pair.first, pair.second)
    found = paired_auroc(judged.y[keep], *_both(judged, pair, keep), **_draw(judged, settings, keep))
    if found.value is None:
        return found, None
    if not pair.declared:
        return _untested(found), None
    by_delong, p = delong_difference(judged, pair.first, pair.second)
    said = "P by DeLong's paired test" if p is not None else f"no P: {by_delong.method.split('; ')[-1]}"
    return replace(found, method=f"{found.method}; {said}"), p


def _harrell(judged: JudgedRisks, pair: Pair, settings: AnalysisConfig) -> Estimate:
    keep = judged.followed & judged.both(pair.first, pair.second)
    return paired_harrell(
        judged.time[keep], judged.event[keep], *_both(judged, pair, keep), **_draw(judged, settings, keep)
    )


def _brier(judged: JudgedRisks, pair: Pair, settings: AnalysisConfig) -> Estimate:
    """Difference in Brier score: at the horizon under censoring, or of the label where there is no horizon."""
    at_horizon = judged.timed and judged.horizon is not None
    known = ~(np.isnan(judged.months) | np.isnan(judged.recurred)) if at_horizon else judged.labelled
    lacking = [name for name in (pair.first, pair.second) if name not in judged.probabilities]
    if lacking:
        keep = known & judged.both(pair.first, pair.second)
        what = f"difference in Brier score not estimated: {' and '.join(lacking)} without a probability"
        return Estimate(None, None, None, int(keep.sum()), int(np.nansum(judged.y[keep])), what)
    judged = replace(judged, risks=judged.probabilities)
    keep = known & judged.both(pair.first, pair.second)
    draw = _draw(judged, settings, keep)
    if judged.horizon is None or not judged.timed:
        return paired_brier(judged.y[keep], *_both(judged, pair, keep), **draw)
    months, recurred = judged.months[keep], judged.recurred[keep]
    return paired_brier_at(months, recurred, *_both(judged, pair, keep), judged.horizon, **draw)


def _both(judged: JudgedRisks, pair: Pair, keep: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    return judged.risks[pair.first][keep], judged.risks[pair.second][keep]


def _draw(judged: JudgedRisks, settings: AnalysisConfig, keep: NDArray[np.bool_]) -> dict[str, Any]:
    return {"resamples": settings.bootstraps, "seed": settings.seed, "fold": judged.fold[keep]}


def _untested(found: Estimate) -> Estimate:
    return replace(found, method=f"{found.method}; not tested: outside the declared family")
