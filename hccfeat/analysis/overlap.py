"""How alike treated and untreated patients are: standardised differences, and the overlap of propensities."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.contingency import StandardisedDifference, smd_of_means, smd_of_shares
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.logistic import logistic

MOST_MISSING = 0.2
"""A covariate that more of the patients lack takes no part in the propensity."""
BINS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """A covariate in both arms: mean (of a flag its share), and treated minus untreated in SD.

    ``untreated`` and ``treated`` are None where nobody of an arm has a value; ``missing`` counts both arms.
    """

    covariate: str
    untreated: float | None
    treated: float | None
    difference: StandardisedDifference
    missing: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Overlap:
    """Probability of being treated given the covariates, in both arms.

    Attributes
    ----------
    edges : ndarray of float64 (k + 1,)
        Bounds of the classes of probability, from 0 to 1.
    untreated, treated : ndarray of int64 (k,)
        Patients in each class; empty where there is no model, and ``reason`` says why.
    auroc : Estimate
        How well the covariates tell the arms apart among these patients; 0.5 is full overlap.
    outside : (int, int)
        Untreated and treated patients beyond the range of the other arm.
    """

    edges: Floats
    untreated: NDArray[np.int64]
    treated: NDArray[np.int64]
    auroc: Estimate
    outside: tuple[int, int]
    method: str
    reason: str = ""


def balance_of(treated: NDArray[np.bool_], covariates: Mapping[str, Floats]) -> tuple[Balance, ...]:
    """Compare both arms on each covariate.

    Parameters
    ----------
    treated : ndarray of bool (n,)
    covariates : mapping
        Name -> values (n,), NaN where not known; a covariate of 0 and 1 is compared by its shares.
    """
    found = []
    for name, values in covariates.items():
        known = ~np.isnan(values)
        arms = [values[known & arm] for arm in (~treated, treated)]
        if set(np.unique(values[known])) <= {0.0, 1.0}:
            counts = [(int(arm.sum()), len(arm)) for arm in arms]
            difference = smd_of_shares(counts[1], counts[0])
        else:
            difference = smd_of_means(arms[1], arms[0])
        means = [float(arm.mean()) if len(arm) else None for arm in arms]
        missing = int((~known & ~treated).sum()), int((~known & treated).sum())
        found.append(Balance(name, means[0], means[1], difference, missing))
    return tuple(found)


def propensity_overlap(treated: NDArray[np.bool_], covariates: Mapping[str, Floats]) -> Overlap:
    """Overlap of the arms by a logistic model of treatment on the covariates, on complete cases.

    Arguments as of :func:`balance_of`. Covariates that more than a fifth lack or that do not vary are left out.
    """
    n = len(treated)
    used = {name: x for name, x in covariates.items() if np.isnan(x).sum() <= MOST_MISSING * n}
    complete = ~np.isnan(np.column_stack([np.zeros(n), *used.values()])).any(axis=1)
    used = {name: x[complete] for name, x in used.items() if np.ptp(x[complete]) > 0} if complete.any() else {}
    arm = treated[complete]
    method = f"logistic regression of treatment on {', '.join(used) or 'nothing'}; {len(arm)} complete cases of {n}"
    edges = np.linspace(0.0, 1.0, BINS + 1)
    try:
        if not used:
            raise AnalysisError("propensity", "no covariate varies", "Record some.")
        matrix = np.column_stack(list(used.values()))
        chance = logistic(matrix, arm, list(used)).predict(matrix)
    except AnalysisError as error:
        none = Estimate(None, None, None, len(arm), int(arm.sum()), f"AUROC not estimated: {error.problem}")
        empty = np.zeros(0, dtype=np.int64)
        return Overlap(edges, empty, empty, none, (0, 0), method, error.problem)
    counts = [np.histogram(chance[mask], edges)[0].astype(np.int64) for mask in (~arm, arm)]
    return Overlap(
        edges,
        counts[0],
        counts[1],
        auroc(arm.astype(float), chance),
        (_beyond(chance[~arm], chance[arm]), _beyond(chance[arm], chance[~arm])),
        method,
    )


def _beyond(values: Floats, others: Floats) -> int:
    """How many values lie outside the range of the others."""
    return int(((values < others.min()) | (values > others.max())).sum())
