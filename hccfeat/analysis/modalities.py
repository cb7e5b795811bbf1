"""Modalities compared: models from each feature set, from clinical items and from all, on the same patients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.comparisons import Pair, compare_pairs, delong_difference
from hccfeat.analysis.crossval import average
from hccfeat.analysis.data import EndpointData, Population, Role, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.judge_metrics import of_label
from hccfeat.analysis.judged_risks import JudgedRisks
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
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.concordance import concordance
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.intervals import holm

CLINICAL_COMPONENTS = f"{CLINICAL_INPUT}_components"
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
    LeakageError
        If an encoder has seen a judge, or a patient judges in two folds.
    AnalysisError
        As there.
    """
    rounds = []
    judged: set[str] = set()
    for data, inputs in folds:
        cohort = data.cohorts("held_out")[0]
        models = _fitted(data, inputs)
        rounds.append(_judged(data, inputs, models, cohort, "held_out", "cross_validation"))
        mine = set(rounds[-1].judges.ids)
        if twice := len(judged & mine):
            problem = f"{twice} of its patients judge in another fold"
            raise LeakageError(f"fold {len(rounds)} of the modalities", problem, "Split by patient.")
        judged |= mine
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
        scores = [_scores(one.judges, one.risks[name], settings.threshold, timed=data.timed) for one in rounds]
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
    together, pairs = _together(data, rounds), _pairs(single, best)
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
        gaps=_gaps(together, pairs),
        differences=tuple(compare_pairs(together, pairs, settings, CLINICAL_COMPONENTS)),
        predictions=tuple(_predictions(data.endpoint, rounds)),
        best=best,
        note=_note(inputs, rounds[0].models, fewest),
    )


def _scores(judges: Population, risk: NDArray[np.float64], threshold: float, *, timed: bool) -> dict[str, Estimate]:
    """AUROC, C-index where there are times, Brier score, calibration and net benefit of one risk."""
    found = {"auroc": auroc(judges.y, risk)}
    if timed:
        known = judges.followed
        found["c_index"] = concordance(judges.time[known], judges.event[known], risk[known]).estimate()
    return found | of_label(judges.y, risk, threshold)


def _together(data: EndpointData, rounds: Sequence[_Round]) -> JudgedRisks:
    """Risks of all judges with the fold of each; labelled patients only, so that Brier scores are of the label."""
    judges = [one.judges for one in rounds]
    time, event = (np.concatenate([getattr(one, name) for one in judges]) for name in ("time", "event"))
    risks = {name: np.concatenate([one.risks[name] for one in rounds]) for name in rounds[0].risks}
    return JudgedRisks(
        endpoint=data.endpoint,
        cohort=judges[0].cohort,
        split=judges[0].split,
        y=np.concatenate([one.y for one in judges]),
        time=time,
        event=event,
        months=time,
        recurred=event,
        fold=np.repeat(np.arange(len(rounds)), [len(one) for one in judges]),
        risks=risks,
        timed=data.timed,
        probabilities=risks,
    )


def _pairs(single: Sequence[str], best: str) -> list[Pair]:
    """Each image modality and the union against clinical items, and the union against the best single one."""
    clinical = CLINICAL_COMPONENTS
    pairs = [(name, clinical) for name in [*single, UNION] if clinical in single and name != clinical]
    pairs += [(UNION, best)] if (UNION, best) not in pairs else []
    return [Pair(one, other, declared=True) for one, other in pairs]


def _gaps(judged: JudgedRisks, pairs: Sequence[Pair]) -> tuple[ModalityGap, ...]:
    """AUROC of each pair by DeLong, or the mean over folds."""
    raw = [delong_difference(judged, pair.first, pair.second) for pair in pairs]
    known = [p for _, p in raw if p is not None]
    adjusted = iter(holm(known))
    return tuple(
        ModalityGap(
            pair.first,
            pair.second,
            found.value,
            found.lower,
            found.upper,
            p,
            None if p is None else next(adjusted),
            found.n,
            found.events,
            f"{found.method}; Holm over {len(known)} differences",
        )
        for pair, (found, p) in zip(pairs, raw, strict=True)
    )


def _predictions(endpoint: str, rounds: Sequence[_Round]) -> list[Prediction]:
    return [
        Prediction(endpoint, one.judges.cohort, one.judges.split, name, patient, float(value), float(value))
        for one in rounds
        for name, risk in one.risks.items()
        for patient, value in zip(one.judges.ids, risk, strict=True)
    ]


def _note(inputs: Sequence[ModalityInput], models: ModalityModels, fewest: ModalityModels) -> str:
    read = "; ".join(f"{one.label}: {one.detail}, {models.components[one.model]} components" for one in inputs)
    return f"fitted on {fewest.trained} patients ({fewest.events} events); {read}"
