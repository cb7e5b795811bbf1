from pathlib import Path

import polars as pl
import pytest

from hccfeat.errors import QueryError
from hccfeat.store.completion import Completer
from hccfeat.store.shell import Shell


def said(shell: Shell, *lines: str) -> str:
    return "".join(text for line in lines for text in shell.feed(line))


@pytest.fixture
def shell(read_study: Path) -> Shell:
    return Shell(read_study, layout="csv")


def test_statements_may_take_several_lines_and_share_one(shell: Shell) -> None:
    assert said(shell, "SELECT cohort,", "  count(*) AS n -- how many; really") == ""
    assert shell.pending
    assert said(shell, "FROM patient GROUP BY cohort;") == "cohort,n\ninternal,5\n"
    assert not shell.pending
    assert said(shell, "SELECT 1 AS a; SELECT 2 AS b;") == "a\n1\nb\n2\n"
    assert said(shell, "SELECT 'x;", "y' AS t;") == 't\n"x;\ny"\n'
    assert said(shell, "") == ""


def test_a_worked_query_runs_by_name(shell: Shell) -> None:
    assert said(shell, "coverage-by-cohort;").startswith("cohort,feature_set,")
    assert said(shell, "coverage_by_cohort").startswith("cohort,feature_set,")


def test_a_refused_statement_leaves_the_shell_usable(shell: Shell) -> None:
    with pytest.raises(QueryError, match="read-only"):
        said(shell, "DELETE FROM patient;")
    with pytest.raises(QueryError, match="spelling"):
        said(shell, "SELEC 1;")
    with pytest.raises(QueryError, match=r"\.tables"):
        said(shell, ".nonsense")
    assert said(shell, "SELECT 1 AS a;") == "a\n1\n"


def test_commands(shell: Shell) -> None:
    assert "clinical_patient_pps" in said(shell, ".tables")
    only = said(shell, ".tables volume")
    assert "Volumes of MRI exams" in only
    assert "patient_clinical" not in only
    text = said(shell, ".describe outcome;")
    assert text.startswith("outcome: Survival outcomes")
    assert "time to event or censoring" in text
    assert "nearest_images" in said(shell, ".queries")
    assert ".export" in said(shell, ".help")
    assert said(shell, ".timing") == "Timing is on.\n"
    assert said(shell, "SELECT 1 AS a;").endswith(" s\n")
    assert said(shell, ".timing off") == "Timing is off.\n"
    with pytest.raises(QueryError, match="needs the name"):
        said(shell, ".describe")
    said(shell, ".quit")
    assert shell.finished


def test_export(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="Run a query first"):
        said(shell, f".export {tmp_path / 'a.csv'}")
    said(shell, "SELECT patient_id, afp FROM clinical ORDER BY patient_id;")
    for name in ("a file.csv", "b.parquet", "c.xlsx"):
        assert said(shell, f".export {tmp_path / name}") == f"5 rows in {tmp_path / name}\n"
    assert said(shell, f'.export "{tmp_path / "b b.json"}"') == f"5 rows in {tmp_path / 'b b.json'}\n"
    frames = [pl.read_csv(tmp_path / "a file.csv"), pl.read_parquet(tmp_path / "b.parquet")]
    frames.append(pl.read_excel(tmp_path / "c.xlsx", schema_overrides={"afp": pl.Float64}))
    assert all(frame.equals(shell.latest) for frame in frames)
    with pytest.raises(QueryError, match="suffix"):
        said(shell, f".export {tmp_path / 'result'}")
    with pytest.raises(QueryError, match="needs a file"):
        said(shell, ".export")


def test_a_whole_text(read_study: Path) -> None:
    shell = Shell(read_study, layout="csv")
    text = "-- two questions\nSELECT 1 AS a;\n.timing off\nSELECT count(*) AS n\nFROM patient"
    assert "".join(shell.run(text)) == "a\n1\nTiming is off.\nn\n5\n"
    assert "".join(Shell(read_study, layout="csv").run("SELECT 1 AS a;\n.quit\nSELECT 2 AS b;")) == "a\n1\n"
    with pytest.raises(QueryError, match="got no statement"):
        list(Shell(read_study).run("\n"))


def test_long_tables_show_their_ends(read_study: Path) -> None:
    text = said(Shell(read_study, rows=4), "SELECT range FROM range(30);")
    assert "the first and last 2 shown" in text
    assert "29" in text
    assert "15" not in text


@pytest.mark.parametrize(
    ("text", "expected", "absent"),
    [
        ("SEL", "SELECT", "patient"),
        ("near", "nearest_images", "SELECT"),
        ("SELECT * FROM patient_", "patient_clinical", "patient_id"),
        ("SELECT * FROM patch", "patch_pps_1", "patient"),
        ("SELECT tumour", "tumour_size", "SELECT"),
        ("SELECT * FROM volume WHERE sp", "spacing_x_mm", "skipped"),
        ("SELECT c.af", "c.afp", "afp"),
        ("SELECT * FROM patient_clinical AS c WHERE c.af", "c.afp", "afp"),
        ("SELECT * FROM outcome WHERE outcome.mo", "outcome.months", "months"),
        ("SELECT * FROM patient WH", "WHERE", "patient"),
        ("SELECT *\nFROM patient o", "ORDER", "patient"),
        (".de", ".describe", ".tables"),
        (".describe pati", "patient_clinical", "patient_id"),
        (".export pati", "", "patient"),
    ],
)
def test_completion(read_study: Path, text: str, expected: str, absent: str) -> None:
    words = Completer(read_study).complete(text)
    assert expected in words or not expected
    assert absent not in words
