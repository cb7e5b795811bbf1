"""What the template needs to show one endpoint: its status, a sentence, the summary row and its parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from hccfeat.analysis.results import EndpointResult, StudyReport
from hccfeat.report.anchors import endpoint_key
from hccfeat.report.blocks import Block, Scene, Status, place_label, status_of
from hccfeat.report.comparison_view import comparison
from hccfeat.report.hazard_view import hazards, logistic, proportionality
from hccfeat.report.modality_view import modalities
from hccfeat.report.performance_view import attrition, discrimination, over_time
from hccfeat.report.risk_view import calibration, decision, distribution
from hccfeat.report.subgroup_view import subgroups
from hccfeat.report.summary import places, summary_table
from hccfeat.report.survival_view import competing, follow_up, risk_groups
from hccfeat.report.treatment_view import treatment
from hccfeat.stats.estimate import count

_UNJUDGED = "no held-out or external patients, so the models' figures are apparent only."
_PARTS: tuple[Callable[[EndpointResult, Scene, str], Block | None], ...] = (
    *(attrition, follow_up, discrimination, over_time, calibration, distribution, decision, comparison, subgroups),
    *(modalities, risk_groups, hazards, proportionality, competing, logistic, treatment),
)


@dataclass(frozen=True)
class EndpointView:
    """One endpoint as the template shows it; ``judged`` says whether anybody but training patients judged it."""

    id: str
    label: str
    endpoint: str
    sentence: str
    status: Status
    summary: Markup
    judged: bool
    blocks: list[Block]


def endpoint_view(
    result: EndpointResult, index: int, styles: Mapping[str, int], report: StudyReport
) -> EndpointView:
    """Return the template's view of one endpoint.

    Parameters
    ----------
    result : EndpointResult
        What ``analyze`` found.
    index : int
        Position in the report; makes ids unique whatever the endpoint is called.
    styles : mapping
        Model -> number, from :func:`hccfeat.report.layout.model_styles`.
    report : StudyReport
        Whether the data are simulated, which marks every figure, and names and units of clinical variables.
    """
    key = endpoint_key(index, result.endpoint)
    threshold = report.settings.get("analysis", {}).get("threshold")
    scene = Scene(index, styles, report.simulated, report.labels, report.units, threshold)
    judged = any(split != "apparent" for split, _ in places(result))
    blocks = [found for part in _PARTS if (found := part(result, scene, key)) is not None]
    return EndpointView(
        id=f"endpoint-{index}",
        label=result.label,
        endpoint=result.endpoint,
        sentence=_sentence(result),
        status=_status(result, judged=judged),
        summary=summary_table(result, f"{key}-summary", scene),
        judged=judged,
        blocks=blocks,
    )


def _status(result: EndpointResult, *, judged: bool) -> Status:
    status = status_of(result.notices)
    if result.metrics and not judged and status.level in ("ok", "info"):
        return Status("caution", "Apparent only", status.notices)
    return status


def _sentence(result: EndpointResult) -> str:
    horizon = (
        f"Outcome within {result.horizon_months:g} months"
        if result.horizon_months is not None
        else "Outcome at last follow-up, no horizon"
        if result.timed
        else "A finding without a time"
    )
    seen = []
    for split, cohort in places(result):
        here = [m for m in result.metrics if (m.split, m.cohort) == (split, cohort)]
        if here and split != "apparent":
            most = max(here, key=lambda metric: metric.n)
            seen.append(
                f"{count(most.n, 'patient')} ({count(most.events, 'event')}) of {place_label(split, cohort)}"
            )
    if seen:
        return f"{horizon}; judged on {'; '.join(seen)}."
    return f"{horizon}; {_UNJUDGED if result.metrics else 'no model was judged.'}"
