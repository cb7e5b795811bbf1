"""Embedding on a Dask cluster; only ``hccfeat extract --scheduler ADDRESS`` imports this.

Dask hands out the tasks and nothing else: workers publish shards into the study, which all machines see, and the
process that started the extraction commits them. Whoever dies, what is published counts.
"""

from collections.abc import Collection
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hccfeat.config import STUDY_FILE
from hccfeat.errors import ClusterError
from hccfeat.extraction.executors import one_thread
from hccfeat.extraction.outcomes import Outcome
from hccfeat.files import sha256_of_file

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 20.0
WAIT_FOR_WORKERS_SECONDS = 300.0
"""A batch system starts workers one after another; extraction begins with the first."""

PACKAGES = ("hccfeat", "torch", "numpy")
"""Those whose versions decide the bits of a vector."""

INSTALL = "Install the extra: pip install 'hccfeat[cluster]', here and on every worker."


class DaskCrew:
    """Workers of a Dask scheduler: one thread each, and one GPU each where there are GPUs.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://node17:8786``.
    study : Path
        Study folder; every worker must see it under this very path.

    Raises
    ------
    ClusterError
        On entry, if dask.distributed is not installed, the scheduler does not answer, no worker comes, or a worker
        has another hccfeat or does not see the study.
    """

    def __init__(self, address: str, study: Path) -> None:
        self.address, self.study = address, study
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with self.stack:
            self.client = self._connect()
            self.stack.callback(self.client.close)
            self._check_workers()
            before = self.client.run_on_scheduler(_set_allowed_failures, 0)
            self.stack.callback(self._restore, before)
            self.client.register_worker_callbacks(one_thread)  # those who come later too
            self.executor: Executor = self.client.get_executor(pure=False)
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def window(self) -> int:
        """Little more than there are workers: Dask blames every task that waits at a worker for its death."""
        slots = sum(self._threads().values())
        return max(1, slots + (slots + 3) // 4)

    def recover(self, running: Collection[Future[Outcome]]) -> None:
        """Nothing to do: the other workers go on."""

    def _connect(self) -> "Client":
        try:
            from distributed import Client
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise ClusterError("--scheduler", "needs dask.distributed, which is not installed", INSTALL) from error
        self.lost: tuple[type[BaseException], ...] = (KilledWorker,)
        try:
            return Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False, name="hccfeat")
        except (OSError, TimeoutError, ValueError) as error:
            problem = f"does not answer as a Dask scheduler ({str(error).splitlines()[0]})"
            raise ClusterError(f"--scheduler {self.address}", problem, "Start it: docs/cluster.md.") from error

    def _check_workers(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS_SECONDS)
        except TimeoutError as error:
            problem = f"has had no worker for {WAIT_FOR_WORKERS_SECONDS:g} seconds"
            raise ClusterError(f"--scheduler {self.address}", problem, "Start workers: docs/cluster.md.") from error
        own = _facts(str(self.study))
        found: dict[str, Any] = self.client.run(_facts, str(self.study), on_error="return")
        for worker, facts in sorted(found.items()):
            if isinstance(facts, BaseException):
                remedy = "Start it in an environment with this hccfeat."
                raise ClusterError(f"worker {worker}", f"cannot run hccfeat ({facts})", remedy)
            if other := [name for name in PACKAGES if facts[name] != own[name]]:
                problem = f"has {other[0]} {facts[other[0]]}, this process has {own[other[0]]}"
                raise ClusterError(f"worker {worker}", problem, "Start it in the same environment.")
            if facts["study"] != own["study"]:
                problem = f"does not see the study at {self.study}"
                remedy = "Mount the same shared folder under the same path on every machine."
                raise ClusterError(f"worker {worker}", problem, remedy)

    def _threads(self) -> dict[str, int]:
        try:
            return dict(self.client.nthreads())
        except (OSError, TimeoutError) as error:
            remedy = "Start it and run the same command again: every published shard counts."
            raise ClusterError(f"--scheduler {self.address}", "is no longer there", remedy) from error

    def _restore(self, allowed_failures: int) -> None:
        if self.client.status == "running":
            self.client.run_on_scheduler(_set_allowed_failures, allowed_failures)


def _facts(study: str) -> dict[str, str]:
    """What a worker has and sees; runs there."""
    file = Path(study) / STUDY_FILE
    seen = sha256_of_file(file) if file.is_file() else ""
    return {"study": seen, **{name: version(name) for name in PACKAGES}}


def _set_allowed_failures(count: int, dask_scheduler: Any = None) -> int:
    """Let the scheduler give up a task after ``count`` + 1 deaths; runs there, returns what was set before."""
    before = int(dask_scheduler.allowed_failures)
    dask_scheduler.allowed_failures = count
    return before
