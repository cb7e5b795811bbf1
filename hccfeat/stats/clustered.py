"""Scores of many predictions per patient - patches or images - with intervals that resample patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import checked, weighted_average_precision
from hccfeat.stats.estimate import Estimate, same_length
from hccfeat.stats.resampling import BLOCK, WeightedStatistic, bootstrap, percentile_interval

Score = Literal["auroc", "accuracy", "average_precision"]
NAMES: dict[Score, str] = {"auroc": "AUROC", "accuracy": "accuracy", "average_precision": "average precision"}


@dataclass(frozen=True)
class Judged:
    """Predictions and the patients they belong to.

    Attributes
    ----------
    y : ndarray of bool (n,)
        Event, the same for all predictions of a patient.
    risk : ndarray of float64 (n,)
        Predicted risk.
    owner : ndarray of int64 (n,)
        Row of each prediction's patient in ``patients``.
    patients : tuple of str
        Who is resampled, sorted; patients without a prediction may be among them.
    unit : str
        What a prediction is about, in the plural: ``patches``, ``images``, ``patients``.
    """

    y: NDArray[np.bool_]
    risk: NDArray[np.float64]
    owner: NDArray[np.int64]
    patients: tuple[str, ...]
    unit: str

    @property
    def n(self) -> int:
        """Patients with a prediction."""
        return len(np.unique(self.owner))

    @property
    def events(self) -> int:
        """Patients with a prediction and the event."""
        return len(np.unique(self.owner[self.y]))

    def take(self, keep: NDArray[np.bool_]) -> "Judged":
        """The predictions where ``keep`` is true, of the same patients."""
        return Judged(self.y[keep], self.risk[keep], self.owner[keep], self.patients, self.unit)


@dataclass(frozen=True)
class FoldMean:
    """A score averaged over folds.

    Attributes
    ----------
    estimate : Estimate
        The mean; n and events count patients.
    folds : tuple of float or None
        One value per fold, None where the fold has one class.
    sd : float or None
        Standard deviation over the folds with a value; None with fewer than two.
    """

    estimate: Estimate
    folds: tuple[float | None, ...]
    sd: float | None


def judged(
    labels: ArrayLike, risk: ArrayLike, owners: Sequence[str], unit: str, patients: Sequence[str] | None = None
) -> Judged:
    """Group predictions by patient.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event.
    risk : array of float (n,)
        Predicted risk.
    owners : sequence of str (n,)
        Patient of each prediction.
    unit : str
        ``patches``, ``images`` or ``patients``.
    patients : sequence of str, optional
        Who is resampled; those with predictions if not given.

    Raises
    ------
    AnalysisError
        If labels are not 0/1 or differ within a patient, risks are not finite, or an owner is not in ``patients``.
    """
    y, r = checked(labels, risk)
    of = np.asarray(owners, dtype=np.str_)
    same_length(labels=y, owners=of)
    names = np.unique(np.asarray(of if patients is None else list(patients), dtype=np.str_))
    rows = np.searchsorted(names, of).astype(np.int64)
    if len(of) and (not len(names) or (names[np.minimum(rows, len(names) - 1)] != of).any()):
        raise AnalysisError(unit, "belong to patients that are not resampled", "Name every patient.")
    if len(np.unique(rows[y])) + len(np.unique(rows[~y])) != len(np.unique(rows)):
        raise AnalysisError(unit, "of one patient have different labels", "Give each patient one label.")
    return Judged(y, r, rows, tuple(str(name) for name in names), unit)


def one_class(found: Judged) -> str:
    """Say why nothing can be told apart, or return an empty text."""
    if not len(found.y):
        return f"no {found.unit} to judge"
    if found.y.all():
        return "every judged patient has the event"
    return "" if found.y.any() else "no judged patient has the event"


def wins(found: Judged) -> NDArray[np.float64]:
    """How often a patient's predictions lie above another's without the event (p, p), ties counted as half.

    Entry (i, j) sums over the predictions of case i and of control j; the AUROC of any patient resample is a
    quadratic form of it, so that a resample costs p^2 and not the number of patches.
    """
    size = len(found.patients)
    levels, rank = np.unique(found.risk, return_inverse=True)
    case_rank, case_owner = rank[found.y], found.owner[found.y]
    controls = np.flatnonzero(~found.y)
    controls = controls[np.argsort(found.owner[controls], kind="stable")]
    names, starts = np.unique(found.owner[controls], return_index=True)
    table = np.zeros((size, size))
    for control, rows in zip(names, np.split(controls, starts[1:]), strict=True):
        at = np.bincount(rank[rows], minlength=len(levels))
        below = np.cumsum(at) - 0.5 * at
        table[:, control] = np.bincount(case_owner, weights=below[case_rank], minlength=size)
    return table


def weighted_score(found: Judged, score: Score, threshold: float = 0.5) -> WeightedStatistic:
    """A score as a function of patient weights (b, p); NaN where a resample has none.

    Parameters
    ----------
    found : Judged
        Predictions.
    score : {"auroc", "accuracy", "average_precision"}
        Every prediction of a patient weighs as often as the patient is drawn.
    threshold : float
        Of the accuracy: a prediction at or above it is positive.
    """
    size = len(found.patients)
    if score == "average_precision":
        return _average_precision(found)
    if score == "accuracy":
        right = np.bincount(found.owner, weights=(found.risk >= threshold) == found.y, minlength=size)
        every = np.bincount(found.owner, minlength=size).astype(np.float64)
        return lambda weights: _ratio(weights @ right, weights @ every)
    table = wins(found)
    cases = np.bincount(found.owner[found.y], minlength=size).astype(np.float64)
    controls = np.bincount(found.owner[~found.y], minlength=size).astype(np.float64)
    return lambda weights: _ratio(
        ((weights @ table) * weights).sum(axis=1), (weights @ cases) * (weights @ controls)
    )


def clustered(found: Judged, score: Score, *, resamples: int, seed: int, threshold: float = 0.5) -> Estimate:
    """A score of one set of predictions with its patient-bootstrap interval, or the reason for none."""
    return mean_over_folds([found], score, resamples=resamples, seed=seed, threshold=threshold).estimate


def mean_over_folds(
    folds: Sequence[Judged], score: Score, *, resamples: int, seed: int, threshold: float = 0.5
) -> FoldMean:
    """Mean of a score over folds, with an interval that resamples patients within each fold.

    The encoder of a fold is taken as given: the interval holds for new patients, not for newly trained encoders.

    Parameters
    ----------
    folds : sequence of Judged
        One per fold, of different patients.
    score : {"auroc", "accuracy", "average_precision"}
        Which.
    resamples, seed : int
        Bootstrap; fold k draws with ``seed + k``.
    threshold : float
        Of the accuracy.

    Returns
    -------
    FoldMean
        A fold of one class has no AUROC or average precision and is left out of the mean, which the method says.
    """
    values, replicates = fold_draws(folds, score, resamples=resamples, seed=seed, threshold=threshold)
    n, events = sum(fold.n for fold in folds), sum(fold.events for fold in folds)
    name = NAMES[score] + (f" at {threshold:g}" if score == "accuracy" else "")
    what = f"{name} of {sum(len(fold.y) for fold in folds):,} {folds[0].unit if folds else 'predictions'}"
    known = [value for value in values if value is not None]
    if replicates is None:
        reason = one_class(folds[0]) if folds else "no fold"
        return FoldMean(Estimate(None, None, None, n, events, f"{name} not estimated: {reason}"), values, None)
    if len(folds) > 1:
        what += f", mean of {len(known)} folds"
        what += f" ({len(folds) - len(known)} of one class left out)" if len(known) < len(folds) else ""
    found = _estimate(float(np.mean(known)), replicates, n, events, what)
    return FoldMean(found, values, float(np.std(known, ddof=1)) if len(known) > 1 else None)


def fold_draws(
    folds: Sequence[Judged], score: Score, *, resamples: int, seed: int, threshold: float = 0.5
) -> tuple[tuple[float | None, ...], NDArray[np.float64] | None]:
    """Value of each fold, and the mean over the folds with a value in each patient resample.

    Fold k draws with ``seed + k``: folds of the same patients are resampled together.

    Returns
    -------
    (tuple of float or None, ndarray (resamples,) or None)
        NaN where a fold has one class in a resample; None if no fold has a value.
    """
    values: list[float | None] = []
    draws = []
    for k, fold in enumerate(folds):
        if not _usable(fold, score):
            values.append(None)
            continue
        statistic, size = weighted_score(fold, score, threshold), len(fold.patients)
        values.append(float(statistic(np.ones((1, size)))[0]))
        draws.append(bootstrap(statistic, size, resamples, seed + k))
    return tuple(values), np.mean(draws, axis=0) if draws else None


def paired_difference(
    first: Sequence[Judged],
    second: Sequence[Judged],
    score: Score,
    *,
    resamples: int,
    seed: int,
    threshold: float = 0.5,
) -> Estimate:
    """Mean over folds of a score of one model minus another's on the same patients, resampled together.

    Parameters
    ----------
    first, second : sequence of Judged
        Fold by fold the same patients.
    score, resamples, seed, threshold
        As in :func:`mean_over_folds`.

    Raises
    ------
    AnalysisError
        If the patients of a fold differ.
    """
    if any(a.patients != b.patients or set(a.owner) != set(b.owner) for a, b in zip(first, second, strict=True)):
        raise AnalysisError("paired difference", "has other patients on either side", "Judge the same patients.")
    n, events = sum(fold.n for fold in first), sum(fold.events for fold in first)
    name = f"paired difference in {NAMES[score]}"
    values, replicates = fold_draws(first, score, resamples=resamples, seed=seed, threshold=threshold)
    others, other_replicates = fold_draws(second, score, resamples=resamples, seed=seed, threshold=threshold)
    if replicates is None or other_replicates is None:
        reason = one_class(first[0]) if first else "no fold that both were run on"
        return Estimate(None, None, None, n, events, f"{name} not estimated: {reason}")
    both = [one - other for one, other in zip(values, others, strict=True) if one is not None and other is not None]
    what = f"{name} of {first[0].unit}" + (f", mean of {len(both)} folds" if len(both) > 1 else "")
    return _estimate(float(np.mean(both)), replicates - other_replicates, n, events, what)


def _usable(found: Judged, score: Score) -> bool:
    return len(found.y) > 0 if score == "accuracy" else not one_class(found)


def _estimate(value: float, replicates: NDArray[np.float64], n: int, events: int, what: str) -> Estimate:
    lower, upper, note = percentile_interval(replicates)
    defined = replicates[np.isfinite(replicates)]
    error = float(defined.std(ddof=1)) if lower is not None and len(defined) > 1 else None
    return Estimate(value, lower, upper, n, events, f"{what}; {note}", error)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _average_precision(found: Judged) -> WeightedStatistic:
    inner = weighted_average_precision(found.y, found.risk)
    block = max(1, BLOCK // max(len(found.y), 1))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = [inner(weights[start : start + block, found.owner]) for start in range(0, len(weights), block)]
        return np.concatenate(parts)

    return statistic
