import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hccfeat.errors import StudyBusyError
from hccfeat.store.committer import Committer
from hccfeat.store.lock import WriterLock


def test_second_writer_gets_a_clear_error(tmp_path: Path) -> None:
    with Committer(tmp_path), pytest.raises(StudyBusyError) as caught, Committer(tmp_path):
        pass
    assert f"process {os.getpid()} on " in str(caught.value)
    assert "Wait until it has finished" in str(caught.value)
    with Committer(tmp_path):
        pass


def test_writer_in_another_process_is_named(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from hccfeat.store.lock import WriterLock\n"
        "lock = WriterLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StudyBusyError, match=f"process {other.pid} on "):
            WriterLock(tmp_path).acquire()
        other.kill()
        other.wait()
    lock = WriterLock(tmp_path)
    assert lock.acquire() is False, "a killed writer must be noticed"
    lock.release()
    assert lock.acquire() is True
    lock.release()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    lock.acquire()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        os.close(os.dup(lock._descriptor))  # the parent still holds it
        lock.release()
        deadline = time.monotonic() + 5
        while True:
            try:
                again = WriterLock(tmp_path)
                again.acquire()
                break
            except StudyBusyError:
                assert time.monotonic() < deadline, "the child kept the lock"
                time.sleep(0.01)
        again.release()
    finally:
        os.close(write)
        os.waitpid(child, 0)


@pytest.mark.parametrize(("host", "kind", "refused"), [("elsewhere", "nfs4", True), ("elsewhere", "ext4", False)])
def test_a_lock_that_may_not_reach_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, kind: str, refused: bool
) -> None:
    monkeypatch.setattr("hccfeat.store.lock.file_system", lambda path: kind)
    own = WriterLock(tmp_path)
    own.acquire()
    own.release(clean=False)
    assert own.acquire() is False, "this machine's own dead writer is no obstacle"
    own.release()
    own.path.write_text(json.dumps({"pid": 12, "host": host, "since": "2026-01-02T03:04:05+00:00"}))
    if refused:
        with pytest.raises(StudyBusyError, match=r"process 12 on elsewhere .*nfs4.*delete .*writer\.lock"):
            WriterLock(tmp_path).acquire()
        own.path.unlink()
    lock = WriterLock(tmp_path)
    assert lock.acquire() is refused
    lock.release()
