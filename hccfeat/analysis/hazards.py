"""Hazard ratios and log-rank tests, and what replaces them where events are too few for them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.data import Population
from hccfeat.analysis.proportionality import proportionality
from hccfeat.analysis.results import ConditionKind, HazardRatio, ProportionalityTest
from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import constant
from hccfeat.stats.cox import TIES, CoxEstimate, cox_univariable
from hccfeat.stats.estimate import count, exponential
from hccfeat.stats.firth import FirthTerm, firth_cox
from hccfeat.stats.logrank import logrank_table, permutation_logrank
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import FEW_EVENTS

Floats = NDArray[np.float64]
FIRTH_TIES = "breslow, Firth's penalty"
"""Of a hazard ratio by Firth's method: its limits are of the profile likelihood, its P of the penalised ratio."""
FIRTH_GIVEN = "Firth's estimate (Breslow's ties), profile-likelihood interval, penalised likelihood-ratio P"
LEAST_EXPECTED = 5.0
"""Where a group expects fewer events, the log-rank P comes from permutations."""
PERMUTATIONS = 9999


def univariable(
    endpoint: str, patients: Population, kind: str, ties: Ties = TIES
) -> tuple[list[HazardRatio], list[Condition], list[ProportionalityTest]]:
    """Cox regression of each indicator alone, in the coding of the clinical table, on complete cases.

    Parameters
    ----------
    endpoint : str
        Name of the endpoint.
    patients : Population
        Whoever has a survival time and the indicator counts; n is that of each row.
    kind : str
        ``univariable``, or ``univariable, apparent`` for training patients.
    ties : {"efron", "breslow"}
        Of the Wald hazard ratios.

    Returns
    -------
    (list of HazardRatio, list of Condition, list of ProportionalityTest)
        One row per indicator, what replaced or withheld any, and the test of each Wald hazard ratio.
    """
    rows: list[HazardRatio] = []
    found: list[Condition] = []
    tests: list[ProportionalityTest] = []
    for column, name in enumerate(patients.indicator_names):
        keep = patients.followed & ~np.isnan(patients.indicators[:, column])
        time, event, values = patients.time[keep], patients.event[keep], patients.indicators[keep, column]
        fit, condition = guarded_hazard(time, event, values, f"{kind} of {name}", ties)
        rows.append(hazard_row(endpoint, patients.cohort, kind, name, fit))
        if condition is not None:
            found.append(condition)
            continue
        test, changing = proportionality(patients, kind, time, event, values, [name], ties)
        tests += test
        found += changing
    return rows, found, tests


def guarded_hazard(
    time: Floats, event: Floats, covariate: Floats, about: str, ties: Ties = TIES
) -> tuple[CoxEstimate, Condition | None]:
    """Hazard ratio of one covariate: Wald's, or Firth's where the covariate separates the events.

    Parameters
    ----------
    time, event, covariate : ndarray (n,)
        Complete.
    about : str
        What the hazard ratio is of, for the condition.
    ties : {"efron", "breslow"}
        Of Wald's.

    Returns
    -------
    (CoxEstimate, Condition or None)
        No numbers with fewer than 5 events or a constant covariate. Firth's estimate, its profile-likelihood
        interval and penalised likelihood-ratio P where a level of a two-valued covariate has no events, or no
        finite maximum exists; ``ties`` then says so.
    """
    fit = cox_univariable(time, event, covariate, ties)
    if not fit.reason:
        return fit, None
    if fit.events < FEW_EVENTS:
        return fit, Condition("few_events", about, f"{fit.reason}; no hazard ratio and no P")
    if constant(covariate):
        return fit, Condition("collinear", about, f"{fit.reason}; no hazard ratio")
    levels = np.unique(covariate)
    empty = len(levels) == 2 and any(not event[covariate == level].any() for level in levels)
    kind: ConditionKind = "group_without_events" if empty else "separation"
    try:
        instead = firth_estimate(firth_cox(time, event, covariate).terms[0], fit)
    except AnalysisError as error:
        return fit, Condition(kind, about, f"{fit.reason}; Firth's method failed: {error.problem}")
    if instead is None:
        return fit, Condition(kind, about, f"{fit.reason}; no hazard ratio")
    return instead, Condition(kind, about, f"{fit.reason}; {FIRTH_GIVEN}")


def firth_estimate(term: FirthTerm, refused: CoxEstimate) -> CoxEstimate | None:
    """Firth's coefficient in place of the hazard ratio refused; None where it is too large for a number."""
    ratio, lower, upper = (exponential(one) for one in (term.coefficient, term.lower, term.upper))
    if ratio is None:
        return None
    return replace(
        refused, hr=ratio, lower=lower, upper=upper, p=term.p, coefficient=term.coefficient,
        standard_error=term.standard_error, ties=FIRTH_TIES, reason="",
    )  # fmt: skip


@dataclass(frozen=True)
class GroupTest:
    """Log-rank test of groups, sorted by label: ``chisq`` is None for the permutation form, all where withheld."""

    chisq: float | None
    p: float | None
    test: str
    expected: tuple[float, ...]
    note: str
    condition: Condition | None


def group_test(time: Floats, event: Floats, group: NDArray, about: str, seed: int) -> GroupTest:
    """Log-rank test, or its permutation form where a group has no events or expects fewer than five.

    Parameters
    ----------
    time, event : ndarray (n,)
        Months, and 0/1.
    group : ndarray (n,)
        Label of each patient's group.
    about : str
        What is compared, for the condition.
    seed : int
        Of the permutations.

    Returns
    -------
    GroupTest
        Without P with fewer than two groups or fewer than 5 events in all.
    """
    if len(np.unique(group)) < 2:
        return GroupTest(None, None, "", (), "log-rank test withheld: fewer than two groups", None)
    events = int(event.sum())
    if events < FEW_EVENTS:
        reason = f"only {count(events, 'event')} in all (fewer than {FEW_EVENTS})"
        condition = Condition("few_events", about, f"{reason}; curves without P")
        return GroupTest(None, None, "", (), f"log-rank test withheld: {reason}", condition)
    names = np.unique(group)
    empty = [str(name) for name in names if not event[group == name].any()]
    expected: tuple[float, ...] = ()
    reason = f"no events in the {' and '.join(empty)} group"
    try:
        table = logrank_table(time, event, group)
    except AnalysisError as error:
        reason = reason if empty else f"it {error.problem}"
    else:
        expected = tuple(float(value) for value in table.expected)
        least = int(np.argmin(expected))
        if not empty and expected[least] >= LEAST_EXPECTED:
            return GroupTest(table.test.chisq, table.test.p, "log-rank", expected, "", None)
        reason = reason if empty else f"the {names[least]} group expects {expected[least]:.1f} events"
    p, labellings = permutation_logrank(time, event, group, permutations=PERMUTATIONS, seed=seed)
    test = f"permutation log-rank, {labellings}"
    condition = Condition("group_without_events" if empty else "few_expected", about, f"{reason}; {test}")
    return GroupTest(None, p, test, expected, f"{reason}: {test}", condition)


def hazard_row(endpoint: str, cohort: str, kind: str, term: str, fit: CoxEstimate) -> HazardRatio:
    """A Cox fit as a row of ``hazard_ratios.csv``."""
    return HazardRatio(
        endpoint, cohort, kind, term, fit.hr, fit.lower, fit.upper, fit.p, fit.n, fit.events, fit.ties
    )


def per_sd(risk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Risk in standard deviations of the patients given; a constant risk stays constant."""
    spread = risk.std(ddof=1) if len(risk) > 1 else 0.0
    return risk / spread if spread > 0 else np.zeros_like(risk)
