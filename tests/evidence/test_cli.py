from pathlib import Path

import pytest

from hccfeat.cli import main


@pytest.mark.parametrize("arguments", [["everything"], ["null", "--replicates", "0"], [], ["null", "--seeds", "3"]])
def test_wrong_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_with_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "null.json").write_text("mine")
    assert main(["evidence", "null", "--replicates", "1", "--out", str(tmp_path)]) == 1
    assert "--out" in capsys.readouterr().err


def test_the_command_writes_a_page_and_says_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "evidence"
    assert main(["evidence", "null", "--tabular-only", "--replicates", "2", "--out", str(out), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SIMULATED")
    assert "57 held-out patients, 2 permuted cohorts" in said
    page = (out / "null.md").read_text()
    assert f"hccfeat evidence null --tabular-only --out {out} --replicates 2" in page
    assert "held-out.md" in page
