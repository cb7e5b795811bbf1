"""What the report says of a cohort: baseline characteristics in the units that the cohort records."""

from pathlib import Path

from hccfeat.cohort.described import recorded_variables
from hccfeat.report.collect import baseline_rows
from hccfeat.study import init_study

GROUPS = """
[columns]
afp = { column = "afp", unit = "group", allowed = [1, 2], cut = 1 }
alt = { column = "alt" }
bclc = { column = "stage" }
age = { column = "age" }
"""
TABLE = """patient_id,recurrence_months,recurrence_event,afp,alt,stage,age
a,10,1,1,high,A,50
b,20,0,2,low,B,60
c,30,1,2,high,I,
"""


def test_groups_and_stages_are_counted_and_numbers_have_units(tmp_path: Path) -> None:
    study = init_study(tmp_path / "study", name="s", cohort="unit")
    description = study.folder / "data_catalog" / "cohorts" / "unit.toml"
    description.parent.mkdir(parents=True, exist_ok=True)
    description.write_text(GROUPS)
    (tmp_path / "clinical.csv").write_text(TABLE)
    assert len(study.ingest("unit", tmp_path / "clinical.csv").problems) == 3
    variables = recorded_variables(study.folder, "unit")
    assert (variables["afp"].unit, variables["afp"].cut, variables["alt"].unit) == ("group", 1, "U/L")
    rows = baseline_rows(study.folder, study.config, ["unit"], variables)
    shown = {(row["variable"], row["level"]): row["unit"] for row in rows}
    assert shown == {
        ("Patients", ""): "3",
        ("ALT, U/L", "missing"): "3",
        ("AFP, group", "1"): "1 (33 %)",
        ("AFP, group", "2"): "2 (67 %)",
        ("BCLC stage", "1 (A, I)"): "2 (67 %)",
        ("BCLC stage", "2 (B, II)"): "1 (33 %)",
        ("Age, years", "median (quartiles)"): "55 (52.5 to 57.5)",
        ("Age, years", "missing"): "1",
        **{(name, "missing"): "3" for name in ("HBsAg", "Tumour size, cm", "Vascular invasion")},
    }
