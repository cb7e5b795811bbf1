"""Cox regression of all indicators together, beside the univariable ones (REMARK items 15 to 17)."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.data import Population
from hccfeat.analysis.hazards import FIRTH_GIVEN, firth_estimate, hazard_row
from hccfeat.analysis.proportionality import of_fit
from hccfeat.analysis.results import HazardRatio, ModelTest, ProportionalityTest
from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import independent_columns
from hccfeat.stats.cox import TIES, CoxEstimate
from hccfeat.stats.coxmodel import CoxFit, SeparationError, cox_model
from hccfeat.stats.estimate import count
from hccfeat.stats.firth import firth_cox
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import FEW_EVENTS

Floats = NDArray[np.float64]
LEAST_KNOWN = 0.5
"""An indicator that fewer of the patients have stays out, for it would leave too few complete cases."""
EVENTS_PER_TERM = 10
MULTIVARIABLE = "multivariable"


@dataclass
class MultivariableCox:
    """Hazard ratios adjusted for each other, tests of all at once, and what replaced or withheld any."""

    rows: list[HazardRatio] = field(default_factory=list)
    tests: list[ModelTest] = field(default_factory=list)
    proportionality: list[ProportionalityTest] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)


def multivariable(
    endpoint: str, patients: Population, kind: str = MULTIVARIABLE, ties: Ties = TIES
) -> MultivariableCox:
    """Cox regression of all indicators of complete cases.

    Indicators that fewer than half of the followed patients have are left out and named, as are constant and
    collinear ones. Where the indicators separate the events Firth's method takes over, with Breslow's ties and
    without the tests of all terms.

    Parameters
    ----------
    endpoint : str
        Name of the endpoint.
    patients : Population
        Whoever has a survival time and every indicator kept counts.
    kind : str
        ``multivariable``, or ``multivariable, apparent`` for training patients.
    ties : {"efron", "breslow"}
        Of the regression by maximum likelihood.

    Returns
    -------
    MultivariableCox
        Empty, with the conditions, with fewer than 5 events, no more events than coefficients, or fewer than two
        indicators left, when univariable rows say all.
    """
    found = MultivariableCox()
    followed = patients.take(patients.followed)
    share = 1 - np.isnan(followed.indicators).mean(axis=0) if len(followed) else np.zeros(0)
    recorded = [k for k, value in enumerate(share) if value >= LEAST_KNOWN]
    sparse = [name for k, name in enumerate(patients.indicator_names) if k not in recorded]
    if sparse and recorded:
        reason = f"left out: {', '.join(sparse)}, which fewer than {LEAST_KNOWN:.0%} of the patients have"
        found.conditions.append(Condition("missingness", f"{kind} Cox regression", reason))
    complete = np.asarray(~np.isnan(followed.indicators[:, recorded]).any(axis=1))
    cases = followed.take(complete)
    matrix = cases.indicators[:, recorded]
    names = [patients.indicator_names[k] for k in recorded]
    if len(names) < 2 or not _enough(found, cases, kind, len(names)):
        return found
    kept, left_out = independent_columns(matrix, names)
    if left_out:
        reason = "; ".join(f"{name} is {why}" for name, why in left_out.items())
        found.conditions.append(Condition("collinear", f"{kind} Cox regression", f"left out: {reason}"))
    if len(kept) > 1:
        _fit(found, endpoint, cases, matrix[:, kept], [names[k] for k in kept], kind, ties)
    return found


def _enough(found: MultivariableCox, cases: Population, kind: str, terms: int) -> bool:
    """Whether the events allow so many coefficients; says so where they do not, or hardly."""
    about, events = f"{kind} Cox regression", int(cases.event.sum())
    counted = f"{count(events, 'event')} among {len(cases)} complete cases for {terms} coefficients"
    if events < FEW_EVENTS:
        reason = (
            f"only {count(events, 'event')} among {len(cases)} complete cases (fewer than {FEW_EVENTS}); not fitted"
        )
        found.conditions.append(Condition("few_events", about, reason))
        return False
    if events <= terms:
        found.conditions.append(Condition("too_many_parameters", about, f"{counted}; not fitted"))
        return False
    if events < EVENTS_PER_TERM * terms:
        reason = f"{counted}, fewer than {EVENTS_PER_TERM} each: estimates lean to extremes"
        found.conditions.append(Condition("too_many_parameters", about, reason))
    return True


def _fit(
    found: MultivariableCox,
    endpoint: str,
    cases: Population,
    x: Floats,
    names: list[str],
    kind: str,
    ties: Ties,
) -> None:
    about = f"{kind} Cox regression"
    n, events = len(cases), int(cases.event.sum())
    empty = CoxEstimate(None, None, None, None, None, None, n, events, ties)
    try:
        fit = cox_model(cases.time, cases.event, x, ties)
    except SeparationError as error:
        fits = _firth(found, cases, x, about, error.problem, empty)
    except AnalysisError as error:
        found.conditions.append(Condition("collinear", about, f"not fitted: it {error.problem}"))
        return
    else:
        fits = _wald(fit, empty)
        found.tests += _tests(cases, kind, fit)
        found.proportionality, changing = of_fit(cases, kind, fit, names)
        found.conditions += changing
    found.rows += [
        hazard_row(endpoint, cases.cohort, kind, name, one) for name, one in zip(names, fits, strict=True)
    ]


def _wald(fit: CoxFit, empty: CoxEstimate) -> list[CoxEstimate]:
    """One estimate per coefficient; without numbers where a hazard ratio is too large for one."""
    found = []
    for (ratio, lower, upper), p, value, error in zip(
        fit.hazard_ratios().tolist(), fit.p.tolist(), fit.coefficients.tolist(), fit.standard_errors, strict=True
    ):
        numbers = replace(
            empty, hr=ratio, lower=lower, upper=upper, p=p, coefficient=value, standard_error=float(error)
        )
        found.append(numbers if np.isfinite([ratio, lower, upper]).all() else empty)
    return found


def _tests(cases: Population, kind: str, fit: CoxFit) -> list[ModelTest]:
    named = {
        "likelihood ratio": fit.likelihood_ratio_test,
        "Wald": fit.wald_test,
        "score": fit.score_test,
    }
    method = f"Cox regression of {len(fit.coefficients)} indicators, {fit.sets.ties.title()}'s ties, complete cases"
    place = (cases.cohort, cases.split, kind)
    return [
        ModelTest(*place, name, test.chisq, test.df, test.p, fit.n, fit.events, method)
        for name, test in named.items()
    ]


def _firth(
    found: MultivariableCox, cases: Population, x: Floats, about: str, problem: str, empty: CoxEstimate
) -> list[CoxEstimate]:
    try:
        terms = firth_cox(cases.time, cases.event, x).terms
    except AnalysisError as error:
        reason = f"it {problem}; Firth's method failed: {error.problem}"
        found.conditions.append(Condition("separation", about, reason))
        return [empty] * x.shape[1]
    found.conditions.append(Condition("separation", about, f"it {problem}; {FIRTH_GIVEN}"))
    return [firth_estimate(term, empty) or empty for term in terms]
