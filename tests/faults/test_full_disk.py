"""A full disk: what does not fit is a failure of its kind or an error that says so; nothing else is touched."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hccfeat.store.verify import verify
from tests.faults.ledger import note_trial
from tests.faults.moments import ROLES
from tests.faults.trials import SEED, Trials


def says_so(told: dict[str, Any]) -> bool:
    """Whether a run ended with a message, or with failures of that kind only."""
    if told["error"]:
        return told["error"].startswith(("StoreError", "OSError"))
    return set(told["failures"].values()) == {"disk_full"}


@pytest.mark.parametrize("limit", [150, 6_000, 1_500_000])
def test_files_of_limited_size(trials: Trials, limit: int) -> None:
    """A limit on the size of files stops root too."""
    study = trials.study()
    trial = trials.judged(study, trials.live(study, bytes=limit))
    note_trial("full disk: files of limited size", f"{limit} bytes", trial)
    assert (trial.damage, trial.differs, trial.lost) == ([], [], []), trial
    assert says_so(trial.told), trial.told


@pytest.mark.slow
def test_no_space_left_at_any_write(trials: Trials) -> None:
    """``ENOSPC`` from one write, flush or rename of a worker, the committer or the driver."""
    generator = np.random.default_rng(SEED)
    for number in range(6):
        fault = {"role": ROLES[number % 3], "event": int(generator.integers(1, 20)), "full": True}
        study = trials.study()
        trial = trials.judged(study, trials.live(study, **fault))
        note_trial("full disk: one write fails", fault, trial)
        assert (trial.damage, trial.differs, trial.lost) == ([], [], []), (fault, trial)
        if fault["role"] == "worker":
            assert trial.told["error"] == ""
            assert set(trial.told["failures"].values()) <= {"disk_full"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk of its own can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(trials: Trials, small_disk: Path) -> None:
    study = Path(shutil.copytree(trials.undisturbed.template, small_disk / "study"))
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\0" * (shutil.disk_usage(small_disk).free - 20_000))
    told = trials.live(study)
    ballast.unlink()
    trial = trials.judged(study, told)
    note_trial("full disk: a real one", "20 kB free", trial)
    assert says_so(told), told
    assert (trial.damage, trial.differs, trial.lost) == ([], [], []), trial
    assert verify(study, isolated=False) == []
