"""Modalities compared: models from each feature set, from clinical items and from all, on the same patients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from hccfeat.analysis.crossval import average
from hccfeat.analysis.data import EndpointData, Population, Role, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.judging import metric_row
from hccfeat.analysis.modality_models import (
    CLINICAL_INPUT,
    RECIPE,
    UNION,
    ModalityInput,
    ModalityModels,
    fit_modalities,
)
from hccfeat.analysis.models import check_classes
from hccfeat.analysis.results import ModalityComparison, ModalityGap, Prediction, SplitRole
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import brier_score, calibration
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.intervals import normal_estimate, wald_p
from hccfeat.stats.survival import harrell_c

UNION_LABEL = "All together"
Risks = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Round:
    """One training and its judges: the frozen split, or a fold."""

    models: ModalityModels
    judges: Population
    left_out: int
    risks: Risks


def compare_modalities(
    data: EndpointData, inputs: Sequence[ModalityInput], settings: AnalysisConfig
) -> list[ModalityComparison]:
    """Compare modalities on the frozen split.

    Untreated labelled training patients with every modality fit the models; held-out patients of the same kind
    judge, and those of each external cohort that has any.

    Parameters
    ----------
    data : EndpointData
        Endpoint, roles and outcomes; its images and indicators are not used.
    inputs : sequence of ModalityInput
        The modalities, clinical items among them if there are any.
    settings : AnalysisConfig
        Bootstraps and seed of the C-index.

    Returns
    -------
    list of ModalityComparison
        Held-out patients first.

    Raises
    ------
    LeakageError
        If an encoder has seen a judge.
    AnalysisError
        If the training patients who have every modality are too few or of one class, or nobody judges.
    """
    models = _fitted(data, inputs)
    roles: tuple[tuple[Role, SplitRole], ...] = (("held_out", "held_out"), ("external", "external"))
    found = []
    for role, split in roles:
        for cohort in data.cohorts(role):
            judged = _judged(data, inputs, models, cohort, role, split)
            if len(judged.judges):
                found.append(_comparison(data, inputs, [judged], settings))
    if not found:
        raise AnalysisError("modalities", "no judge has every modality", "Extract both for the same patients.")
    return found


def compare_modality_folds(
    folds: Sequence[tuple[EndpointData, Sequence[ModalityInput]]], settings: AnalysisConfig
) -> ModalityComparison:
    """Compare modalities by cross-validation, one encoder of each feature set per fold.

    Figures are computed inside a fold and averaged; the interval of a mean AUROC or difference combines the folds'
    DeLong variances and holds for the fitted models.

    Parameters
    ----------
    folds : sequence of (EndpointData, sequence of ModalityInput)
        As for :func:`compare_modalities`, the fold's own vectors and patients seen; ``held_out`` patients judge.
    settings : AnalysisConfig
        Bootstraps and seed.

    Raises
    ------
    LeakageError, AnalysisError
        As there.
    """
    rounds = []
    for data, inputs in folds:
        cohort = data.cohorts("held_out")[0]
        models = _fitted(data, inputs)
        rounds.append(_judged(data, inputs, models, cohort, "held_out", "cross_validation"))
    if not any(len(judged.judges) for judged in rounds):
        raise AnalysisError("modalities", "no judge has every modality", "Extract both for the same patients.")
    data, inputs = folds[0]
    return _comparison(data, inputs, rounds, settings)


def _everyone(
    data: EndpointData, inputs: Sequence[ModalityInput], cohort: str, role: Role, split: SplitRole
) -> tuple[Population, int]:
    """Labelled patients with every modality, and the number of labelled ones without."""
    patients = population(replace(data, images=None), cohort, role, split)
    labelled = patients.take(patients.labelled)
    complete = np.array([all(i in source.vectors for source in inputs) for i in labelled.ids], dtype=bool)
    return labelled.take(complete), int((~complete).sum())


def _fitted(data: EndpointData, inputs: Sequence[ModalityInput]) -> ModalityModels:
    cohorts = data.cohorts("train")
    if len(cohorts) != 1:
        raise AnalysisError("modalities", "have no training patients of one cohort", "Extract the images first.")
    train, _ = _everyone(data, inputs, cohorts[0], "train", "apparent")
    check_classes(train)
    return fit_modalities(inputs, train.ids, train.y)


def _judged(
    data: EndpointData,
    inputs: Sequence[ModalityInput],
    models: ModalityModels,
    cohort: str,
    role: Role,
    split: SplitRole,
) -> _Round:
    judges, left_out = _everyone(data, inputs, cohort, role, split)
    for source in inputs:
        assert_unseen(
            judges.ids, source.seen, f"{role.replace('_', '-')} patients of cohort {cohort} ({source.name})"
        )
    return _Round(models, judges, left_out, models.risks(judges.ids))


def _comparison(
    data: EndpointData, inputs: Sequence[ModalityInput], rounds: Sequence[_Round], settings: AnalysisConfig
) -> ModalityComparison:
    names = [*(source.model for source in inputs), UNION]
    first = rounds[0].judges
    metrics, areas = [], {}
    for name in names:
        scores = [_scores(one.judges, one.risks[name], settings, timed=data.timed) for one in rounds]
        note = f"{rounds[0].models.components[name]} components; {RECIPE}"
        for metric in scores[0]:
            folds = [score[metric] for score in scores]
            found = folds[0] if len(rounds) == 1 else average(metric, folds)
            metrics.append(metric_row(data.endpoint, first, name, metric, found, note))
            if metric == "auroc":
                areas[name] = -1.0 if found.value is None else found.value
    single = [source.model for source in inputs]
    best = max(single, key=lambda name: (areas[name], -single.index(name)))
    fewest = min((one.models for one in rounds), key=lambda models: models.trained)
    return ModalityComparison(
        cohort=first.cohort,
        split=first.split,
        labels={source.model: source.label for source in inputs} | {UNION: UNION_LABEL},
        trained=fewest.trained,
        trained_events=fewest.events,
        n=sum(len(one.judges) for one in rounds),
        events=int(sum(one.judges.y.sum() for one in rounds)),
        left_out=sum(one.left_out for one in rounds),
        metrics=tuple(metrics),
        gaps=_gaps(single, best, rounds),
        predictions=tuple(_predictions(data.endpoint, rounds)),
        best=best,
        note=_note(inputs, rounds[0].models, fewest),
    )


def _scores(
    judges: Population, risk: NDArray[np.float64], settings: AnalysisConfig, *, timed: bool
) -> dict[str, Estimate]:
    """AUROC, C-index where there are times, Brier score and calibration slope of one risk."""
    found = {"auroc": auroc(judges.y, risk)}
    if timed:
        known = judges.followed
        found["c_index"] = harrell_c(
            judges.time[known], judges.event[known], risk[known],
            resamples=settings.bootstraps, seed=settings.seed,
        )  # fmt: skip
    if len(judges):
        found["brier"] = brier_score(judges.y, risk)
    else:
        found["brier"] = Estimate(None, None, None, 0, 0, "Brier score not estimated: no patient to judge")
    found["calibration_slope"] = calibration(judges.y, risk).slope
    return found


def _gaps(single: Sequence[str], best: str, rounds: Sequence[_Round]) -> tuple[ModalityGap, ...]:
    """Each image modality and the union against clinical items, and the union against the best single one."""
    clinical = f"{CLINICAL_INPUT}_components"
    pairs = [(name, clinical) for name in [*single, UNION] if clinical in single and name != clinical]
    pairs += [(UNION, best)] if (UNION, best) not in pairs else []
    raw = [_gap(one, other, rounds) for one, other in pairs]
    known = [p for _, p in raw if p is not None]
    adjusted = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return tuple(
        ModalityGap(
            one,
            other,
            found.value,
            found.lower,
            found.upper,
            p,
            None if p is None else float(next(adjusted)),
            found.n,
            found.events,
            f"{found.method}; Holm over {len(known)} differences",
        )
        for (one, other), (found, p) in zip(pairs, raw, strict=True)
    )


def _gap(one: str, other: str, rounds: Sequence[_Round]) -> tuple[Estimate, float | None]:
    """AUROC of the first minus that of the second: DeLong's, or the mean over folds."""
    tests = [paired_delong(found.judges.y, found.risks[other], found.risks[one]) for found in rounds]
    if len(tests) == 1:
        return tests[0].difference, tests[0].p
    n, events = sum(len(found.judges) for found in rounds), int(sum(found.judges.y.sum() for found in rounds))
    values = [test.difference.value for test in tests]
    errors = [test.difference.standard_error or 0.0 for test in tests]
    if any(value is None for value in values):
        lost = sum(value is None for value in values)
        reason = f"{lost} of {len(tests)} folds have too few patients of a class"
        return Estimate(None, None, None, n, events, f"difference in AUROC not estimated: {reason}"), None
    value = float(np.mean([value for value in values if value is not None]))
    error = float(np.sqrt(np.square(errors).sum())) / len(tests)
    note = "95 % interval from the folds' paired DeLong variances, given the fitted models"
    name = f"difference in AUROC, mean of {len(tests)} folds"
    return normal_estimate(value, error, n, events, name, note, (-1.0, 1.0)), wald_p(value, error)


def _predictions(endpoint: str, rounds: Sequence[_Round]) -> list[Prediction]:
    return [
        Prediction(endpoint, one.judges.cohort, one.judges.split, name, patient, float(value))
        for one in rounds
        for name, risk in one.risks.items()
        for patient, value in zip(one.judges.ids, risk, strict=True)
    ]


def _note(inputs: Sequence[ModalityInput], models: ModalityModels, fewest: ModalityModels) -> str:
    read = "; ".join(f"{one.label}: {one.detail}, {models.components[one.model]} components" for one in inputs)
    return f"fitted on {fewest.trained} patients ({fewest.events} events); {read}"
