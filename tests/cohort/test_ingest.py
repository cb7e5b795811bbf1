import math

import pytest

from hccfeat.cohort.descriptions import CohortDescription, ColumnMap
from hccfeat.cohort.ingest import write_rejected
from hccfeat.errors import InputError
from tests.cohort.tables import GOOD, ingest, write_table


def test_a_plain_table_becomes_rows_of_the_catalog(tmp_path):
    table = ingest(write_table(tmp_path / "clinical.csv", *GOOD))
    assert table.patient_ids == {"internal/P1", "internal/P2", "internal/P3"}
    assert [row["treatment"] for row in table.patients] == ["none", "sorafenib", None]
    assert table.clinical[0] == {
        "patient_id": "internal/P1",
        "age": 60.0,
        "sex": "male",
        "hbsag": True,
        "alt": 35.0,
        "afp": 400.5,
        "tumour_size": 4.2,
        "bclc": 1.0,
        "vascular_invasion": False,
    }
    assert table.clinical[2]["afp"] is None
    assert table.clinical_columns["hbsag"] == "BOOLEAN"
    assert table.clinical_columns["bclc"] == "DOUBLE"
    assert "treatment" not in table.clinical_columns
    assert {"patient_id": "internal/P1", "outcome": "recurrence", "months": 10.0, "event": True} in table.outcomes
    assert len(table.outcomes) == 6
    assert table.rejected == []
    assert table.cohort["simulated"] is True
    assert len(table.cohort["source_sha256"]) == 64
    assert table.unused_columns == []
    assert [row["step_number"] for row in table.attrition] == list(range(1, len(table.attrition) + 1))


def test_a_real_cohort_is_not_called_simulated(tmp_path):
    table = ingest(write_table(tmp_path / "c.csv", "P1,3", header="patient_id,notes"))
    assert table.cohort["simulated"] is False
    assert table.unused_columns == ["notes"]
    assert table.outcomes == []


@pytest.mark.parametrize("text", ["NaN", "", "'--", "nan", "[Not Available]", "#N/A"])
def test_missing_is_none_and_never_nan(tmp_path, text):
    table = ingest(write_table(tmp_path / "c.csv", f"P1,{text},{text}", header="patient_id,afp,hbsag"))
    assert table.clinical == [{"patient_id": "internal/P1", "afp": None, "hbsag": None}]
    assert table.rejected == []
    assert not any(isinstance(value, float) and math.isnan(value) for value in table.clinical[0].values())


def test_bad_values_become_missing_with_a_reason_and_the_row_stays(tmp_path):
    bad = "P1,200,male,maybe,high,400,53,A,0,none,10,1,20,1,1"
    table = ingest(write_table(tmp_path / "c.csv", bad, *GOOD[1:]))
    assert [table.clinical[0][name] for name in ("age", "hbsag", "alt", "tumour_size")] == [None] * 4
    assert table.clinical[0]["afp"] == 400.0
    reasons = {row["column_name"]: row["reason"] for row in table.rejected}
    assert set(reasons) == {"age", "hbsag", "alt", "tumour_size"}
    assert "another unit?" in reasons["tumour_size"]
    assert {row["row_number"] for row in table.rejected} == {2}
    assert "high" not in reasons["alt"]
    assert len(table.patients) == 3


def test_every_row_of_a_repeated_patient_is_rejected(tmp_path):
    table = ingest(write_table(tmp_path / "c.csv", *GOOD, GOOD[0].replace("60", "61")))
    assert table.patient_ids == {"internal/P2", "internal/P3"}
    assert [row["row_number"] for row in table.rejected] == [2, 5]
    assert all("several rows (2, 5)" in row["reason"] for row in table.rejected)
    step = next(row for row in table.attrition if row["step"] == "patients")
    assert (step["n"], step["excluded"]) == (2, 2)


@pytest.mark.parametrize("name", ["", "NA", "a/b", "a\\b", "a\tb", "x" * 129])
def test_a_row_without_a_usable_id_is_rejected(tmp_path, name):
    row = GOOD[0].replace("P1", f'"{name}"')
    table = ingest(write_table(tmp_path / "c.csv", row, *GOOD[1:]))
    assert table.patient_ids == {"internal/P2", "internal/P3"}
    assert [(row["row_number"], row["column_name"]) for row in table.rejected] == [(2, "patient_id")]


def test_unicode_ids_are_composed(tmp_path):
    row = GOOD[0].replace("P1", "Mu\u0308ller 1")
    assert "internal/M\u00fcller 1" in ingest(write_table(tmp_path / "c.csv", row)).patient_ids


@pytest.mark.parametrize(
    ("months", "event", "reason"),
    [
        ("-1", "1", "negative"),
        ("0", "0", "zero"),
        ("soon", "1", "not a number"),
        ("nan", "1", "without a time"),
        ("500", "1", "another unit"),
        ("10", "2", "event flag"),
        ("10", "perhaps", "event flag"),
    ],
)
def test_a_bad_outcome_is_left_out_and_the_patient_stays(tmp_path, months, event, reason):
    row = f"P1,60,male,1,35,400,4,A,0,none,{months},{event},20,1,1"
    table = ingest(write_table(tmp_path / "c.csv", row, *GOOD[1:]))
    assert "internal/P1" in table.patient_ids
    found = [row["outcome"] for row in table.outcomes if row["patient_id"] == "internal/P1"]
    assert found == ["os"]
    assert [row["row_number"] for row in table.rejected] == [2]
    assert reason in table.rejected[0]["reason"]


def test_a_missing_event_is_not_recorded_and_no_error(tmp_path):
    table = ingest(write_table(tmp_path / "c.csv", GOOD[0].replace(",10,1,20", ",10,,20")))
    assert [row["outcome"] for row in table.outcomes] == ["os"]
    assert table.rejected == []
    step = next(row for row in table.attrition if row["step"].startswith("recurrence: event and time"))
    assert (step["n"], step["excluded"]) == (0, 1)


def test_days_in_a_column_of_months_are_an_error(tmp_path):
    rows = [f"P{i},60,male,1,35,400,4,A,0,none,{900 + i},1,{1000 + i},1,1" for i in range(4)]
    with pytest.raises(InputError, match=r"recurrence_months: 4 of 4.*480 months") as caught:
        ingest(write_table(tmp_path / "c.csv", *rows))
    assert "time_unit" in caught.value.remedy


def test_days_are_converted(tmp_path):
    header = "patient_id,os_days,os_event"
    path = write_table(tmp_path / "c.csv", "P1,365.25,1", header=header)
    table = ingest(path, CohortDescription(time_unit="days"))
    assert table.outcomes[0]["months"] == pytest.approx(12.0)


def test_half_an_outcome_is_an_error(tmp_path):
    with pytest.raises(InputError, match="os_months without os_event"):
        ingest(write_table(tmp_path / "c.csv", "P1,3", header="patient_id,os_months"))


def test_no_id_column_lists_the_columns(tmp_path):
    with pytest.raises(InputError, match=r"lacks the columns patient_id.*ID, age"):
        ingest(write_table(tmp_path / "c.csv", "1,3", header="ID,age"))


def test_no_usable_patient_is_an_error_with_the_reasons(tmp_path):
    with pytest.raises(InputError, match=r"no usable patient.*several rows \(2 rows\)"):
        ingest(write_table(tmp_path / "c.csv", GOOD[0], GOOD[0]))


def test_an_unknown_treatment_is_never_untreated(tmp_path):
    table = ingest(write_table(tmp_path / "c.csv", GOOD[0].replace("none", "TACE")))
    assert table.patients[0]["treatment"] == "other"
    assert "not untreated" in table.rejected[0]["reason"]


def test_a_described_table_lacking_a_column_is_an_error(tmp_path):
    description = CohortDescription(columns={"age": ColumnMap(column="Age")})
    path = write_table(tmp_path / "c.csv", "P1,3", header="patient_id,alter")
    with pytest.raises(InputError, match="lacks the columns Age"):
        ingest(path, description)


def test_an_optional_column_may_lack(tmp_path):
    description = CohortDescription(columns={"age": ColumnMap(column="Age", optional=True)})
    table = ingest(write_table(tmp_path / "c.csv", "P1,3", header="patient_id,x"), description)
    assert table.clinical == [{"patient_id": "internal/P1"}]


def test_a_cohorts_own_missing_text(tmp_path):
    path = write_table(tmp_path / "c.csv", "P1,-9", header="patient_id,age")
    assert ingest(path, CohortDescription(missing=("-9",))).rejected == []
    assert len(ingest(path, CohortDescription()).rejected) == 1


def test_validation_is_independent_of_the_order_of_rows(tmp_path):
    one = ingest(write_table(tmp_path / "a.csv", *GOOD))
    two = ingest(write_table(tmp_path / "b.csv", *reversed(GOOD)))
    assert sorted(map(str, one.clinical)) == sorted(map(str, two.clinical))
    assert sorted(map(str, one.outcomes)) == sorted(map(str, two.outcomes))


def test_the_rejected_rows_file_is_safe_in_a_spreadsheet(tmp_path):
    row = {"cohort": "a", "source_file": "=x.csv", "row_number": 2, "column_name": "", "reason": "no, id"}
    write_rejected(tmp_path / "deep" / "rejected.csv", [row])
    lines = (tmp_path / "deep" / "rejected.csv").read_text().splitlines()
    assert lines == ["cohort,source_file,row_number,column_name,reason", 'a,\'=x.csv,2,,"no, id"']


def test_identifiers_do_not_reach_the_reasons(tmp_path):
    rows = ["Anna Secret,Anna Secret,1", "Anna Secret,2,1", "P2,Ben Hidden,1"]
    table = ingest(write_table(tmp_path / "c.csv", *rows, header="patient_id,age,hbsag"))
    assert table.rejected
    assert not any("Secret" in str(row) or "Hidden" in str(row) for row in table.rejected)


def test_a_site_is_taken_from_its_own_column_or_the_described_one(tmp_path):
    path = write_table(tmp_path / "c.csv", "P1, Essen ,3", "P2,,4", header="patient_id,site,age")
    assert [row["site"] for row in ingest(path).clinical] == ["Essen", None]
    described = CohortDescription(columns={"site": ColumnMap(column="Klinik")})
    path = write_table(tmp_path / "d.csv", "P1,7", header="patient_id,Klinik")
    assert ingest(path, described).clinical == [{"patient_id": "internal/P1", "site": "7"}]
