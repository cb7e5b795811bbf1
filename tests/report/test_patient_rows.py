from dataclasses import replace
from pathlib import Path

from hccfeat.config import load_study_config
from hccfeat.report.patient_rows import patient_files
from tests.report.sample import full_report


def test_no_row_about_a_patient_unless_asked_for() -> None:
    assert patient_files(full_report()) == {}


def test_risks_by_patient_where_asked_for() -> None:
    report = replace(full_report(), patient_rows=True)
    lines = patient_files(report)["predictions.csv"].splitlines()
    assert lines[0] == "endpoint,cohort,split,model,patient_id,risk,probability"
    assert len(lines) == 1 + sum(len(result.predictions) for result in report.endpoints)
    assert lines[1].startswith("1y,internal,apparent,pps_mlp,internal/SECRET0000,")


def test_the_study_file_asks_for_them(tmp_path: Path) -> None:
    (tmp_path / "hccfeat.toml").write_text('name = "a"\n')
    assert load_study_config(tmp_path).report.patient_rows is False
    (tmp_path / "hccfeat.toml").write_text(
        'name = "a"\n[report]\npatient_rows = true\n[statement]\nethics = "Committee of A, 2020-1"\n'
    )
    config = load_study_config(tmp_path)
    assert config.report.patient_rows is True
    assert config.statement.ethics == "Committee of A, 2020-1"
    assert config.statement.funding == ""
