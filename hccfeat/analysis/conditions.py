"""Typed conditions: what about the data kept a number back, replaced a method, or asks for caution."""

from collections.abc import Iterable
from dataclasses import dataclass

from hccfeat.analysis.data import Population
from hccfeat.analysis.results import ConditionKind, Notice

TITLES: dict[ConditionKind, str] = {
    "few_events": "Too few events",
    "group_without_events": "A group without events",
    "few_expected": "A group expects few events",
    "separation": "Separation",
    "non_proportional": "Hazards are not proportional",
    "collinear": "Constant or collinear covariates",
    "beyond_follow_up": "Horizon beyond the follow-up",
    "one_class": "One class",
    "missingness": "Indicators often missing",
    "too_many_parameters": "More parameters than events allow",
}


@dataclass(frozen=True)
class Condition:
    """One finding of a guard.

    Attributes
    ----------
    kind : ConditionKind
        Which guard.
    about : str
        The number or model it is about.
    reason : str
        What was found, and what is given instead.
    """

    kind: ConditionKind
    about: str
    reason: str


def who(patients: Population) -> str:
    """The patients in words."""
    return f"{patients.split.replace('_', '-')} patients of cohort {patients.cohort}"


def condition_notices(found: Iterable[Condition], patients: Population) -> list[Notice]:
    """One caution per kind of condition found in a population, each naming its reasons.

    Conditions about several things for one reason are joined; equal ones are given once.
    """
    reasons: dict[ConditionKind, dict[str, list[str]]] = {}
    for one in found:
        about = reasons.setdefault(one.kind, {}).setdefault(one.reason, [])
        if one.about not in about:
            about.append(one.about)
    notices = []
    for kind, title in TITLES.items():
        if kind not in reasons:
            continue
        listed = "; ".join(f"{', '.join(about)}: {reason}" for reason, about in reasons[kind].items())
        notices.append(
            Notice("caution", f"{title} in cohort {patients.cohort}", f"{who(patients)}. {listed}.", kind)
        )
    return notices
