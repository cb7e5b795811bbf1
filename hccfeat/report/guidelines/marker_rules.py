"""Rules of REMARK: the marker is the risk that a model gives, or the image features behind it."""

from hccfeat.analysis.results import EndpointResult, HazardRatio, StudyReport
from hccfeat.report.guidelines.parts import Part, Rule, each_endpoint, part

NO_TIMES = "the outcome is a finding without a time, so there is no survival analysis"
VARIABLES = ("univariable", "multivariable", "adjusted")
"""Beginnings of the kinds of hazard ratio that belong to clinical variables."""


def _timed(result: EndpointResult) -> bool:
    return result.timed


def _of_risk(ratio: HazardRatio) -> bool:
    return ratio.kind.startswith("risk")


def marker_named(report: StudyReport) -> Part:
    """The feature set is described, or the indicators are the marker."""
    if report.feature_set is not None:
        return Part("reported", "features")
    return part(report.baseline, "baseline", "neither image features nor indicators are described")


def marker_made_known(report: StudyReport) -> Part:
    """Encoder, weights and recipe of the image features are given."""
    facts = report.feature_set
    if facts is None:
        return Part("missing", "", "no marker was measured from images")
    lacking = [name for name in ("encoder", "weights_sha256", "recipe") if not facts.get(name)]
    if len(lacking) == 3:
        return Part("missing", "", "nothing is known about the making of the image features")
    text = f"{', '.join(lacking)} not known"
    return Part("partial", "features", text) if lacking else Part("reported", "features")


def assumptions_tested(report: StudyReport) -> Part:
    """Proportional hazards are tested for every endpoint with times."""
    return each_endpoint(
        report,
        "proportionality",
        lambda result: result.proportionality,
        "no test of proportional hazards",
        asked=_timed,
        unasked=NO_TIMES,
    )


def cut_explained(report: StudyReport) -> Part:
    """Risk groups have their cut, which comes from the training patients."""
    return each_endpoint(
        report, "survival", lambda result: result.groups, "no cut point of the risk", asked=_timed, unasked=NO_TIMES
    )


def marker_continuous(report: StudyReport) -> Part:
    """The risk is also used as a number: a hazard ratio per standard deviation."""
    return each_endpoint(
        report,
        "hazard",
        lambda result: any(ratio.kind.startswith("risk per SD") for ratio in result.hazard_ratios),
        "no hazard ratio of the risk as a continuous number",
        asked=_timed,
        unasked=NO_TIMES,
    )


def marker_distribution(report: StudyReport) -> Part:
    """The distribution of the risk is shown."""
    return each_endpoint(report, "distribution", lambda result: result.distributions, "no distribution of the risk")


def marker_related(report: StudyReport) -> Part:
    """The risk is set against known prognostic variables; a multivariable model does so only in part."""
    joint = marker_adjusted(report)
    if joint.status == "missing":
        return Part("missing", "", "the risk is not set against the known prognostic variables")
    return Part("partial", joint.anchor, "the risk stands beside the known variables in one model only")


def marker_alone(report: StudyReport) -> Part:
    """Hazard ratios of risk and variables, one at a time."""
    return each_endpoint(
        report,
        "hazard",
        lambda result: any(
            _of_risk(ratio) or ratio.kind.startswith("univariable") for ratio in result.hazard_ratios
        ),
        "no hazard ratio of a single variable",
        asked=_timed,
        unasked=NO_TIMES,
    )


def survival_curves(report: StudyReport) -> Part:
    """Kaplan-Meier curves by risk group."""
    return each_endpoint(
        report,
        "survival",
        lambda result: any(group.curves for group in result.groups),
        "no survival curves by risk",
        asked=_timed,
        unasked=NO_TIMES,
    )


def multivariable_given(report: StudyReport) -> Part:
    """A multivariable Cox model, or for a finding without a time a logistic one."""

    def has(result: EndpointResult) -> bool:
        if not result.timed:
            return any(result.logistic.values())
        return any(ratio.kind.startswith(VARIABLES[1:]) for ratio in result.hazard_ratios)

    block = "hazard" if any(map(_timed, report.endpoints)) else "logistic"
    return each_endpoint(report, block, has, "no multivariable model")


def marker_adjusted(report: StudyReport) -> Part:
    """What the risk adds to the known variables: the likelihood-ratio test of a model with both."""

    def has(result: EndpointResult) -> bool:
        return any(row.metric == "likelihood_ratio" and row.p is not None for row in result.comparisons)

    return each_endpoint(report, "comparison", has, "no model of the risk together with the known variables")


MARKER_RULES: tuple[Rule, ...] = (
    *(marker_named, marker_made_known, assumptions_tested, cut_explained, marker_continuous, marker_distribution),
    *(marker_related, marker_alone, survival_curves, multivariable_given, marker_adjusted),
)
