"""What is left of a study after every kind of fault: runs the fault tests; the table of ``docs/faults.md``.

    python -m benchmarks.fault_table --write docs/faults.md
    python -m benchmarks.fault_table --only "full_disk or damage"

Run from the checkout. Every fault test appends what it found; this prints one row per fault, and exits with 1 if a
test failed, a rerun differed or something was lost. The faults are real: processes are killed, files are damaged,
disks are full. Takes some minutes; ``--only`` chooses tests by name (pytest's ``-k``).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.ledger import LEDGER, OTHER

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- the table: written by benchmarks/fault_table.py -->", "<!-- end of the table -->"
HEAD = """| fault | tried | `hccfeat verify` right after names | rerun equal | lost |
|---|---|---|---|---|
"""


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger.jsonl"
        status = _run_tests(ledger, arguments.only)
        rows = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.is_file() else []
    table = fault_table(rows)
    print(table)
    if arguments.write:
        before, _, rest = arguments.write.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        arguments.write.write_text(f"{before}{BEGIN}\n{HEAD}{table}\n{END}{after}", encoding="utf-8")
    sound = all(row["equal"] and not row["lost"] and row["found"] != OTHER for row in rows)
    return 0 if status == 0 and rows and sound else 1


def fault_table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per fault, in the order in which they came."""
    lines = []
    for fault in dict.fromkeys(row["fault"] for row in rows):
        own = [row for row in rows if row["fault"] == fault]
        found = Counter(row["found"] for row in own)
        words = "; ".join(f"{text} ({count})" if len(found) > 1 else text for text, count in found.most_common())
        equal, lost = sum(row["equal"] for row in own), sum(row["lost"] for row in own)
        lines.append(f"| {fault} | {len(own)} | {words} | {equal} of {len(own)} | {lost} |")
    return "\n".join(lines)


def _run_tests(ledger: Path, only: str | None) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "--timeout", "1200", "tests/faults"]
    if only:
        command += ["-k", only]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, LEDGER: str(ledger)}, check=False).returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="tests to run, as pytest's -k")
    parser.add_argument("--write", type=Path, help="page whose table to replace")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
