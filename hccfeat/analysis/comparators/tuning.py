"""Settings chosen inside the training patients: each is fitted and scored on inner folds by patient."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.comparators.inputs import Training, inner_folds
from hccfeat.analysis.comparators.registry import Comparator
from hccfeat.errors import AnalysisError
from hccfeat.progress import Advance
from hccfeat.stats.concordance import concordance
from hccfeat.stats.discrimination import auroc


@dataclass(frozen=True)
class Choice:
    """The settings chosen, and how: ``score`` is their mean over ``folds``, None where nothing could be scored."""

    settings: Mapping[str, float]
    score: float | None
    folds: int


def choose(comparator: Comparator, train: Training, advance: Advance) -> Choice:
    """Choose the settings with the highest mean score over inner folds; the first of equals.

    Each fold's models are fitted on its other patients, with their medians and scales, and scored on its own
    patients: Harrell's C for survival comparators, AUROC for classifiers. Folds are never pooled. ``advance`` is
    called for every setting and fold of :func:`work`.

    Parameters
    ----------
    comparator : Comparator
        With its grid.
    train : Training
        Training patients; nobody else is read.
    """
    folds = _folds(comparator, train)
    means = []
    for settings in comparator.grid:
        scores = []
        for inside in folds:
            scores.append(_score(comparator, settings, train, inside))
            advance(note=comparator.name)
        known = [score for score in scores if score is not None]
        # A setting that fails in a fold must not win on the easier ones that are left.
        means.append(float(np.mean(known)) if known and len(known) == len(folds) else -np.inf)
    if not means or not np.isfinite(max(means)):
        return Choice(comparator.grid[0], None, len(folds))
    best = int(np.argmax(means))
    return Choice(comparator.grid[best], means[best], len(folds))


def work(comparator: Comparator, train: Training) -> int:
    """Steps that :func:`choose` takes."""
    return len(comparator.grid) * len(_folds(comparator, train))


def _folds(comparator: Comparator, train: Training) -> list[NDArray[np.bool_]]:
    if len(comparator.grid) < 2:
        return []
    return inner_folds(train.events if comparator.survival else train.patients.y > 0, train.seed)


def _score(
    comparator: Comparator, settings: Mapping[str, float], train: Training, inside: NDArray[np.bool_]
) -> float | None:
    judged = train.patients.take(~inside)
    try:
        risk = comparator.fit(train.take(inside), settings).predict(judged)
    except AnalysisError:
        return None
    if comparator.survival:
        return concordance(judged.time, judged.event, risk).value
    return auroc(judged.y, risk).value
