"""One loop over threads and processes: order, window, failures, poison."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from hccfeat.errors import FailureKind
from hccfeat.extraction import executors
from hccfeat.extraction.executors import run_tasks
from hccfeat.extraction.outcomes import Outcome
from tests.extraction.plain_tasks import PlainTask, publish

IDS = [f"internal/{number:02d}" for number in range(8)]


def tasks(study: Path, **happens: str) -> list[PlainTask]:
    by_id = {f"internal/{name.removeprefix('i')}": what for name, what in happens.items()}
    return [PlainTask(study, image_id, by_id.get(image_id, "")) for image_id in IDS]


def by_id(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert len({one.image_id for one in outcomes}) == len(outcomes), "an image came twice"
    return {one.image_id: one for one in outcomes}


def digests(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {image_id: one.shard.digest for image_id, one in outcomes.items() if one.shard is not None}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    study = tmp_path_factory.mktemp("threads")
    return digests(by_id(list(run_tasks(publish, tasks(study)))))


def test_no_tasks_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "ProcessPoolExecutor", None)
    assert list(run_tasks(publish, [], workers=4)) == []


def test_threads_start_in_order_and_one_error_ends_nobody_else(
    tmp_path: Path, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "available_cores", lambda: 1)
    found = by_id(list(run_tasks(publish, tasks(tmp_path, i02="error", i05="failure"))))
    failures = {image_id: one.failure.kind for image_id, one in found.items() if one.failure is not None}
    assert failures == {"internal/02": FailureKind.UNKNOWN, "internal/05": FailureKind.UNREADABLE}
    assert digests(found) == {k: v for k, v in expected.items() if k not in failures}
    assert (tmp_path / "order.txt").read_text().split() == [i for i in IDS if i not in failures]


def test_the_window_is_bounded(tmp_path: Path) -> None:
    given: list[str] = []

    class Watched(executors.ThreadCrew):
        def window(self) -> int:
            return 3

    def counted(task: PlainTask) -> Outcome:
        given.append(task.image_id)
        return publish(task)

    with Watched(2) as crew:
        outcomes = executors._run(crew, counted, tasks(tmp_path), None)
        next(outcomes)
        assert len(given) <= 3 + 1
        assert len(list(outcomes)) == len(IDS) - 1


def test_a_pool_sets_poison_aside_and_loses_nothing_else(
    tmp_path: Path, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []
    begin = executors.PoolCrew.__enter__

    def counted(crew: executors.PoolCrew) -> executors.PoolCrew:
        starts.append(crew.workers)
        return begin(crew)

    monkeypatch.setattr(executors.PoolCrew, "__enter__", counted)
    found = by_id(list(run_tasks(publish, tasks(tmp_path, i01="death", i04="error"), workers=2)))
    assert found["internal/01"].failure is not None
    assert found["internal/01"].failure.kind == FailureKind.WORKER_LOST
    assert "died 2 times" in found["internal/01"].failure.message
    assert digests(found) == {k: v for k, v in expected.items() if k not in {"internal/01", "internal/04"}}
    assert starts == [2, 2, 2], "two deaths, so two new pools"


def test_what_cannot_be_sent_fails_alone(tmp_path: Path) -> None:
    def local(task: PlainTask) -> Outcome:
        return publish(task)

    found = list(run_tasks(local, tasks(tmp_path)[:2], workers=1))
    assert [one.failure.kind for one in found if one.failure is not None] == [FailureKind.UNKNOWN] * 2


def test_gpus_are_dealt_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    crew = executors.PoolCrew(3, share_gpus=True)
    dealt = []
    for _ in range(3):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
        executors._begin_worker(crew.number)
        dealt.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert dealt == ["2", "5", "2"]
    assert executors.PoolCrew(3, share_gpus=False).number is None


def test_a_process_that_does_not_end_cannot_hold_up_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that waits for a lock which a killed one held."""
    monkeypatch.setattr(executors, "GRACE_S", 0.3)
    with executors.PoolCrew(1, share_gpus=False) as crew:
        worker = crew.executor.submit(os.getpid).result()
        os.kill(worker, signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(one.pid == worker for one in multiprocessing.active_children()):
        time.sleep(0.05)
    assert all(one.pid != worker for one in multiprocessing.active_children())
