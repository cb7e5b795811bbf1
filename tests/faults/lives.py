"""Runs of ``extract`` that end badly: a process that forks one for every line of JSON it reads.

``python -m tests.faults.lives``; see :class:`Lives`. Forking saves importing the libraries anew: the forking
process has imported everything and computed nothing.
"""

import gc
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Life:
    """One run.

    Attributes
    ----------
    study, scratch : str
        Study folder, and an empty folder for the counters.
    workers : int
        Of the pool; 0 is one process.
    role : str
        Who dies: worker, committer or driver; empty for nobody.
    event : int
        At which of its events; 0 means by time.
    count : bool
        Whether events are counted without one being chosen.
    seconds : float
        Or how long after the start.
    full : bool
        The event fails as on a full disk instead.
    bytes : int
        Largest file that can be written; 0 is any.
    behave : dict
        Image -> what its worker does instead of its work; see :data:`tests.faults.work.BEHAVIOURS`.
    timeout : float or None
        Of ``--timeout-per-image``.
    publish : bool
        Whether the readers' copy is published after every image.
    modality : str
        Run the real ``extract`` of slides or MRI, training included, with nothing replaced.
    """

    study: str
    scratch: str
    workers: int = 2
    role: str = ""
    event: int = 0
    count: bool = False
    seconds: float = 0.0
    full: bool = False
    bytes: int = 0
    behave: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    publish: bool = False
    modality: str = ""


class Lives:
    """Starts runs one after the other; use it as a context manager."""

    def __enter__(self) -> Self:
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.lives"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait(timeout=30)
        self.server.stdout.close()

    def live(self, *together: Life) -> list[dict[str, Any]]:
        """Run one or several at once to their ends: ``error`` (empty if none), ``killed``, ``events`` and more."""
        self.begin(*together)
        return self.end()

    def begin(self, *together: Life) -> None:
        """Start them; :meth:`end` waits for them."""
        assert self.server.stdin is not None
        for life in together:
            Path(life.scratch).mkdir(parents=True)
        self.server.stdin.write(json.dumps([asdict(life) for life in together]) + "\n")
        self.server.stdin.flush()

    def end(self) -> list[dict[str, Any]]:
        """What became of those begun."""
        assert self.server.stdout is not None
        return json.loads(self.server.stdout.readline())


def _serve() -> None:
    import pyarrow
    from threadpoolctl import threadpool_info

    from hccfeat.extraction.provenance import versions
    from hccfeat.progress import set_quiet
    from tests.faults import work

    set_quiet(True)
    pyarrow.array(["some text"])  # imports pandas, once for all
    versions(), threadpool_info()  # both read many small files, and keep what they have found
    for line in sys.stdin:
        lives = [Life(**options) for options in json.loads(line)]
        for life in lives:
            work.prepare(life)
        gc.freeze()  # what is there already is no garbage: those forked need not look through it
        running = [_started(life) for life in lives]
        print(json.dumps([_ended(*one) for one in running]), flush=True)


def _started(life: Life) -> tuple[Life, int, float]:
    child = os.fork()
    if child == 0:
        _live(life)
    return life, child, time.monotonic()


def _ended(life: Life, child: int, started: float) -> dict[str, Any]:
    scratch = Path(life.scratch)
    if life.role in ("committer", "driver") and not life.event:
        time.sleep(life.seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    report = scratch / "report.json"
    told = json.loads(report.read_text()) if report.is_file() else {"error": "", "events": {}}
    told |= {"killed": os.WIFSIGNALED(status), "seconds": time.monotonic() - started}
    told["struck"] = told["killed"] or (scratch / "struck").exists()
    return told


def _live(life: Life) -> None:
    import hccfeat.store.committer
    from tests.faults import moments, work

    told: dict[str, Any] = {"error": ""}
    scratch = Path(life.scratch)
    (scratch / "driver").write_text(str(os.getpid()))
    try:
        moments.arm(moments.Moments(scratch, life.role, life.event, life.full), count=life.count or life.event > 0)
        if life.role == "worker" and not life.event:
            threading.Thread(target=_kill_a_worker, args=(life.seconds, scratch), daemon=True).start()
        if life.bytes:
            # Python ignores SIGXFSZ, so that a file that grows too long is an error, as on a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (life.bytes, resource.RLIM_INFINITY))
        if life.publish:
            hccfeat.store.committer.PUBLISH_SECONDS, hccfeat.store.committer.PUBLISH_SHARE = 0.0, 1e9
        summary = work.run(life)
        told |= {
            "embedded": summary.embedded,
            "failures": {failure.image_id: str(failure.kind) for failure in summary.failures},
        }
    except BaseException as error:
        told["error"] = f"{type(error).__name__}: {error}"
        told["traceback"] = traceback.format_exc()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        events = moments.disarm()
        if life.count:
            events["worker"] = moments.worker_events(scratch)
        (scratch / "report.json").write_text(json.dumps(told | {"events": events}))
        os._exit(0)


def _kill_a_worker(seconds: float, scratch: Path) -> None:
    time.sleep(seconds)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for worker in multiprocessing.active_children():
            assert worker.pid is not None
            (scratch / "struck").touch()
            os.kill(worker.pid, signal.SIGKILL)
            return
        time.sleep(0.001)


if __name__ == "__main__":
    _serve()
