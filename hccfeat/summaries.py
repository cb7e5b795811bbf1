"""What workflows show on one screen."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class AnalyzeSummary:
    """What ``analyze`` shows on one screen."""

    run_id: str
    report: Path
    simulated: bool
    headline: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, str]] = field(default_factory=list)


@dataclass
class ReproductionSummary:
    """What ``reproduce`` shows on one screen."""

    run_id: str
    report: Path
    simulated: bool
    preset: str
    items: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class RiskTable:
    """Risks of patients without outcomes."""

    rows: list[dict[str, Any]]
    path: Path
    simulated: bool
