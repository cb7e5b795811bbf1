"""What the fault tests found, for the table in ``docs/faults.md``; ``benchmarks/fault_table.py`` writes it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tests.faults.trials import NOT_YET, Trial

LEDGER = "HCCFEAT_FAULT_LEDGER"
"""Environment variable: file to which every test appends its rows."""

CLEAN = "clean"
ADOPTED = "what was published, not yet committed"
EXACT = "exactly what was damaged"
OTHER = "something else"


def note(fault: str, moment: str, found: str, *, equal: bool, lost: int = 0) -> None:
    """Append a row, where a table is asked for."""
    path = os.environ.get(LEDGER)
    if path:
        row = {"fault": fault, "moment": moment, "found": found, "equal": equal, "lost": lost}
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def note_trial(fault: str, moment: object, trial: Trial) -> None:
    """Append what became of a run that met a fault."""
    note(fault, f"{moment}", found_in(trial.findings), equal=not trial.differs, lost=len(trial.lost))


def found_in(findings: Sequence[str]) -> str:
    """Findings after a fault that damages nothing, in words."""
    if not findings:
        return CLEAN
    return ADOPTED if all(finding.endswith(NOT_YET) for finding in findings) else OTHER
