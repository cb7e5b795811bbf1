"""How the pages print numbers and what an interval says."""

from hccfeat.evidence.paired import Paired
from hccfeat.report.formatting import MISSING


def signed(value: float | None, decimals: int = 4) -> str:
    """A difference with its sign, or a dash."""
    return MISSING if value is None else f"{value:+.{decimals}f}"


def difference(found: Paired, decimals: int = 4) -> str:
    """Mean difference and its interval."""
    if found.lower is None or found.upper is None:
        return f"{signed(found.mean, decimals)} (no interval: one replicate)"
    return f"{signed(found.mean, decimals)} ({signed(found.lower, decimals)} to {signed(found.upper, decimals)})"


def verdict(found: Paired) -> str:
    """What the interval says."""
    if found.detectable is None:
        return "not judged: one replicate"
    return {1: "gain", -1: "loss", 0: f"none found (detectable {found.detectable:.4f})"}[found.direction]


def cell(found: Paired, decimals: int = 4) -> str:
    """Difference in bold where its interval excludes 0."""
    text = difference(found, decimals)
    return f"**{text}**" if found.direction else text
