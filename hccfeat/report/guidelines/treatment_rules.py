"""Rules of PATH: what the report says about the effect of treatment over the risk."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hccfeat.analysis.results import StudyReport
from hccfeat.report.guidelines.parts import Part, Rule, each_endpoint, part

if TYPE_CHECKING:
    from hccfeat.analysis.treatment_report import TreatmentFindings

NOT_ANALYSED = "treatment was not analysed"


def treated(report: StudyReport) -> bool:
    """Tell whether some endpoint has an analysis of treatment."""
    return any(result.treatment is not None for result in report.endpoints)


def _found(report: StudyReport, has: Callable[["TreatmentFindings"], object], lacking: str) -> Part:
    if not treated(report):
        return Part("missing", "", NOT_ANALYSED)
    return each_endpoint(
        report,
        "treatment",
        lambda result: result.treatment is not None and has(result.treatment),
        lacking,
        asked=lambda result: result.treatment is not None,
    )


def treatment_by_risk(report: StudyReport) -> Part:
    """The arms are compared within groups of risk."""
    return _found(report, lambda found: len(found.benefits) > 1, "no effect of treatment by risk")


def risk_from_elsewhere(report: StudyReport) -> Part:
    """The risk model was fitted on untreated patients alone, which the statement advises against."""
    if not treated(report):
        return Part("missing", "", NOT_ANALYSED)
    there = _found(report, lambda found: found.model, NOT_ANALYSED)
    remark = "the risk model was fitted on untreated patients alone; other patients judge it"
    return Part("partial", there.anchor, remark)


def risk_by_treatment(report: StudyReport) -> Part:
    """The mean risk of each arm is given; its distribution is not."""
    there = _found(
        report, lambda found: any(one.covariate.endswith(" risk") for one in found.balance), "no risk of the arms"
    )
    if there.status == "missing":
        return there
    return Part("partial", there.anchor, "the mean risk of each arm is given, not its distribution")


def absolute_benefit(report: StudyReport) -> Part:
    """The absolute difference at a horizon has an interval."""
    return _found(
        report,
        lambda found: any(one.difference.lower is not None for one in found.benefits),
        "no absolute difference with an interval",
    )


def interaction_tested(report: StudyReport) -> Part:
    """The product of treatment and the continuous risk is tested."""
    return _found(
        report, lambda found: any(one.p is not None for one in found.interactions), "no test of the interaction"
    )


def overlap_given(report: StudyReport) -> Part:
    """Covariates and risk of the arms are shown side by side."""
    return _found(report, lambda found: found.balance, "no comparison of the arms")


def confounding_cautioned(report: StudyReport) -> Part:
    """The page warns that treatment was not assigned at random."""
    return _found(report, lambda found: found.cautions, "no caution about confounding")


def no_subgroup_search(report: StudyReport) -> Part:
    """Treatment is tested against the risk alone, never against one variable after the other."""
    there = _found(report, lambda found: found.interactions, "no test of the interaction")
    return part(there.status == "reported", there.anchor, there.remark)


TREATMENT_RULES: tuple[Rule, ...] = (
    *(treatment_by_risk, risk_from_elsewhere, risk_by_treatment, absolute_benefit, interaction_tested),
    *(overlap_given, confounding_cautioned, no_subgroup_search),
)
