"""What the SQL session refuses: hostile statements, each tried, as a page for docs/sql-safety.md.

    python -m benchmarks.probe_table            # tries every statement and writes docs/sql-safety.md
    python -m benchmarks.probe_table --out -    # prints the page

All statements run on a new study in one session, as those of `hccfeat sql` and `Study.sql` do. The page is only
written if every statement was refused, and nothing outside the study was written and nothing in it changed.
tests/store/test_session.py tries them again on a study with rows, and compares the page.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import duckdb
import polars as pl

from hccfeat.errors import QueryError
from hccfeat.files import write_text_atomically
from hccfeat.store.limits import memory_ceiling
from hccfeat.store.session import Session

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sql-safety.md"
TIMEOUT_S = 0.5
MEMORY = 256 << 20
HIDDEN_FRAME = pl.DataFrame({"a": [1]})
TIMED = ("runaway query", "endless recursion")
"""Probes that the clock ends; memory ends the others, which are not timed so that a slow machine says the same."""

PROBES: dict[str, dict[str, str]] = {
    "Writing to files": {
        "COPY a table out": "COPY patient TO '{out}/x.csv'",
        "COPY a query out": "COPY (SELECT 1) TO '{out}/x.parquet' (FORMAT parquet)",
        "EXPORT DATABASE": "EXPORT DATABASE '{out}/dump'",
        "COPY hidden in EXPLAIN": "EXPLAIN ANALYZE COPY patient TO '{out}/x.csv'",
        "COPY hidden in query()": "FROM query('COPY patient TO ''{out}/x.csv''')",
        "log to a file": "FROM enable_logging(storage='file', storage_config={{'path': '{out}/log'}})",
        "profile to a file": "PRAGMA profiling_output='{out}/profile.json'",
    },
    "Changing the study": {
        "INSERT": "INSERT INTO cohort (cohort) VALUES ('x')",
        "UPDATE": "UPDATE patient SET treatment = 'none'",
        "DELETE": "DELETE FROM patient",
        "DELETE hidden in WITH": "WITH d AS (DELETE FROM patient RETURNING *) SELECT * FROM d",
        "MERGE": "MERGE INTO patient AS p USING cohort AS c ON p.cohort = c.cohort WHEN MATCHED THEN DELETE",
        "TRUNCATE": "TRUNCATE patient",
        "COPY in": "COPY patient FROM '/etc/passwd'",
        "IMPORT DATABASE": "IMPORT DATABASE '{out}'",
        "CREATE TABLE": "CREATE TABLE x AS SELECT 1",
        "CREATE TEMP TABLE": "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE MACRO": "CREATE MACRO f(a) AS a",
        "CREATE SECRET": "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
        "DROP": "DROP TABLE patient",
        "ALTER": "ALTER TABLE patient ADD COLUMN x INT",
        "COMMENT": "COMMENT ON TABLE patient IS 'x'",
        "VACUUM": "VACUUM",
        "CHECKPOINT": "CHECKPOINT",
        "checkpoint as a function": "SELECT * FROM force_checkpoint('catalog')",
        "BEGIN": "BEGIN",
        "PREPARE": "PREPARE p AS SELECT 1",
    },
    "Reading other files": {
        "read_csv": "SELECT * FROM read_csv('/etc/passwd')",
        "read_text": "SELECT * FROM read_text('/etc/passwd')",
        "read_blob of the study file": "SELECT * FROM read_blob('{study}/hccfeat.toml')",
        "read_json of a record": "SELECT * FROM read_json('{study}/records/ingest/000001-internal.json')",
        "read_parquet": "SELECT * FROM read_parquet('{out}/*.parquet')",
        "parquet_metadata": "SELECT * FROM parquet_metadata('/etc/passwd')",
        "sniff_csv": "SELECT * FROM sniff_csv('/etc/passwd')",
        "a file as a table": "SELECT * FROM '/etc/passwd'",
        "glob": "SELECT * FROM glob('/etc/*')",
        "parent folders": "SELECT * FROM read_text('../../etc/passwd')",
        "parents of the temporary folder": (
            "SELECT * FROM read_text(current_setting('temp_directory') || '/../../etc/passwd')"
        ),
        "a path hidden in query()": (
            "FROM query('FROM read_text(''' || current_setting('temp_directory') || '/../../etc/passwd'')')"
        ),
        "a Python variable": "SELECT * FROM local_frame",
        "a Python global": "SELECT * FROM HIDDEN_FRAME",
    },
    "Other databases, extensions, network": {
        "ATTACH": "ATTACH '{out}/x.duckdb'",
        "ATTACH the committer's catalog": "ATTACH '{study}/.hccfeat/catalog.duckdb' AS p",
        "DETACH": "DETACH catalog",
        "USE": "USE memory",
        "read_duckdb": "SELECT * FROM read_duckdb('{study}/.hccfeat/catalog.duckdb')",
        "sqlite_scan": "SELECT * FROM sqlite_scan('{out}/x.db', 't')",
        "INSTALL": "INSTALL httpfs",
        "LOAD": "LOAD httpfs",
        "UPDATE EXTENSIONS": "UPDATE EXTENSIONS",
        "http": "SELECT * FROM read_csv('https://example.org/x.csv')",
        "s3": "SELECT * FROM read_text('s3://bucket/x')",
        "COPY FROM DATABASE": "COPY FROM DATABASE catalog TO memory -- pivot",
    },
    "Environment and settings": {
        "environment": "SELECT getenv('HOME')",
        "environment as a file": "SELECT * FROM read_text('/proc/self/environ')",
        "secrets": "SELECT * FROM duckdb_secrets()",
        "SET": "SET enable_external_access = true",
        "SET VARIABLE": "SET VARIABLE x = 1",
        "RESET": "RESET lock_configuration",
        "PRAGMA": "PRAGMA enable_external_access",
        "CALL": "CALL pragma_version()",
        "a setting as a function": "FROM enable_profiling()",
    },
    "Tricks with the text": {
        "a second statement": "SELECT 1; COPY patient TO '{out}/x.csv'",
        "a second statement after a comment": "SELECT 1 /* ; */; -- harmless\nDELETE FROM patient",
        "a comment before": "/* SELECT */ DELETE FROM patient",
        "nested comments in EXPLAIN": "EXPLAIN ANALYZE /* /* */ SELECT 1 -- */ CREATE TEMP TABLE x AS SELECT 1",
        "options of EXPLAIN": "/* a */ EXPLAIN (ANALYZE) DELETE FROM patient",
        "two statements in query()": "FROM query('SELECT 1; DROP TABLE patient')",
        "nothing but a comment": "-- SELECT 1",
    },
    "Taking all time or memory": {
        "runaway query": "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b",
        "endless recursion": "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x FROM t) SELECT count(*) FROM t",
        "a list that fills the memory": "SELECT list(range) FROM range(1000000000)",
        "a single huge value": "SELECT repeat('x', 1000000000) FROM range(100)",
        "a result that fills the memory": "SELECT * FROM range(100000000000)",
    },
}


def try_out(session: Session, outside: Path, name: str, sql: str) -> QueryError | None:
    """Run one statement as an analyst's session does; give the refusal, or None if it was let through."""
    local_frame = pl.DataFrame({"a": [1]})  # a Python variable that SQL must not see
    statement = sql.format(study=session.study, out=outside)
    try:
        with memory_ceiling(2 * MEMORY):
            session.sql(statement, timeout_s=TIMEOUT_S if name in TIMED else None, memory=MEMORY)
    except QueryError as error:
        return error
    finally:
        del local_frame
    return None


def all_answers(study: Path, outside: Path) -> dict[str, QueryError | None]:
    """Refusal of every probe, by its name."""
    probes = [(name, sql) for group in PROBES.values() for name, sql in group.items()]
    with Session(study) as session:
        return {name: try_out(session, outside, name, sql) for name, sql in probes}


def page(answers: dict[str, QueryError | None]) -> str:
    """The page, as Markdown."""
    count = len(answers)
    lines = [
        "# What the SQL session refuses",
        "",
        "Made by `python -m benchmarks.probe_table`, which tries every statement below in one session of",
        f"`hccfeat sql` and `Study.sql` (DuckDB {duckdb.__version__}). All {count} are refused; nothing is written",
        "or changed. A test tries them again. `OUT` is a folder outside the study, `STUDY` its own. They ran with",
        f"{TIMEOUT_S:g} seconds (`--timeout`) and {MEMORY >> 20} MiB (`--memory`); usual are 60 seconds and 4 GiB.",
        "",
        "How: the catalog is opened read-only; DuckDB's own access to files, network and extensions is off and its",
        "configuration locked before the statement runs; the parser's type of the statement decides what is taken.",
        "A single value that is being made is ended by the memory limit alone: DuckDB looks at the clock after it.",
        "On Linux `hccfeat sql` puts that limit on its whole process; `Study.sql` inside another program does not.",
    ]
    for title, group in PROBES.items():
        lines += ["", f"## {title}", "", "| what | statement | answer |", "|---|---|---|"]
        for name, sql in group.items():
            shown = sql.format(study="STUDY", out="OUT").replace("\n", " ⏎ ").replace("|", "\\|")
            lines.append(f"| {name} | `{shown}` | {_answer(answers[name])} |")
    return "\n".join(lines) + "\n"


def _answer(error: QueryError | None) -> str:
    text = "let through" if error is None else f"{error.problem}. {error.remedy}"
    return re.sub(r" \(Did you mean [^)]*\)", "", text).replace("|", "\\|")


def state_of(folder: Path) -> dict[Path, int]:
    """Every file of a folder with its modification time."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def main() -> int:
    from hccfeat.study import init_study

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(PAGE), help="file to write; - prints")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, outside = Path(folder) / "study", Path(folder) / "outside"
        outside.mkdir()
        init_study(study, name="probes")
        before = state_of(study)
        answers = all_answers(study, outside)
        problems = [name for name, answer in answers.items() if answer is None]
        problems += [f"wrote {path.name}" for path in outside.iterdir()]
        problems += ["changed the study"] if state_of(study) != before else []
    if problems:
        sys.stderr.write(f"not refused: {', '.join(problems)}\n")
        return 1
    text = page(answers)
    if chosen.out == "-":
        sys.stdout.write(text)
    else:
        write_text_atomically(Path(chosen.out), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
