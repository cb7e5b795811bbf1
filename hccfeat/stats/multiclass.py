"""How well probabilities tell several classes apart: macro F1, accuracy, AUC by pairs of classes.

Every statistic is a function of patient weights, so that one code gives the value (all weights 1) and thousands of
resamples.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import finite, same_length
from hccfeat.stats.resampling import WeightedStatistic

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


def checked_classes(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Classes, Floats]:
    """Labels as int64 (n,) in 0 .. K - 1 and probabilities as finite float64 (n, K), K at least 2.

    Raises
    ------
    AnalysisError
        If they are malformed, or a label names no column of the probabilities.
    """
    p = finite(probabilities, "probabilities")
    given = np.asarray(labels)
    if p.ndim != 2 or p.shape[1] < 2 or given.ndim != 1:
        problem = f"have shapes {given.shape} and {p.shape}"
        raise AnalysisError("labels and probabilities", problem, "Give (n,) and (n, K), K at least 2.")
    same_length(labels=given, probabilities=p)
    if not np.isin(given, np.arange(p.shape[1])).all():
        problem = f"are not all whole numbers from 0 to {p.shape[1] - 1}"
        raise AnalysisError("labels", problem, "Leave out patients without a label first.")
    return given.astype(np.int64), p


def confusion(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.int64]:
    """Counts (K, K): rows are true classes, columns the classes of the highest probability (the first of equals).

    Raises
    ------
    AnalysisError
        If the input is malformed.
    """
    y, p = checked_classes(labels, probabilities)
    counts = np.zeros((p.shape[1], p.shape[1]), dtype=np.int64)
    np.add.at(counts, (y, p.argmax(axis=1)), 1)
    return counts


def weighted_accuracy(labels: ArrayLike, probabilities: ArrayLike) -> WeightedStatistic:
    """Share of patients whose class has the highest probability, as a function of weights (b, n)."""
    y, p = checked_classes(labels, probabilities)
    right = (p.argmax(axis=1) == y).astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        return _ratio(weights @ right, weights.sum(axis=1))

    return statistic


def weighted_macro_f1(labels: ArrayLike, probabilities: ArrayLike) -> WeightedStatistic:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN); ``f1_score(average="macro")`` of scikit-learn.

    A function of weights (b, n); NaN where a class has no patient.
    """
    y, p = checked_classes(labels, probabilities)
    classes = np.arange(p.shape[1])
    true = (y[:, None] == classes).astype(np.float64)
    called = (p.argmax(axis=1)[:, None] == classes).astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        # 2 TP + FP + FN: patients of the class and patients called so
        of_class = weights @ true
        f1 = _ratio(2 * (weights @ (true * called)), of_class + weights @ called)
        return np.where((of_class > 0).all(axis=1), f1.mean(axis=1), np.nan)

    return statistic


def weighted_ovo_auc(labels: ArrayLike, probabilities: ArrayLike) -> WeightedStatistic:
    """Mean over pairs of classes of their AUC (Hand and Till 2001), ties counted as half.

    Equals ``roc_auc_score(multi_class="ovo", average="macro")`` of scikit-learn: the AUC of a pair is the mean of
    the AUCs of both columns among the patients of the two classes. A function of weights (b, n); NaN where a class
    has no patient.
    """
    y, p = checked_classes(labels, probabilities)
    classes = range(p.shape[1])
    members = [np.flatnonzero(y == k) for k in classes]
    ordered = [(a, b) for a in classes for b in classes if a != b]
    ranked = [(members[a], members[b], _wins(p[members[a], a], p[members[b], a])) for a, b in ordered]

    def statistic(weights: Floats) -> Floats:
        return np.mean([_weighted_wins(weights, *parts) for parts in ranked], axis=0)

    return statistic


def weighted_ovr_auc(labels: ArrayLike, probabilities: ArrayLike, of_class: int) -> WeightedStatistic:
    """AUC of one class against all others by its own column, as a function of weights (b, n).

    NaN where either side has no patient.
    """
    y, p = checked_classes(labels, probabilities)
    cases, others = np.flatnonzero(y == of_class), np.flatnonzero(y != of_class)
    wins = _wins(p[cases, of_class], p[others, of_class])

    def statistic(weights: Floats) -> Floats:
        return _weighted_wins(weights, cases, others, wins)

    return statistic


def plain_value(statistic: WeightedStatistic, n: int) -> float | None:
    """Value of a statistic with every one of n patients counted once; None where it does not exist."""
    value = float(statistic(np.ones((1, n)))[0])
    return value if np.isfinite(value) else None


def _wins(cases: Floats, others: Floats) -> Floats:
    """1 where a case (row) has the higher score, 1/2 where equal: its mean is the AUC by midranks."""
    return 0.5 * (np.sign(cases[:, None] - others[None, :]) + 1)


def _weighted_wins(weights: Floats, cases: Classes, others: Classes, wins: Floats) -> Floats:
    of_cases, of_others = weights[:, cases], weights[:, others]
    return _ratio(((of_cases @ wins) * of_others).sum(axis=1), of_cases.sum(axis=1) * of_others.sum(axis=1))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
