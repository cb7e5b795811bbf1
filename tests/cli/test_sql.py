"""``hccfeat sql`` without a statement: at a terminal, and with statements on standard input."""

import io
import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from polars.exceptions import PanicException

from hccfeat.cli import main, terminal
from hccfeat.errors import QueryError
from hccfeat.store.create import create_study
from hccfeat.store.shell import Shell
from tests.store.builder import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(create_study(tmp_path_factory.mktemp("sql") / "study", recipe="tiny"))


def test_statements_on_standard_input(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS a;\nSELECT count(*) AS n\nFROM patient"))
    assert main(["sql", "--study", str(study), "--format", "csv"]) == 0
    assert capsys.readouterr().out == "a\n1\nn\n5\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS a;\nDELETE FROM patient;\nSELECT 2 AS b;"))
    assert main(["sql", "--study", str(study), "--format", "csv"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "a\n1\n"
    assert "read-only" in captured.err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["sql", "--study", str(study)]) == 1
    assert "got no statement" in capsys.readouterr().err


def test_a_file_of_statements(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "questions.sql"
    file.write_text("SELECT 1 AS a;\n-- and\nSELECT 2 AS b;\n")
    assert main(["sql", "--file", str(file), "--study", str(study), "--format", "csv"]) == 0
    assert capsys.readouterr().out == "a\n1\nb\n2\n"


def test_the_suffix_names_the_format(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.csv", "a.parquet", "a.xlsx", "a.json"):
        assert main(["sql", "SELECT * FROM patient", "--study", str(study), "--out", str(tmp_path / name)]) == 0
    assert {path.read_bytes()[:2] for path in tmp_path.iterdir()} == {b"pa", b"PA", b"PK", b"[{"}
    assert main(["sql", "SELECT 1", "--study", str(study), "--out", str(tmp_path / "a.txt")]) == 1
    assert main(["sql", "--study", str(study), "--out", str(tmp_path / "a.csv")]) == 1
    assert "suffix" in capsys.readouterr().err
    assert main(["sql", "SELECT 1", "--study", str(study), "--out", str(tmp_path / "typing" / "a.csv")]) == 1
    assert "folder that does not exist" in capsys.readouterr().err
    assert not (tmp_path / "typing").exists()


def test_statements_that_are_not_utf8(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "latin.sql"
    file.write_bytes(b"SELECT '\xe4'")
    assert main(["sql", "--file", str(file), "--study", str(study)]) == 1
    assert f"{file}: is not text in UTF-8 (byte 9)" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert main(["sql", "--study", str(study)]) == 1
    assert "standard input: is not text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "SELECT 1", "--timeout", "inf"],
        ["sql", "SELECT 1", "--timeout", "nan"],
        ["sql", "SELECT 1", "--memory", "1e300"],
        ["verify", "--time-limit", "1e300"],
    ],
)
def test_limits_without_end_are_wrong_usage(
    study: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--study", str(study)]) == 2
    assert arguments[-2] in capsys.readouterr().err


def test_a_place_that_the_system_refuses_is_named(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    refused = str(tmp_path / "file" / "x")
    assert main(["export", refused, "--format", "clam", "--study", str(study)]) == 1
    assert re.search(rf"{refused}\S*: Not a directory\. Check that the path", capsys.readouterr().err)


def test_a_panic_of_a_library_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def panics(*_: object) -> None:
        raise PanicException("out-of-range date")

    monkeypatch.setattr("hccfeat.study.open_study", panics)
    assert main(["status"]) == 1
    assert "PanicException: out-of-range date" in capsys.readouterr().err


def test_limits(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endless = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"
    assert main(["sql", endless, "--timeout", "0.2", "--study", str(study)]) == 1
    assert "--timeout" in capsys.readouterr().err
    huge = "SELECT list(range) FROM range(1000000000)"
    assert main(["sql", huge, "--memory", "0.25", "--study", str(study)]) == 1
    assert "--memory" in capsys.readouterr().err


def test_at_a_terminal(study: Path, tmp_path: Path) -> None:
    """Completion by the tab key, several lines, an error, export and history, as a person would."""
    typed = [
        b"SELECT count(*) AS patients FROM patient_cl\t;\n",
        b"SELECT c.tumour_\t\nFROM clinical AS c;\n",
        b"DROP TABLE patient;\n",
        b".desc\t outcome\n",
        b"SELECT 40 + 2 AS answer;\n",
        f".export {tmp_path / 'answer.csv'}\n".encode(),
        b".quit\n",
    ]
    code = "import sys; from hccfeat.cli import main; sys.exit(main())"
    parent, child = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "dumb", "PAGER": "cat"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sql", "--study", str(study)],
        stdin=child, stdout=child, stderr=child, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    screen = read_until(parent, "hccfeat> ")
    for line in typed:
        os.write(parent, line)
        screen += read_until(parent, "hccfeat> ", until_end=line == typed[-1])
    assert process.wait(30) == 0
    os.close(parent)
    assert "FROM patient_clinical" in screen
    assert "c.tumour_size" in screen
    assert "read-only" in screen
    assert "time to event or censoring" in screen
    assert (tmp_path / "answer.csv").read_text() == "answer\n42\n"
    history = tmp_path / "state" / "hccfeat" / "sql_history"
    assert "SELECT 40 + 2 AS answer;" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def read_until(terminal_file: int, mark: str, *, until_end: bool = False, seconds: float = 60) -> str:
    text, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([terminal_file], [], [], 0.5)[0]:
            continue
        try:
            chunk = os.read(terminal_file, 65536)
        except OSError:  # the other side is gone
            break
        text += chunk.decode(errors="replace")
        if not chunk or (text.endswith(mark) and not until_end):
            break
    return text


def test_no_history_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert terminal.history_file() == tmp_path / "state" / "hccfeat" / "sql_history"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert terminal.history_file() is None


def test_long_results_go_through_the_pager(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paged: list[str] = []
    monkeypatch.setattr("pydoc.pager", paged.append)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    monkeypatch.setenv("LESS", "-FRSX")
    terminal.show("short\n")
    assert capsys.readouterr().out == "short\n"
    for text in ("line\n" * 30, "x" * 100 + "\n"):
        terminal.show(text)
        assert paged.pop() == text
    assert capsys.readouterr().out == ""


def test_an_interrupt_costs_the_statement_only(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["SELECT 'half", KeyboardInterrupt(), "", "SELECT 7 AS a;", EOFError()])
    prompts: list[str] = []

    def typed(prompt: str) -> str:
        prompts.append(prompt.strip())
        line = next(lines)
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(terminal, "_prepare_line_editing", lambda shell: None)
    terminal.converse(Shell(study, layout="csv"))
    assert "a\n7\n" in capsys.readouterr().out
    assert prompts == ["hccfeat>", "...>", "hccfeat>", "hccfeat>", "hccfeat>"]
    with pytest.raises(QueryError):
        list(Shell(study).run("SELECT 'half"))
