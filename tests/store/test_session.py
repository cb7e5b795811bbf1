import threading
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks.probe_table import PAGE, PROBES, all_answers, page, state_of
from hccfeat.errors import QueryError, StoreError
from hccfeat.store.committer import Committer
from hccfeat.store.limits import memory_ceiling, usual_memory
from hccfeat.store.session import run_sql
from hccfeat.store.statements import named_queries, named_query
from tests.store.builder import make_study

NAMES = [name for group in PROBES.values() for name in group]


@pytest.fixture(scope="module")
def answers(read_study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, QueryError | None]:
    """What the session says to every probe; trying them writes and changes nothing."""
    outside = tmp_path_factory.mktemp("outside")
    before = state_of(read_study)
    found = all_answers(read_study, outside)
    assert not list(outside.iterdir()), "nothing may be written"
    assert state_of(read_study) == before
    return found


def test_there_are_many_probes() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 70


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_refuses(answers: dict[str, QueryError | None], name: str) -> None:
    answer = answers[name]
    assert answer is not None, "let through"
    assert answer.remedy.endswith((".", ">.", "()."))
    assert "\n" not in str(answer)


def test_the_page_shows_what_the_session_says(answers: dict[str, QueryError | None]) -> None:
    written = PAGE.read_text(encoding="utf-8")
    if f"DuckDB {duckdb.__version__}" not in written:
        pytest.skip("docs/sql-safety.md was made with another DuckDB, whose messages may differ")
    assert written == page(answers), "run python -m benchmarks.probe_table"


ALLOWED = {
    "select": "SELECT count(*) AS n FROM patient",
    "from": "FROM cohort",
    "with": "WITH a AS (SELECT 1 AS x) SELECT * FROM a",
    "values": "VALUES (1, 2)",
    "show": "SHOW TABLES",
    "describe": "DESCRIBE patient",
    "summarize": "SUMMARIZE clinical",
    "explain": "EXPLAIN SELECT * FROM patient",
    "explain analyze": "explain analyze SELECT * FROM patient",
    "pivot": "PIVOT outcome ON outcome USING max(months) GROUP BY patient_id",
    "comments": "-- which\nSELECT 1 AS x; -- end\n/* done */",
    "quoted words": "SELECT 'COPY x TO y; DROP' AS text",
    "window": "SELECT patient_id, row_number() OVER (ORDER BY patient_id) FROM patient",
    "json": "SELECT recipe->>'$.name' AS name FROM feature_set",
    "dates at the ends": "SELECT [DATE '0001-01-01', NULL] AS d, TIMESTAMP '9999-12-31 23:59:59' AS t",
    "similarity": "SELECT array_cosine_similarity(a.mean, b.mean) FROM image_pps a, image_pps b LIMIT 3",
}


@pytest.mark.parametrize("probe", ALLOWED)
def test_the_sandbox_allows(read_study: Path, probe: str) -> None:
    assert run_sql(read_study, ALLOWED[probe]).height > 0


@pytest.mark.parametrize(
    ("sql", "problem", "remedy"),
    [
        ("SELECT * FROM patients", "patients does not exist", "SHOW TABLES"),
        ("SELECT ag FROM clinical", '"ag" not found', "DESCRIBE"),
        ("SELEC 1", "syntax error", "spelling"),
        ("SELECT cast('x' AS INT)", "Could not convert", "TRY_CAST"),
        ("SELECT avg(mean) FROM image_pps", "No function matches", "DESCRIBE"),
        ("SELECT * FROM patient WHERE cohort = ?", "parameter", "Correct"),
        ("", "is empty", "exactly one"),
        ("-- nothing", "is empty", "exactly one"),
        ("SELECT 1; SELECT 2", "2 statements", "exactly one"),
        ("COPY patient TO 'x'", "type COPY", "--out"),
        ("DELETE FROM patient", "type DELETE", "read-only"),
        ("SELECT * FROM read_text('/etc/passwd')", "outside the catalog", "Join other files"),
        ("SELECT which_secret('a', 's3')", "outside the catalog", "Join other files"),
        ("SELECT DATE 'infinity' AS d", "years 1 to 9999 in column 'd'", "CAST(... AS VARCHAR)"),
        ("SELECT [{'a': TIMESTAMP '290000-01-01'}] AS d", "years 1 to 9999", "CAST(... AS VARCHAR)"),
        ("SELECT MAP {1: DATE '-infinity'} AS d", "years 1 to 9999", "CAST(... AS VARCHAR)"),
        ("SELECT [INTERVAL 1 MONTH] AS i", "column 'i' as an INTERVAL", "date_diff"),
        ("SELECT a.patient_id, b.patient_id FROM patient a, patient b", "", ""),
    ],
)
def test_messages_say_what_to_do(read_study: Path, sql: str, problem: str, remedy: str) -> None:
    if not problem:
        assert len(run_sql(read_study, sql).columns) == 2
        return
    with pytest.raises(QueryError) as caught:
        run_sql(read_study, sql)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert not caught.value.problem.endswith(".")


def test_a_panic_of_polars_is_an_error_like_others(read_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(_: object) -> None:
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value")

    monkeypatch.setattr("hccfeat.store.session.pl.DataFrame", panics)
    with pytest.raises(QueryError, match="gives values that no result can hold"):
        run_sql(read_study, "SELECT 1")


def test_runaway_query_is_stopped(read_study: Path) -> None:
    started = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 0\.3 seconds"):
        run_sql(
            read_study, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", timeout_s=0.3
        )
    assert time.monotonic() - started < 10
    assert run_sql(read_study, "SELECT 1 AS x", timeout_s=30)["x"][0] == 1


def test_settings_are_locked_before_the_statement_runs(read_study: Path) -> None:
    frame = run_sql(
        read_study,
        "SELECT name, value FROM duckdb_settings() WHERE name IN "
        "('enable_external_access', 'lock_configuration', 'autoinstall_known_extensions') ORDER BY name",
    )
    assert frame["value"].to_list() == ["false", "false", "true"]


def test_sessions_run_side_by_side_and_while_a_committer_works(study: Path) -> None:
    heights: list[int] = []

    def ask() -> None:
        for _ in range(3):
            heights.append(run_sql(study, "SELECT * FROM patch_pps_1").height)  # noqa: PERF401

    with Committer(study):
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert heights == [54] * 9


def test_patch_tables(read_study: Path) -> None:
    frame = run_sql(
        read_study, "SELECT * FROM patch_pps_1 WHERE image_id = 'internal/P001_1' AND x >= 448 ORDER BY x"
    )
    assert frame["x"].to_list() == [448, 672, 896, 1120]
    assert frame.schema["vector"] == pl.Array(pl.Float32, 8)
    joined = run_sql(
        read_study,
        "SELECT p.x, array_distance(p.vector, i.mean) AS d FROM patch_pps p JOIN image_pps i USING (image_id) "
        "WHERE p.image_id = 'internal/P001_1'",
    )
    assert joined.height == 6
    with pytest.raises(QueryError, match="patch_pps_9 does not exist"):
        run_sql(read_study, "SELECT * FROM patch_pps_9")


def test_a_missing_shard_is_a_clear_error(study: Path) -> None:
    (study / "features" / "pps-1" / "internal" / "P001_1.h5").unlink()
    with pytest.raises(
        QueryError, match=r"shard .*internal/P001_1\.h5: .*file is missing.*verify --repair"
    ) as caught:
        run_sql(study, "SELECT * FROM patch_pps_1")
    assert caught.value.remedy.startswith("Run `hccfeat verify --repair`")


def test_a_study_without_catalog(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="hccfeat init"):
        run_sql(tmp_path, "SELECT 1")


def test_worked_queries_have_names_and_titles() -> None:
    titles = named_queries()
    assert len(titles) >= 8
    assert all(title.endswith("?") or "?" in title for title in titles.values())
    with pytest.raises(QueryError, match="Worked queries: apparent_vs_held_out"):
        named_query("nonsense")
    assert named_query("nearest-images") == named_query("nearest_images")


def test_many_sessions_leave_no_noise(tmp_path: Path) -> None:
    import subprocess
    import sys

    study = make_study(tmp_path / "study", results=False)
    code = (
        "import sys; from pathlib import Path; from hccfeat.store.session import run_sql\n"
        "for i in range(15): run_sql(Path(sys.argv[1]), 'SELECT count(*) FROM patch_pps_1')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_ceiling_of_memory_is_lifted_again() -> None:
    resource = pytest.importorskip("resource", reason="this platform has no limits of a process")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_ceiling(1 << 30):
        limited = resource.getrlimit(resource.RLIMIT_DATA)
        with pytest.raises(MemoryError):
            bytearray(4 << 30)
    assert limited[0] < before[0] or before[0] == resource.RLIM_INFINITY
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert 0 < usual_memory() <= 4 << 30


def test_columns_of_a_join_keep_names_of_their_own(read_study: Path) -> None:
    frame = run_sql(read_study, "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a")
    assert frame.columns == ["a", "a_1", "a_1_1", "a_2"]
    assert frame.row(0) == (1, 2, 3, 4)
