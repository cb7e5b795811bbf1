import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hccfeat.errors import QueryError, StoreError
from hccfeat.store import session as session_module
from hccfeat.store.committer import Committer
from hccfeat.store.names import catalog_path
from hccfeat.store.session import Session
from hccfeat.store.shards import write_shard
from hccfeat.store.shell import Shell
from hccfeat.study import Study
from tests.store.builder import image_ids, shard

RUNAWAY = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Studies whose catalog a session opened, in order."""
    seen: list[Path] = []
    usual = session_module.open_catalog

    def watched(study: Path) -> duckdb.DuckDBPyConnection:
        seen.append(study)
        return usual(study)

    monkeypatch.setattr(session_module, "open_catalog", watched)
    return seen


@pytest.fixture
def session(study: Path) -> Iterator[Session]:
    with Session(study) as kept:
        yield kept


def spill_of(session: Session) -> Path:
    return Path(session.sql("SELECT current_setting('temp_directory')").item())


def more_patches(study: Path) -> None:
    """One more shard, of an image that table image does not name."""
    with Committer(study) as committer:
        committer.adopt([write_shard(study, shard("internal/P009_1", 4))])


def test_one_connection_serves_all_statements(study: Path, opened: list[Path]) -> None:
    kept = Study(study, config=None)  # type: ignore[arg-type]
    assert [kept.sql("SELECT count(*) FROM patient").item() for _ in range(2)] == [5, 5]
    assert kept.sql("SELECT count(*) FROM patch_pps").item() == 54
    assert len(opened) == 1
    shell = Shell(study)
    assert len(list(shell.run("SELECT 1; SELECT 2; SELECT 3"))) == 3
    assert len(opened) == 2
    assert pickle.loads(pickle.dumps(kept)).sql("SELECT 1").item() == 1  # noqa: S301


def test_a_publication_is_seen_and_not_hindered(session: Session, opened: list[Path]) -> None:
    assert session.sql("SELECT count(*) FROM patch_pps_1").item() == 54
    before = spill_of(session)
    more_patches(session.study)
    assert session.sql("SELECT count(*) FROM patch_pps_1").item() == 58
    assert session.sql("SELECT x FROM patch_pps_1 WHERE patient_id IS NULL AND cohort = 'internal'").height == 4
    assert len(opened) == 2
    assert not before.exists()
    assert spill_of(session).is_dir()


def test_a_running_statement_keeps_what_it_began_with(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[Any] = []
    time_is_up = threading.Event()

    class Timer(threading.Timer):
        def run(self) -> None:
            assert time_is_up.wait(60)
            self.function()

    monkeypatch.setattr(threading, "Timer", Timer)

    def run() -> None:
        with pytest.raises(QueryError) as caught:
            session.sql(RUNAWAY, timeout_s=1)
        problems.append(caught.value.problem)

    spill = spill_of(session)
    thread = threading.Thread(target=run)
    thread.start()
    while session._opened is None or not session._opened.statements:
        assert thread.is_alive()
    more_patches(session.study)
    assert session.sql("SELECT sum(patches) FROM shard").item() == 58
    session.close()
    assert spill.is_dir()
    time_is_up.set()
    thread.join()
    assert problems == ["took longer than 1 seconds and was stopped"]
    assert not spill.exists()


def test_threads_share_a_session(session: Session, opened: list[Path]) -> None:
    heights: list[int] = []

    def ask(image_id: str) -> None:
        statement = f"SELECT * FROM patch_pps_1 WHERE image_id = '{image_id}'"
        heights.extend(session.sql(statement).height for _ in range(3))

    threads = [threading.Thread(target=ask, args=[image_id]) for image_id in image_ids()[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heights == [6] * 9
    assert len(opened) == 1


def test_a_closed_session_leaves_nothing_and_opens_again(session: Session, opened: list[Path]) -> None:
    spill = spill_of(session)
    session.close()
    session.close()
    assert not spill.exists()
    assert session.sql("SELECT 1").item() == 1
    spill = spill_of(session)
    assert session.sql("SELECT current_setting('memory_limit')", memory=1 << 30).item() == "1.0 GiB"
    assert not spill.exists()
    assert len(opened) == 3
    forgotten = Session(session.study)
    spill = spill_of(forgotten)
    del forgotten
    assert not spill.exists()


def test_nothing_of_a_statement_reaches_the_next(session: Session) -> None:
    names = ("create", "status", "destroy", "resolve", "list")
    functions = ", ".join(f"{name}_function => 'range'" for name in names)
    known = "SELECT count(*) FROM duckdb_functions() WHERE function_name = 'register_external_resource_type'"
    if session.sql(known).item():  # from DuckDB 2.0 on
        session.sql(f"FROM register_external_resource_type('a', kind => 'b', {functions})")
        assert session.sql("FROM duckdb_external_resource_types()").is_empty()
    session.sql("SELECT count(*) FROM patch_pps_1")
    assert session.sql("SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'patch%'").item() == 0
    with pytest.raises(QueryError, match="longer than"):
        session.sql(RUNAWAY, timeout_s=0.1)
    assert session.sql("SELECT 1").item() == 1
    settings = "('python_enable_replacements', 'enable_external_access', 'lock_configuration')"
    values = session.sql(f"SELECT name, value FROM duckdb_settings() WHERE name IN {settings} ORDER BY name")
    assert values["value"].to_list() == ["false", "true", "false"]


def test_an_engine_that_failed_is_opened_anew(
    session: Session, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cursor: duckdb.DuckDBPyConnection, *_: object) -> None:
        cursor.close()
        raise duckdb.FatalException("FATAL Error: the database has been invalidated")

    with monkeypatch.context() as patch:
        patch.setattr(session_module, "_collect", fail)
        with pytest.raises(QueryError):
            session.sql("SELECT 1")
    assert session.sql("SELECT 1").item() == 1
    assert len(opened) == 2


def test_a_catalog_that_went_away_is_missed(session: Session) -> None:
    session.sql("SELECT 1")
    path = catalog_path(session.study)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreError, match="rebuild-catalog"):
        session.sql("SELECT 1")
    path.with_suffix(".away").rename(path)
    assert session.sql("SELECT 1").item() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_opens_its_own(session: Session) -> None:
    spill = spill_of(session)
    child = os.fork()
    if child == 0:
        good = False
        try:
            with session._cursor(1 << 28) as cursor:
                good = cursor.execute("SELECT count(*) FROM shard").fetchone() == (10,)
            session.close()
        finally:
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert spill.is_dir()
    assert session.sql("SELECT 1").item() == 1
