"""The score test of proportional hazards, as R's ``cox.zph`` makes it since survival 3.0."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hccfeat.stats.coxmodel import CoxFit, Test
from hccfeat.stats.coxresiduals import schoenfeld_residuals
from hccfeat.stats.km import product_limit

Transform = Literal["km", "rank", "identity", "log"]


@dataclass(frozen=True)
class ProportionalHazards:
    """Score tests of coefficients that change with g(t).

    Attributes
    ----------
    terms : tuple of Test
        One per coefficient, one degree of freedom each.
    together : Test
        Of all coefficients at once ("GLOBAL").
    times : ndarray of float64 (d,)
        Time of each event, ascending.
    transformed : ndarray of float64 (d,)
        g of these times.
    scaled : ndarray of float64 (d, p)
        Scaled Schoenfeld residuals plus the coefficient: their trend over time shows how it changes.
    """

    terms: tuple[Test, ...]
    together: Test
    times: NDArray[np.float64]
    transformed: NDArray[np.float64]
    scaled: NDArray[np.float64]


def proportional_hazards(fit: CoxFit, transform: Transform = "km") -> ProportionalHazards:
    """Test whether the coefficients change with time (Grambsch and Therneau 1994, without their approximation).

    The model is augmented by x g(t), and the score test of the added terms is taken at the fitted coefficients
    with the full information matrix at each event. Equals ``cox.zph`` of R's survival 3.5; lifelines takes the
    information to be the same at all events.

    Parameters
    ----------
    fit : CoxFit
        A fitted model, Efron or Breslow ties.
    transform : {"km", "rank", "identity", "log"}
        g: one minus the Kaplan-Meier curve just before the event (R's default), the rank of the event's time,
        the time, or its logarithm.
    """
    sets, point = fit.sets, fit.at_maximum
    times = sets.time[sets.events]
    g = _transformed(fit, transform)
    centred = g - g.mean()
    residuals = point.x[sets.events] - point.means
    # With Efron's ties each of a time's denominators is one step; tied events share them equally.
    score = centred @ residuals
    v11 = point.information()
    v12, v22 = point.information(centred), point.information(centred**2)
    left = v22 - v12 @ np.linalg.solve(v11, v12)
    together = Test.of(float(score @ np.linalg.solve(left, score)), len(score))
    terms = tuple(Test.of(float(score[k] ** 2 / left[k, k]), 1) for k in range(len(score)))
    scaled = schoenfeld_residuals(fit) @ fit.covariance * fit.events + fit.coefficients
    return ProportionalHazards(terms, together, times, g, scaled)


def _transformed(fit: CoxFit, transform: Transform) -> NDArray[np.float64]:
    times = fit.sets.time[fit.sets.events]
    if transform == "km":
        return np.asarray(1 - product_limit(fit.sets.time, fit.sets.event).before(times))
    if transform == "rank":
        return np.asarray(rankdata(times))
    return np.log(times) if transform == "log" else times
