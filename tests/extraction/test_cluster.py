"""Extraction over a real Dask cluster of two worker processes on this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'hccfeat[cluster]'")

from distributed import LocalCluster

from hccfeat.errors import ClusterError, FailureKind
from hccfeat.extraction import cluster as cluster_module
from hccfeat.extraction import workflow
from hccfeat.extraction.executors import run_tasks
from hccfeat.store.verify import verify
from hccfeat.study import open_study
from tests.extraction.plain_tasks import IMAGES, PlainTask, PlainWork, digests, publish

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two workers."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        silence_logs="CRITICAL",
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def expected(tmp_path: Path) -> dict[str, str]:
    """Digests of an undisturbed run in this process."""
    alone = tmp_path / "alone"
    alone.mkdir()
    found = run_tasks(publish, [PlainTask(alone, f"internal/{number:02d}") for number in range(IMAGES)])
    return {one.image_id: one.shard.digest for one in found if one.shard is not None}


@pytest.mark.slow
def test_same_digests_as_in_process_though_a_worker_is_killed(
    address: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "SlideWork", PlainWork)
    monkeypatch.setattr(PlainWork, "happens", {"internal/00": "death", "internal/08": "error"})
    summary = open_study(study).extract(scheduler=address)
    failures = {one.image_id: one.kind for one in summary.failures}
    assert failures == {"internal/00": FailureKind.WORKER_LOST, "internal/08": FailureKind.UNKNOWN}
    wanted = expected(tmp_path)
    assert digests(study) == {key: value for key, value in wanted.items() if key not in failures}
    monkeypatch.setattr(PlainWork, "happens", {})
    again = open_study(study).extract(scheduler=address)
    assert again.embedded == 2
    assert digests(study) == wanted
    assert verify(study, isolated=False) == []


@pytest.mark.slow
def test_the_driver_is_killed_and_started_again(
    address: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = f"extract_slowly({str(study)!r}, {address!r}, {IMAGES})"
    code = f"from tests.extraction.plain_tasks import extract_slowly; {call}"
    with subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT) as driver:
        try:
            deadline = time.monotonic() + 200
            while len(list(study.glob("features/*/*/*.h5"))) < 3:
                assert driver.poll() is None, "the driver ended by itself"
                assert time.monotonic() < deadline, "the driver published nothing"
                time.sleep(0.02)
        finally:
            driver.kill()
    started = (study / "order.txt").read_text().split()
    assert set(started[:2]) == {"internal/00", "internal/01"}, "the largest come first"
    monkeypatch.setattr(workflow, "SlideWork", PlainWork)
    summary = open_study(study).extract(scheduler=address)
    assert summary.failures == []
    assert summary.already_done >= 3
    assert summary.embedded + summary.already_done == IMAGES
    assert digests(study) == expected(tmp_path)
    assert verify(study, isolated=False) == []


def test_workers_are_checked_first(address: str, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = [PlainTask(study, "internal/00")]
    monkeypatch.setattr(cluster_module, "version", lambda name: "0.0.0")
    with pytest.raises(ClusterError, match=r"worker tcp://.* has hccfeat .*, this process has 0\.0\.0"):
        list(run_tasks(publish, one, scheduler=address))
    monkeypatch.undo()
    monkeypatch.setattr(cluster_module, "sha256_of_file", lambda path: "of another folder")
    with pytest.raises(ClusterError, match=r"worker tcp://.* does not see the study"):
        list(run_tasks(publish, one, scheduler=address))


def test_a_scheduler_that_does_not_answer(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ClusterError, match="does not answer"):
        list(run_tasks(publish, [PlainTask(study, "internal/00")], scheduler="tcp://127.0.0.1:9"))


def test_without_dask_the_extra_is_named(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"pip install 'hccfeat\[cluster\]'"):
        list(run_tasks(publish, [PlainTask(study, "internal/00")], scheduler="tcp://127.0.0.1:9"))
