"""Risk sets of a survival outcome, and sums over all of them in one pass.

With d events at a time, Efron's approximation uses the denominators S0 - k/d D0, k = 0..d-1, with S0 the sum of
exp(lp) over those at risk and D0 over the tied events; Breslow's uses S0 for all. So there is one row per event,
and the information is

    sum_i u_i x_i x_i' - sum_rows m_row m_row',

where u_i collects exp(lp_i)/denominator over the rows that hold patient i, and m_row is the row's weighted mean.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import checked_survival

Ties = Literal["efron", "breslow"]
Floats = NDArray[np.float64]


class RiskSets:
    """Who is at risk at each event, from times and events alone; reused by every fit to the same outcome.

    Attributes
    ----------
    order : ndarray of int64 (n,)
        Patients by ascending time. All other arrays are in this order.
    time : ndarray of float64 (n,)
        Times in that order.
    events : ndarray of int64 (d,)
        Places of the events.
    first : ndarray of int64 (d,)
        For each event, the first place with a time not before it: from there on patients are at risk.
    share : ndarray of float64 (d,)
        Share of the tied events that Efron's denominator leaves out (k / d); 0 with Breslow's.
    tie : ndarray of int64 (d,)
        Number of the event's time, counting distinct event times from 0.
    starts : ndarray of int64 (k,)
        First event of each distinct event time.
    seen : ndarray of int64 (n,)
        How many events each patient was at risk for: those with a time not after his.
    tie_of : ndarray of int64 (n,)
        Place in ``tie`` of an event; -1 for a censored patient.
    """

    def __init__(self, time: ArrayLike, event: ArrayLike, ties: Ties = "efron") -> None:
        t, e = checked_survival(time, event)
        if not e.any():
            raise AnalysisError("Cox regression", "has no events", "Choose another endpoint or longer follow-up.")
        self.ties = ties
        self.order = np.argsort(t, kind="stable")
        self.time, self.event = t[self.order], e[self.order]
        self.events = np.flatnonzero(self.event)
        when = self.time[self.events]
        self.first = np.searchsorted(self.time, when, side="left")
        new = np.append(True, np.diff(when) > 0)
        self.starts = np.flatnonzero(new)
        self.tie = np.cumsum(new) - 1
        self.tied = np.diff(np.append(self.starts, len(when)))
        position = np.arange(len(when)) - self.starts[self.tie]
        self.share = position / self.tied[self.tie] if ties == "efron" else np.zeros(len(when))
        self.seen = np.searchsorted(when, self.time, side="right")
        self.plain = not self.share.any()
        self.tie_of = np.full(len(t), -1)
        self.tie_of[self.events] = self.tie

    @property
    def n(self) -> int:
        """Patients."""
        return len(self.time)

    @property
    def event_times(self) -> Floats:
        """Distinct event times (k,), ascending."""
        return self.time[self.events[self.starts]]

    def row_sums(self, values: Floats) -> Floats:
        """Sums of values (n, ...) over the patients of each event row (d, ...), less Efron's share."""
        from_here = np.cumsum(values[::-1], axis=0)[::-1]
        total = from_here[self.first]
        if self.plain:
            return total
        tied = np.add.reduceat(values[self.events], self.starts, axis=0)[self.tie]
        return total - self.share.reshape(-1, *[1] * (values.ndim - 1)) * tied

    def collected(self, rows: Floats) -> Floats:
        """Sums of row values (d, ...) over the rows that hold each patient (n, ...), less Efron's share."""
        zero = np.zeros((1, *rows.shape[1:]))
        passed = np.concatenate([zero, np.cumsum(rows, axis=0)])[self.seen]
        if self.plain:
            return passed
        shares = self.share.reshape(-1, *[1] * (rows.ndim - 1)) * rows
        own = np.add.reduceat(shares, self.starts, axis=0)
        passed[self.events] -= own[self.tie]
        return passed


class PartialLikelihood:
    """Log-likelihood, score and information at one coefficient vector; ``x`` (n, p) in the risk sets' order."""

    def __init__(self, sets: RiskSets, x: Floats, beta: Floats) -> None:
        linear = x @ beta
        self.shift = float(linear.max(initial=0.0))
        self.risk = np.exp(linear - self.shift)
        self.denominator = sets.row_sums(self.risk)
        self.log_likelihood = float(linear[sets.events].sum() - np.log(self.denominator).sum())
        self.log_likelihood -= self.shift * len(self.denominator)
        self.means = sets.row_sums(self.risk[:, None] * x) / self.denominator[:, None]
        self.score = x[sets.events].sum(axis=0) - self.means.sum(axis=0)
        self.sets, self.x = sets, x

    def information(self, weights: Floats | None = None) -> Floats:
        """Observed information (p, p), each event row weighted by ``weights`` (d,)."""
        rows = 1 / self.denominator if weights is None else weights / self.denominator
        u = self.risk * self.sets.collected(rows)
        means = self.means if weights is None else weights[:, None] * self.means
        return np.asarray(self.x.T @ (u[:, None] * self.x) - self.means.T @ means)
