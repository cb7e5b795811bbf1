"""The command line as a user meets it: help, errors, exit status, speed of start."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hccfeat.cli import VERBS, main

ROOT = Path(__file__).resolve().parents[2]
NAMES = [verb.replace("_", "-") for verb in VERBS]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hccfeat.cli import main; main(['--help'])\n"
        "heavy = {'torch', 'polars', 'pandas', 'duckdb', 'numpy', 'lightning', 'timm'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        assert name in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: hccfeat {name}" in " ".join(text.split())


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_is_in_the_readme(name: str) -> None:
    assert f"hccfeat {name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from hccfeat import __version__

    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", "--no-such-option"]) == 2
    assert "no-such-option" in capsys.readouterr().err


def test_no_study_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--study", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "hccfeat init" in message
    assert "Traceback" not in message


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    from hccfeat.errors import ConfigError

    with pytest.raises(ConfigError):
        main(["status", "--study", str(tmp_path), "--debug"])


def test_json_status_is_json(ingested_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--study", str(ingested_study), "--json"]) == 0
    sections = json.loads(capsys.readouterr().out)
    assert {row["cohort"] for row in sections["Cohorts"]} == {"internal", "external"}
    assert all(row["simulated"] for row in sections["Cohorts"])


@pytest.mark.parametrize(("layout", "expected"), [("csv", "cohort,n\nexternal,6\n"), ("json", '"n":6')])
def test_sql_formats(ingested_study: Path, capsys: pytest.CaptureFixture[str], layout: str, expected: str) -> None:
    query = "SELECT cohort, count(*) AS n FROM patient GROUP BY cohort ORDER BY cohort"
    assert main(["sql", query, "--study", str(ingested_study), "--format", layout]) == 0
    assert expected in capsys.readouterr().out


def test_sql_parquet_needs_a_file(ingested_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["sql", "SELECT * FROM patient", "--study", str(ingested_study), "--format", "parquet"]
    assert main(base) == 1
    assert "--out" in capsys.readouterr().err
    assert main([*base, "--out", str(tmp_path / "patient.parquet")]) == 0
    assert (tmp_path / "patient.parquet").stat().st_size > 0


def test_sql_from_a_file_and_by_name(
    ingested_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "question.sql"
    file.write_text("SELECT count(*) AS patients FROM patient")
    assert main(["sql", "--file", str(file), "--study", str(ingested_study), "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("patients\n")
    assert main(["sql", "coverage_by_cohort", "--study", str(ingested_study)]) == 0
    assert main(["sql", "patient", "--file", str(file), "--study", str(ingested_study)]) == 1


def test_sql_writes_are_refused(ingested_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "DELETE FROM patient", "--study", str(ingested_study)]) == 1
    assert re.search("SELECT", capsys.readouterr().err)


def test_simulate_refuses_a_full_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "something").touch()
    assert main(["simulate", str(tmp_path), "--preset", "tiny"]) == 1
    assert "new folder" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "new"), "--preset", "tiny", "--set", "pi=much"]) == 1
    assert "pi=much" in capsys.readouterr().err


def test_init_twice_and_bad_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "My Study"
    assert main(["init", "--study", str(study)]) == 0
    assert main(["init", "--study", str(study)]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["init", "--study", str(tmp_path / "b"), "--name", "Not A Slug"]) == 1
    assert main(["init", "--study", str(tmp_path / "c"), "--recipe", "nonsense"]) == 1
    assert "Known recipes" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_doctor_finds_the_installation_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    checks = {check["what"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["torch"]["state"] == "fine"
    assert checks["resources"]["state"] == "fine"


def test_a_study_of_mri_exams_alone_can_be_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hccfeat.study import open_study
    from tests.extraction.exam_files import clinical_table, write_exams

    patients = ["P1", "P2", "P3"]
    clinical_table(tmp_path / "clinical.csv", patients)
    write_exams(tmp_path / "mri", patients)
    study = str(tmp_path / "study")
    assert main(["init", "--study", study, "--cohort", "liver", "--mri-recipe", "mri-tiny"]) == 0
    config = open_study(study).config
    assert (config.development_cohort, config.mri_recipe, config.recipe) == ("liver", "mri-tiny", "paper")
    ingest = ["ingest", "--study", study, "--cohort", "liver", "--clinical", str(tmp_path / "clinical.csv")]
    assert main([*ingest, "--mri", str(tmp_path / "mri")]) == 0
    assert "3 patients, 0 images, 3 MRI exams." in capsys.readouterr().out
    (tmp_path / "mri" / "P2" / "HBP.nii.gz").unlink()
    assert main([*ingest, "--mri", str(tmp_path / "mri"), "--json"]) == 3
    summary = json.loads(capsys.readouterr().out)
    assert [item["problem"] for item in summary["problems"]] == ["phase HBP is missing"]
    assert main(["init", "--study", str(tmp_path / "b"), "--mri-recipe", "tiny"]) == 1
    assert main(["init", "--study", str(tmp_path / "c"), "--cohort", "Not A Slug"]) == 1
    assert not (tmp_path / "c").exists()
