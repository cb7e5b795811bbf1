"""Univariable hazard ratios, one per indicator."""

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.results import HazardRatio
from hccfeat.stats.cox import CoxEstimate, cox_univariable


def univariable(endpoint: str, patients: Population, kind: str) -> tuple[list[HazardRatio], dict[str, str]]:
    """Cox regression of each indicator alone, in the coding of the clinical table, on complete cases.

    Parameters
    ----------
    endpoint : str
        Name of the endpoint.
    patients : Population
        Whoever has a survival time and the indicator counts; n is that of each row.
    kind : str
        ``univariable``, or ``univariable, apparent`` for training patients.

    Returns
    -------
    (list of HazardRatio, dict)
        One row per indicator, and the reasons of those withheld by indicator.
    """
    rows, withheld = [], {}
    for column, name in enumerate(patients.indicator_names):
        keep = patients.followed & ~np.isnan(patients.indicators[:, column])
        fit = cox_univariable(patients.time[keep], patients.event[keep], patients.indicators[keep, column])
        rows.append(hazard_row(endpoint, patients.cohort, kind, name, fit))
        if fit.reason:
            withheld[f"{kind} of {name}"] = fit.reason
    return rows, withheld


def hazard_row(endpoint: str, cohort: str, kind: str, term: str, fit: CoxEstimate) -> HazardRatio:
    """A Cox fit as a row of ``hazard_ratios.csv``."""
    return HazardRatio(
        endpoint, cohort, kind, term, fit.hr, fit.lower, fit.upper, fit.p, fit.n, fit.events, fit.ties
    )


def per_sd(risk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Risk in standard deviations of the patients given; a constant risk stays constant."""
    spread = risk.std(ddof=1) if len(risk) > 1 else 0.0
    return risk / spread if spread > 0 else np.zeros_like(risk)
