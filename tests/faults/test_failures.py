"""What one image does never ends the others; it becomes a failure of its kind, which ``status`` lists."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hccfeat.store.status import status
from hccfeat.store.verify import verify
from tests.faults.ledger import note
from tests.faults.trials import Trials
from tests.faults.work import IMAGES

KINDS = {
    "internal/P000_1": ("unreadable", "unreadable"),
    "internal/P000_2": ("sleep", "timeout"),
    "internal/P001_1": ("no memory", "out_of_memory"),
    "internal/P001_2": ("hang", "timeout"),
    "internal/P002_1": ("die", "worker_lost"),
}


@pytest.mark.slow
def test_every_failure_is_typed_and_listed(trials: Trials) -> None:
    study = trials.study()
    behave = {image_id: behaviour for image_id, (behaviour, _) in KINDS.items()}
    told = trials.live(study, behave=behave, timeout=1.0)
    assert told["error"] == ""
    assert told["failures"] == {image_id: kind for image_id, (_, kind) in KINDS.items()}
    assert told["embedded"] == IMAGES - len(KINDS)
    listed = status(study)
    assert {row["image_id"]: row["kind"] for row in listed["Failures"]} == told["failures"]
    assert all(row["message"] for row in listed["Failures"])
    assert verify(study, isolated=False) == []
    again = trials.live(study)
    assert (again["error"], again["embedded"], again["failures"]) == ("", len(KINDS), {})
    assert status(study)["Failures"] == []
    differs = trials.differences(study)
    for behaviour, kind in KINDS.values():
        note("an image that fails", behaviour, f"listed as {kind}", equal=not differs)
    assert differs == []


def test_no_tissue_is_typed_and_listed(trials: Trials) -> None:
    listed = status(trials.study(extracted=True))["Excluded images"]
    assert {row["kind"] for row in listed} == {"no_tissue"}
    assert len(listed) == 2


def test_ordinary_errors_in_this_process(trials: Trials) -> None:
    told = trials.live(trials.study(), workers=0, behave={"internal/P001_1": "bug"})
    assert (told["error"], told["failures"]) == ("", {"internal/P001_1": "unknown"})
    assert told["embedded"] == IMAGES - 1


def test_workers_end_with_their_driver(trials: Trials) -> None:
    life = trials.life(trials.study(), behave={"internal/P000_1": "sleep"})
    trials.lives.begin(life)
    scratch = Path(life.scratch)
    assert _comes_true(lambda: len(list(scratch.glob("worker-*"))) == life.workers)
    os.kill(int((scratch / "driver").read_text()), signal.SIGKILL)
    assert trials.lives.end()[0]["killed"]
    workers = [int(path.name.partition("-")[2]) for path in scratch.glob("worker-*")]
    assert _comes_true(lambda: not any(_alive(pid) for pid in workers))


def _comes_true(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
