"""Every score of every method, fold by fold, on one set of resampled patients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import GRADES
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.multiclass import (
    confusion,
    weighted_accuracy,
    weighted_macro_f1,
    weighted_ovo_auc,
    weighted_ovr_auc,
)
from hccfeat.stats.paired_folds import (
    FoldStatistic,
    FoldSummary,
    FoldTest,
    PairedDifference,
    by_fold,
    corrected_t,
    fold_differences,
    mean_estimate,
    paired_difference,
    paired_t,
    stratified_weights,
    summarise_folds,
)
from hccfeat.stats.resampling import WeightedStatistic

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric of P2's tables: key of the printed values, name in the catalog, heading, name in a sentence."""

    key: str
    name: str
    short: str
    label: str
    make: Callable[[NDArray[np.int64], Floats], WeightedStatistic]


F1 = Metric("f1", "macro_f1", "F1", "macro F1", weighted_macro_f1)
ACCURACY = Metric("accuracy", "accuracy", "Accuracy", "accuracy", weighted_accuracy)
AUC = Metric("auc", "macro_ovo_auc", "AUC", "macro one-versus-one AUC", weighted_ovo_auc)
METRICS = (F1, ACCURACY, AUC)


def grade_metric(grade: int) -> Metric:
    """AUC of one grade against the others."""

    def make(labels: NDArray[np.int64], probabilities: Floats) -> WeightedStatistic:
        return weighted_ovr_auc(labels, probabilities, grade)

    name = GRADES[grade]
    return Metric(name, f"auc_{name}", name, f"AUC of {name} against the others", make)


@dataclass(frozen=True)
class Comparison:
    """One method minus another on the same patients and folds.

    Attributes
    ----------
    difference : PairedDifference
        With the interval and P of the stratified bootstrap.
    t : FoldTest
        Paired t test on the folds: how the paper's P can have been made (P2 reading 22).
    corrected : FoldTest
        The same with the variance of Nadeau and Bengio.
    """

    difference: PairedDifference
    t: FoldTest
    corrected: FoldTest


class Scores:
    """Scores of predictions that come from the fold that did not train.

    Parameters
    ----------
    labels, folds : ndarray of int64 (n,)
        Grade and judging fold of each patient.
    probabilities : mapping
        Method -> float64 (n, 3).
    resamples, seed : int
        Of the bootstrap of patients within fold and grade; all methods and metrics share its draws.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        folds: NDArray[np.int64],
        probabilities: Mapping[str, Floats],
        *,
        resamples: int,
        seed: int,
    ) -> None:
        self.labels, self.folds, self.probabilities = labels, folds, dict(probabilities)
        self._resamples, self._seed = resamples, seed
        self._statistics: dict[tuple[str, str], FoldStatistic] = {}
        self._replicates: dict[tuple[str, str], Floats] = {}

    def __contains__(self, method: str) -> bool:
        return method in self.probabilities

    @property
    def n(self) -> int:
        """Judged patients."""
        return len(self.labels)

    @property
    def test_over_train(self) -> float:
        """Judged over training patients, averaged over the folds."""
        sizes = np.unique(self.folds, return_counts=True)[1]
        return float(np.mean(sizes / (self.n - sizes)))

    def events(self, metric: Metric) -> int:
        """Patients whom a metric is about: those of its grade, else all with microvascular invasion."""
        about = self.labels == GRADES.index(metric.key) if metric.key in GRADES else self.labels > 0
        return int(about.sum())

    def values(self, method: str, metric: Metric) -> tuple[float | None, ...]:
        """One value per fold."""
        return self._statistic(method, metric).values()

    def summary(self, method: str, metric: Metric) -> FoldSummary:
        """Mean, SD and variance over the folds."""
        return summarise_folds(self.values(method, metric))

    def estimate(self, method: str, metric: Metric) -> Estimate:
        """Mean over the folds with its bootstrap interval."""
        values, replicates = self.values(method, metric), self._replicate(method, metric)
        return mean_estimate(values, replicates, self.n, self.events(metric), metric.label)

    def compare(self, first: str, second: str, metric: Metric) -> Comparison:
        """First minus second."""
        one, two = self.values(first, metric), self.values(second, metric)
        replicates = (self._replicate(first, metric), self._replicate(second, metric))
        what = f"difference in {metric.label}"
        apart = fold_differences(one, two)
        return Comparison(
            paired_difference(one, two, replicates, self.n, self.events(metric), what),
            paired_t(apart),
            corrected_t(apart, self.test_over_train),
        )

    def confusion(self, method: str) -> NDArray[np.int64]:
        """Counts (3, 3) over all folds: rows observed, columns predicted."""
        return confusion(self.labels, self.probabilities[method])

    @cached_property
    def _weights(self) -> Floats:
        strata = self.folds * len(GRADES) + self.labels
        return stratified_weights(strata, self._resamples, self._seed)

    def _statistic(self, method: str, metric: Metric) -> FoldStatistic:
        key = (method, metric.name)
        if key not in self._statistics:
            p = self.probabilities[method]
            self._statistics[key] = by_fold(self.folds, lambda rows: metric.make(self.labels[rows], p[rows]))
        return self._statistics[key]

    def _replicate(self, method: str, metric: Metric) -> Floats:
        key = (method, metric.name)
        if key not in self._replicates:
            self._replicates[key] = self._statistic(method, metric).replicates(self._weights)
        return self._replicates[key]
