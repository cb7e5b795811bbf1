"""Harrell's and Uno's C with R's standard errors, in O(n log n)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Estimate, checked_survival, finite, same_length
from hccfeat.stats.intervals import normal_estimate, wald_p
from hccfeat.stats.km import censoring_curve

Floats = NDArray[np.float64]
Weights = Literal["harrell", "uno"]
NAMES: dict[Weights, str] = {"harrell": "Harrell's C", "uno": "Uno's C"}


@dataclass(frozen=True)
class Concordance:
    """Agreement of a risk with the order of the events.

    Attributes
    ----------
    value : float or None
        Share of comparable pairs in which the earlier event has the higher risk, ties in risk counted half;
        None without comparable pairs.
    standard_error : float or None
        From the influence function; None where there is no value.
    influence : ndarray of float64 (n,)
        Change of the value by each patient (R's ``dfbeta``), in the order given.
    concordant, discordant, tied : float
        Weighted pairs.
    """

    value: float | None
    standard_error: float | None
    influence: Floats
    concordant: float
    discordant: float
    tied: float
    n: int
    events: int
    method: str

    def estimate(self) -> Estimate:
        """The value with its normal 95 % interval, clipped to 0..1."""
        if self.value is None or self.standard_error is None:
            method = f"{self.method} not estimated: no comparable pair of patients"
            return Estimate(None, None, None, self.n, self.events, method)
        note = "95 % interval from the influence function"
        counts = (self.n, self.events)
        return normal_estimate(self.value, self.standard_error, *counts, self.method, note, (0.0, 1.0))


def concordance(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    weights: Weights = "harrell",
    horizon: float | None = None,
) -> Concordance:
    """Concordance of a risk (higher means earlier) with its standard error.

    A pair is comparable if the shorter time ends in an event; an event counts as before a censoring at the
    same time, and two events at the same time are not compared. Equals ``concordance`` of R's survival 3.5,
    ``timewt = "n"`` (Harrell et al. 1982) or ``"n/G2"`` (Uno et al. 2011): the latter weights each event by
    1/G(t-)^2, with G the Kaplan-Meier curve of censoring, events before censorings at the same time. The
    variance is the sum of squared influences, with G taken as known, as R takes it.

    Parameters
    ----------
    time, event, risk : array (n,)
        Times, 0/1, and the predicted risk of each patient.
    weights : {"harrell", "uno"}
        Equal weights, or the inverse squared probability of being uncensored.
    horizon : float, optional
        Leave out events after this time (R's ``ymax``); for Uno's C it bounds the weights.

    Raises
    ------
    AnalysisError
        If the arrays are malformed.
    """
    t, e = checked_survival(time, event)
    r = finite(risk, "risk")
    same_length(time=t, risk=r)
    of_event = np.where(e & (t <= (np.inf if horizon is None else horizon)), 1.0, 0.0)
    if weights == "uno" and len(t):
        alive = censoring_curve(t, e).before(t)
        of_event = np.divide(of_event, alive**2, out=np.zeros(len(t)), where=alive > 0)
    lower, same, higher = _pairs(t, e, rankdata(r, method="dense"), of_event)
    # Each pair is in the counts of both of its patients.
    right, tied, wrong = (float(counts.sum() / 2) for counts in (lower, same, higher))
    method = NAMES[weights] + (f" up to {horizon:g}" if horizon is not None else "")
    pairs = right + tied + wrong
    first = e & (of_event > 0)
    comparable = first.any() and bool((t[first] < t.max()).any() or np.isin(t[first], t[~e]).any())
    if pairs <= 0 or not comparable:  # weighted sums of no pairs can be a rounding error instead of 0
        return Concordance(None, None, np.zeros(len(t)), right, wrong, tied, len(t), int(e.sum()), method)
    somers = (right - wrong) / pairs
    influence = ((lower - higher) - somers * (lower + same + higher)) / (2 * pairs)
    error = float(np.sqrt((influence**2).sum()))
    return Concordance((1 + somers) / 2, error, influence, right, wrong, tied, len(t), int(e.sum()), method)


def concordance_difference(first: Concordance, second: Concordance) -> tuple[Estimate, float | None]:
    """Second minus first concordance of two risks of the same patients, with interval and P.

    The variance is that of the difference of the influences, as R's ``concordance(fit1, fit2)`` takes it. Not for
    nested models judged on the patients they were fitted to.

    Raises
    ------
    AnalysisError
        If the two are of different patients or a value is missing.
    """
    if first.value is None or second.value is None or (first.n, first.events) != (second.n, second.events):
        problem = "needs two concordances of the same patients"
        raise AnalysisError("difference in concordance", problem, "Judge both risks on the same rows.")
    value = second.value - first.value
    error = float(np.sqrt(((second.influence - first.influence) ** 2).sum()))
    name, note = f"difference in {first.method}", "95 % interval from the influence functions"
    return normal_estimate(value, error, first.n, first.events, name, note), wald_p(value, error)


def _pairs(time: Floats, event: NDArray[np.bool_], rank: NDArray, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted comparable pairs of each patient (n,): concordant, tied in risk, discordant.

    The weight of a pair is that of its earlier event.
    """
    # In this order every pair of an event with a later patient is comparable, except two events at one time.
    order = np.lexsort((rank, ~event, time))
    r, w = rank[order].astype(np.int64), weight[order]
    as_first, as_second = _dominance(r, w)
    right, tied, wrong = (a * w + b for a, b in zip(as_first, as_second, strict=True))
    run = np.cumsum(np.append(True, np.diff(time[order]) > 0) if len(r) else np.zeros(0, dtype=bool))
    events = np.flatnonzero(event[order])
    of_run = run[events]
    together = np.bincount(of_run, minlength=1)[of_run]
    key = of_run * (int(r.max(initial=0)) + 1) + r[events]
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    alike = count[place]
    # Within a run risks ascend, so its pairs were counted as discordant or tied.
    tied[events] -= (alike - 1) * w[events]
    wrong[events] -= (together - alike) * w[events]
    out = tuple(np.empty(len(r)) for _ in range(3))
    for result, values in zip(out, (right, tied, wrong), strict=True):
        result[order] = values
    return out[0], out[1], out[2]


def _dominance(rank: NDArray[np.int64], weight: Floats) -> tuple[list[Floats], list[Floats]]:
    """Compare each place of a sequence with all later and all earlier ones.

    Blocks that are sorted by rank are split into halves again and again; the two halves of each block are
    compared by running sums, so no pair is visited.

    Returns
    -------
    (list of 3 ndarray (n,), list of 3 ndarray (n,))
        Number of later places of lower, equal, higher rank; weight of earlier places of higher, equal, lower.
    """
    n = len(rank)
    slot = np.arange(n)
    inside = np.argsort(rank, kind="stable")
    later, earlier = np.zeros((2, n)), np.zeros((2, n))
    size = 1 << max(n - 1, 0).bit_length() >> 1
    while size:
        begin = slot - slot % (2 * size)
        left = (inside & size) == 0
        of = rank[inside]
        start = np.flatnonzero(np.append(True, np.diff(of) != 0) | (slot == begin))
        length = np.diff(np.append(start, n))
        for chosen, values, target in ((left, ~left, later), (~left, left * weight[inside], earlier)):
            total = np.append(0.0, np.cumsum(values))
            for kept, edge in zip(target, (start, start + length), strict=True):
                kept[inside[chosen]] += (np.repeat(total[edge], length) - total[begin])[chosen]
        lefts = np.append(0, np.cumsum(left))
        before = lefts[:-1] - lefts[begin]
        split = np.empty_like(inside)
        split[np.where(left, begin + before, slot + size - before)] = inside
        inside, size = split, size // 2
    below, through = later
    after = [below, through - below, n - 1 - slot - through]
    below, through = earlier
    return after, [np.cumsum(weight) - weight - through, through - below, below]
