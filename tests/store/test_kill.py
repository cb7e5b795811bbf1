"""kill -9 of a writing process at random moments: nothing lost, nothing wrong, and running again finishes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hccfeat.store.catalog import query, rebuild, tables_equal
from hccfeat.store.names import catalog_path
from hccfeat.store.verify import verify
from tests.store.builder import image_ids
from tests.store.worker import PATIENTS, work

KILLS = 12
RECOVERABLE = {"is not in the catalog"}
SAME = {
    "shard": "SELECT image_id, digest, patches, status, reason, skipped_blurred FROM shard ORDER BY ALL",
    "image vectors": "SELECT * FROM image_vector_pps_1 ORDER BY image_id",
    "patient vectors": "SELECT * FROM patient_vector_pps_1 ORDER BY patient_id",
    "clinical": "SELECT * FROM patient_clinical ORDER BY patient_id",
    "metric": "SELECT * FROM metric ORDER BY ALL",
    "record": "SELECT kind, name FROM record ORDER BY ALL",
}


class Forks:
    """Worker processes, one after the other; see :mod:`tests.store.worker`."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.store.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def kill_one(self, study: Path, after_s: float) -> bool:
        """Start a worker, kill it ``after_s`` seconds after its first breath; return whether it was killed."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(f"{study}\n")
        self.server.stdin.flush()
        word, pid = self.server.stdout.readline().split()
        assert word == "ready"
        time.sleep(after_s)
        os.kill(int(pid), signal.SIGKILL)
        self.server.stdin.write("reap\n")
        self.server.stdin.flush()
        return self.server.stdout.readline() == "killed\n"

    def close(self) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait(timeout=10)
        self.server.stdout.close()


@pytest.fixture
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


@pytest.mark.slow
def test_killed_at_a_dozen_random_moments(tmp_path: Path, forks: Forks) -> None:
    undisturbed, study = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    started = time.monotonic()
    work(undisturbed)
    whole = time.monotonic() - started
    seed = random.SystemRandom().randrange(10**6)
    moments = random.Random(seed)
    study.mkdir()
    killed = 0
    for number in range(KILLS):
        # Short lives, so that most kills fall into the work and every stage of it is met.
        killed += forks.kill_one(study, moments.uniform(0, whole / 4))
        if catalog_path(study).is_file():
            problems = {finding.problem for finding in verify(study, isolated=False)}
            assert problems <= RECOVERABLE, f"kill {number}, seed {seed}: {problems}"
    assert killed >= KILLS / 3, "most kills must fall into the work"
    work(study)
    assert verify(study, isolated=False) == [], f"seed {seed}"
    for name, sql in SAME.items():
        assert query(study, sql).equals(query(undisturbed, sql)), f"{name}, seed {seed}"
    assert query(study, "SELECT image_id FROM shard ORDER BY ALL")["image_id"].to_list() == image_ids(
        patients=PATIENTS
    )
    before = shutil.copyfile(catalog_path(study), tmp_path / "before.duckdb")
    rebuild(study)
    assert tables_equal(before, catalog_path(study)), f"seed {seed}"
    assert not list(study.glob(".*.tmp*")) + list((study / ".hccfeat").glob("*.tmp*")), f"seed {seed}"


def test_a_full_disk_while_committing_keeps_the_store_sound(study: Path) -> None:
    """A file-size limit stands for a full disk: root is stopped by nothing else."""
    code = """
import resource, sys
from pathlib import Path
from hccfeat.errors import StoreError
from hccfeat.store.committer import Committer
from tests.store.builder import ingest
try:
    with Committer(Path(sys.argv[1])) as committer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for number in range(40):
            ingest(committer, f"external{number}", patients=60)
except (StoreError, OSError) as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(study)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Error" in done.stdout
    work_after = query(study, "SELECT count(*) AS n FROM shard")["n"][0]
    assert work_after == 10
    from hccfeat.store.committer import Committer

    with Committer(study):
        pass
    assert verify(study, isolated=False) == []
