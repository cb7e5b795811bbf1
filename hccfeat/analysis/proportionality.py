"""Whether hazards are proportional: the score test of every Cox model that is reported, as R's cox.zph."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.data import Population
from hccfeat.analysis.results import ProportionalityTest
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import CoxFit, cox_model
from hccfeat.stats.proportional import Transform, proportional_hazards
from hccfeat.stats.risksets import Ties

TRANSFORM: Transform = "km"
GLOBAL = "GLOBAL"
SIGNIFICANT = 0.05


def proportionality(
    patients: Population,
    model: str,
    time: NDArray[np.float64],
    event: NDArray[np.float64],
    x: NDArray[np.float64],
    terms: Sequence[str],
    ties: Ties = "efron",
) -> tuple[list[ProportionalityTest], list[Condition]]:
    """Test the hazards of a Cox model of these covariates; see :func:`of_fit`.

    Parameters
    ----------
    patients : Population
        Names the cohort and split.
    model : str
        Name of the model in the rows.
    time, event : ndarray (n,)
        Months, and 0/1.
    x : ndarray (n, p) or (n,)
        Complete covariates.
    terms : sequence of str
        One name per covariate.
    ties : {"efron", "breslow"}
        Of the Cox model.

    Returns
    -------
    (list of ProportionalityTest, list of Condition)
        Nothing where the model cannot be fitted.
    """
    try:
        fit = cox_model(time, event, x, ties)
    except AnalysisError:
        return [], []
    return of_fit(patients, model, fit, terms)


def of_fit(
    patients: Population, model: str, fit: CoxFit, terms: Sequence[str]
) -> tuple[list[ProportionalityTest], list[Condition]]:
    """One row per term of a fitted model, and one of all together where there are several.

    A term with P below 0.05 is a condition; with several terms the test of all decides, and the terms are named.
    Rows have no numbers where all events are at one time.
    """
    several = len(terms) > 1
    names = [*terms, GLOBAL] if several else list(terms)
    place = (patients.cohort, patients.split, model)
    if len(fit.sets.event_times) < 2:
        df = [1] * len(terms) + [len(terms)] * several
        return [
            ProportionalityTest(*place, name, None, count, None, TRANSFORM, fit.events)
            for name, count in zip(names, df, strict=True)
        ], []
    found = proportional_hazards(fit, TRANSFORM)
    tests = [*found.terms, found.together] if several else list(found.terms)
    rows = [
        ProportionalityTest(*place, name, test.chisq, test.df, test.p, TRANSFORM, fit.events)
        for name, test in zip(names, tests, strict=True)
    ]
    decisive = rows[-1]
    if decisive.p is None or decisive.p >= SIGNIFICANT:
        return rows, []
    changing = [f"{row.term} P = {row.p:.3g}" for row in rows if row.p is not None and row.p < SIGNIFICANT]
    reason = "the hazard ratio changes with time, and the one given is an average over the follow-up"
    return rows, [Condition("non_proportional", f"{model} ({', '.join(changing)})", reason)]
