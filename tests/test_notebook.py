"""The notebook answers its five questions on a study, run as anyone would run it: as a plain script."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebooks" / "five_questions.py"
ANSWERS = ("coverage", "recurrence", "neighbours", "unusual_patches", "cohort_guesses")
DRIVER = f"""
import json, runpy, sys
sys.argv = sys.argv[1:]
_, answers = runpy.run_path(sys.argv[0])["app"].run()
print(json.dumps({{name: answers[name].to_dicts() for name in {ANSWERS!r}}}))
"""


@pytest.fixture(scope="module")
def answers(extracted_study: Path) -> dict[str, list[dict[str, object]]]:
    pytest.importorskip("marimo", reason="marimo is not installed (pip install -e '.[dev]')")
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(NOTEBOOK), "--study", str(extracted_study)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


def test_every_question_has_an_answer(answers: dict[str, list[dict[str, object]]], extracted_study: Path) -> None:
    from hccfeat import open_study

    assert all(answers.values())
    assert {row["cohort"] for row in answers["coverage"]} == {"internal", "external"}
    assert all(row["missing"] == 0 for row in answers["coverage"] if row["feature_set"] == "pps-1")
    images = open_study(extracted_study).sql("SELECT count(*) AS n FROM image_pps")["n"][0]
    assert len(answers["neighbours"]) == images
    assert all(row["image_id"] != row["nearest"] for row in answers["neighbours"])
    distances = [row["distance"] for row in answers["unusual_patches"]]
    assert distances == sorted(distances, reverse=True)
    assert all(0 <= row["guessed_rightly"] <= 1 for row in answers["cohort_guesses"])


def test_the_notebook_is_plain_python_with_five_questions() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    ast.parse(text)
    assert [f"## {number}." in text for number in range(1, 7)] == [True] * 5 + [False]
    assert "outputs" not in text
