"""What an item can rest on: parts that are there, half there or lacking, with their place in the page."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hccfeat.analysis.results import EndpointResult, StudyReport
from hccfeat.report.anchors import block_id
from hccfeat.report.formatting import joined

Status = Literal["reported", "partial", "missing"]
STATUSES: tuple[Status, ...] = ("reported", "partial", "missing")


@dataclass(frozen=True)
class Part:
    """One part of an item's answer.

    Attributes
    ----------
    status : {"reported", "partial", "missing"}
        How far the report answers it.
    anchor : str
        Id of the element of the page that does; empty where none does.
    remark : str
        What is lacking, or why the question does not arise; empty where there is nothing to say.
    """

    status: Status
    anchor: str = ""
    remark: str = ""


Rule = Callable[[StudyReport], Part]


def part(met: object, anchor: str, lacking: str) -> Part:
    """Return a reported part at ``anchor`` if ``met`` is true, else a missing one."""
    return Part("reported", anchor) if met else Part("missing", "", lacking)


def together(parts: Iterable[Part]) -> Status:
    """Return the status of an item from its parts: all there, none there, or something in between."""
    found = {one.status for one in parts}
    return found.pop() if len(found) == 1 else "partial"


def each_endpoint(
    report: StudyReport,
    block: str,
    has: Callable[[EndpointResult], object],
    lacking: str,
    *,
    asked: Callable[[EndpointResult], object] = lambda _: True,
    unasked: str = "",
) -> Part:
    """Ask something of every endpoint.

    Parameters
    ----------
    report : StudyReport
        What ``analyze`` found.
    block : str
        Block of the endpoint's section that shows it; empty for the section itself.
    has : callable
        Whether the endpoint has it.
    lacking : str
        What is said of endpoints that do not: ``no calibration``.
    asked : callable
        Endpoints for which the question arises; where it arises for none, the part is reported with the remark
        ``unasked``.
    """
    endpoints = [(i, result) for i, result in enumerate(report.endpoints) if asked(result)]
    if not endpoints:
        return (
            Part("reported", "summary", unasked) if report.endpoints and unasked else Part("missing", "", lacking)
        )
    there = [(i, result) for i, result in endpoints if has(result)]
    if not there:
        return Part("missing", "", lacking)
    index, first = there[0]
    anchor = block_id(index, first.endpoint, block) if block else f"endpoint-{index}"
    known = {i for i, _ in there}
    without = [result.label for i, result in endpoints if i not in known]
    return Part("partial", anchor, f"{lacking} for {joined(without)}") if without else Part("reported", anchor)
