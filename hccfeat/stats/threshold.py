"""Accuracy, precision, recall and F1 at a fixed risk threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.proportion import proportion_confint

from hccfeat.stats.discrimination import checked
from hccfeat.stats.estimate import CONFIDENCE, Estimate
from hccfeat.stats.resampling import WeightedStatistic, bootstrap, percentile_interval


@dataclass(frozen=True)
class Confusion:
    """Counts of patients: called positive and right, positive and wrong, negative and wrong, negative and right."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def n(self) -> int:
        """All patients."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def events(self) -> int:
        """Patients with the event."""
        return self.true_positive + self.false_negative


def confusion(labels: ArrayLike, risk: ArrayLike, threshold: float) -> Confusion:
    """Count the patients called positive, that is with a risk at or above the threshold."""
    y, r = checked(labels, risk)
    positive = r >= threshold
    return Confusion(
        int((positive & y).sum()),
        int((positive & ~y).sum()),
        int((~positive & y).sum()),
        int((~positive & ~y).sum()),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; ``trials`` must be positive."""
    lower, upper = proportion_confint(successes, trials, alpha=1 - CONFIDENCE, method="wilson")
    return (float(lower) if successes else 0.0), (float(upper) if successes < trials else 1.0)


def rates(table: Confusion, rule: str) -> dict[str, Estimate]:
    """Accuracy, precision and recall with Wilson intervals, from the counts of a confusion matrix.

    Parameters
    ----------
    table : Confusion
        Counts.
    rule : str
        How patients were called positive, for the method text, for example ``"risk >= 0.5"``.

    Returns
    -------
    dict
        Keys ``accuracy``, ``precision``, ``recall``; a rate with an empty denominator has no value.
    """
    denominators = {
        "accuracy": (table.true_positive + table.true_negative, table.n, "there are no patients"),
        "precision": (
            table.true_positive,
            table.true_positive + table.false_positive,
            "no patient is called positive",
        ),
        "recall": (table.true_positive, table.events, "no patient has the event"),
    }
    found = {}
    for name, (successes, trials, reason) in denominators.items():
        if not trials:
            method = f"{name} at {rule} not estimated: {reason}"
            found[name] = Estimate(None, None, None, table.n, table.events, method)
            continue
        lower, upper = wilson(successes, trials)
        method = f"{name} at {rule}; {successes}/{trials}, 95 % interval of Wilson"
        found[name] = Estimate(successes / trials, lower, upper, table.n, table.events, method)
    return found


def f1_of(table: Confusion) -> float | None:
    """Harmonic mean of precision and recall; None without events and without positive calls."""
    denominator = 2 * table.true_positive + table.false_positive + table.false_negative
    return 2 * table.true_positive / denominator if denominator else None


def weighted_f1(labels: ArrayLike, risk: ArrayLike, threshold: float) -> WeightedStatistic:
    """F1 as a function of patient weights (b, n); NaN where a resample has neither events nor positive calls."""
    y, r = checked(labels, risk)
    positive = r >= threshold

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        twice = 2 * weights @ (positive & y).astype(np.float64)
        denominator = twice + weights @ (positive ^ y).astype(np.float64)
        return np.divide(twice, denominator, out=np.full(len(twice), np.nan), where=denominator > 0)

    return statistic


def threshold_metrics(
    labels: ArrayLike, risk: ArrayLike, threshold: float, *, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Accuracy, precision and recall with Wilson intervals, and F1 with a patient-bootstrap interval.

    Parameters
    ----------
    labels : array of 0/1 (n,)
        Event.
    risk : array of float (n,)
        Predicted risk, one per patient.
    threshold : float
        A patient with a risk at or above it is called positive (P1 uses 0.5, P1 reading 29).
    resamples, seed : int
        Bootstrap of F1.

    Raises
    ------
    AnalysisError
        If labels are not 0/1 or risks are not finite.
    """
    y, r = checked(labels, risk)
    table = confusion(y, r, threshold)
    rule = f"risk >= {threshold:g}"
    found = rates(table, rule)
    value = f1_of(table)
    if value is None:
        method = f"F1 at {rule} not estimated: no patient has the event or is called positive"
        found["f1"] = Estimate(None, None, None, table.n, table.events, method)
        return found
    lower, upper, note = percentile_interval(bootstrap(weighted_f1(y, r, threshold), table.n, resamples, seed))
    found["f1"] = Estimate(value, lower, upper, table.n, table.events, f"F1 at {rule}; {note}")
    return found
