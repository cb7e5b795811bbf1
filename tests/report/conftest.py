"""Reports written once per session: drawing dozens of figures takes seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hccfeat.analysis.results import StudyReport
from hccfeat.report import write_report
from tests.report.sample import clinical_report, full_report, hostile_report

MAKERS: dict[str, Callable[[], StudyReport]] = {
    "full": full_report,
    "clinical": clinical_report,
    "hostile": hostile_report,
}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Page of each sample report."""
    folder = tmp_path_factory.mktemp("reports")
    return {name: write_report(folder / name, make()) for name, make in MAKERS.items()}


@pytest.fixture(scope="session")
def full(written: dict[str, Path]) -> Path:
    return written["full"]


@pytest.fixture(scope="session")
def full_text(full: Path) -> str:
    return full.read_text(encoding="utf-8")
