import json

import polars as pl
import pytest

from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.endpoints import label
from hccfeat.cohort.ingest import validate
from hccfeat.cohort.readers import read_table
from hccfeat.errors import InputError

GDC_HEADER = [
    "cases.submitter_id",
    "diagnoses.classification_of_tumor",
    "demographic.vital_status",
    "demographic.days_to_death",
    "diagnoses.days_to_last_follow_up",
    "demographic.age_at_index",
    "demographic.gender",
    "diagnoses.ajcc_pathologic_stage",
    "diagnoses.tumor_grade",
    "diagnoses.child_pugh_classification",
]
CDR_COUNTS = {"os": (376, 132), "dss": (367, 80), "dfi": (322, 147), "pfi": (376, 185)}
CDR_USABLE = {"os": (370, 131), "dss": (361, 80), "dfi": (318, 146), "pfi": (371, 184)}


def read(path, cohort, table_format=None):
    dictionary = load_dictionary()
    description = dictionary.cohort(cohort, table_format)
    return validate(read_table(path, description.format, description), description, dictionary, cohort)


def gdc(path, *rows, header=GDC_HEADER):
    lines = ["\t".join(header), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def case(name, tumour="primary", status="Alive", death="'--", contact="365.25", stage="Stage I"):
    return [name, tumour, status, death, contact, "60", "male", stage, "G2", "A"]


def test_gdc_takes_one_row_per_case_from_the_primary_diagnosis(tmp_path):
    path = gdc(
        tmp_path / "clinical.tsv",
        case("A", "recurrence", contact="1", stage="Stage IV"),
        case("A", stage="'--"),
        case("A", stage="Stage II"),
        case("B", status="Dead", death="730.5", contact="5"),
    )
    table = read(path, "t", "gdc")
    assert [row["ajcc_stage"] for row in table.clinical] == [2.0, 1.0]
    assert [(row["months"], row["event"]) for row in table.outcomes] == [(12.0, False), (24.0, True)]
    assert table.rejected == []
    step = next(row for row in table.attrition if row["step"].startswith("cases"))
    assert (step["n"], step["excluded"]) == (2, 2)


def test_gdc_without_a_primary_diagnosis_believes_all_rows(tmp_path):
    table = read(gdc(tmp_path / "clinical.tsv", case("A", "recurrence", stage="Stage III")), "t", "gdc")
    assert table.clinical[0]["ajcc_stage"] == 3.0


def test_gdc_rows_that_disagree_give_a_missing_value_and_a_reason(tmp_path):
    path = gdc(tmp_path / "clinical.tsv", case("A", stage="Stage II"), case("A", stage="Stage III"))
    table = read(path, "t", "gdc")
    assert table.clinical[0]["ajcc_stage"] is None
    assert [(row["row_number"], row["column_name"]) for row in table.rejected] == [
        (2, "diagnoses.ajcc_pathologic_stage")
    ]
    assert "2 different values" in table.rejected[0]["reason"]


def test_gdc_companion_adds_vascular_invasion(tmp_path):
    path = gdc(tmp_path / "clinical.tsv", case("A"), case("B"), case("C"))
    (tmp_path / "pathology_detail.tsv").write_text(
        "cases.submitter_id\tpathology_details.vascular_invasion_present\nA\tYes\nB\tNot Reported\n"
    )
    table = read(path, "t", "gdc")
    assert [row["vascular_invasion"] for row in table.clinical] == [True, None, None]
    assert "pathology_detail.tsv" in table.cohort["note"]
    assert table.rejected == []


def test_another_table_is_not_taken_for_gdc(tmp_path):
    path = gdc(tmp_path / "clinical.tsv", ["A", "1"], header=["case", "age"])
    with pytest.raises(InputError, match=r"lacks the columns cases\.submitter_id"):
        read(path, "t", "gdc")


def test_a_cdr_file_of_another_cancer_is_an_error(tmp_path):
    path = tmp_path / "cdr.csv"
    path.write_text("bcr_patient_barcode,type\nTCGA-A,BRCA\n")
    with pytest.raises(InputError, match="no row where type is LIHC"):
        read(path, "t", "tcga-cdr")


def test_a_broken_workbook_names_file_and_remedy(tmp_path):
    path = tmp_path / "TCGA-CDR.xlsx"
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match="TCGA-CDR") as caught:
        read(path, "t", "tcga-cdr")
    assert caught.value.entity == str(path)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "none.xlsx", "t", "tcga-cdr")


@pytest.mark.real_data
def test_real_gdc_export(real_data):
    table = read(real_data / "tcga_lihc" / "gdc_2025-12" / "clinical.tsv", "tcga_lihc", "gdc")
    assert len(table.patients) == 377
    (count,) = table.outcome_counts
    assert (count.outcome, count.recorded, count.recorded_events) == ("os", 376, 132)
    assert (count.usable, count.usable_events) == (372, 132)
    clinical = pl.DataFrame(table.clinical, infer_schema_length=None)
    assert clinical["vascular_invasion"].value_counts().sort("vascular_invasion")["count"].to_list() == [
        56,
        210,
        111,
    ]
    assert clinical["age"].null_count() == 1
    assert clinical["ajcc_stage"].null_count() == 24
    assert {row["reason"] for row in table.rejected} == {
        "status recorded without a time",
        "survival time is zero: no follow-up",
    }


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["TCGA-CDR.xlsx", "derived/tcga_cdr_lihc.csv"])
def test_real_tcga_cdr(real_data, name):
    table = read(real_data / "tcga_lihc" / name, "tcga-cdr")
    assert len(table.patients) == 377
    counts = {count.outcome: count for count in table.outcome_counts}
    assert {key: (c.recorded, c.recorded_events) for key, c in counts.items()} == CDR_COUNTS
    assert {key: (c.usable, c.usable_events) for key, c in counts.items()} == CDR_USABLE
    zero, redacted = "survival time is zero: no follow-up", "patient withdrawn by the source (redacted)"
    assert counts["os"].reasons == {zero: 5, redacted: 1}
    steps = [row["step"] for row in table.attrition]
    assert "pfi: event and time recorded (185 events)" in steps
    assert "pfi: usable (184 events)" in steps
    by_outcome = pl.DataFrame(table.outcomes).group_by("outcome").agg(pl.len(), pl.col("event").sum())
    found = {outcome: (n, events) for outcome, n, events in by_outcome.rows()}
    assert found == CDR_USABLE | {"recurrence": CDR_USABLE["pfi"]}


@pytest.mark.real_data
def test_both_files_of_tcga_cdr_agree(real_data):
    workbook = read(real_data / "tcga_lihc" / "TCGA-CDR.xlsx", "tcga-cdr")
    extract = read(real_data / "tcga_lihc" / "derived" / "tcga_cdr_lihc.csv", "tcga-cdr")
    assert workbook.clinical == extract.clinical
    assert workbook.outcomes == extract.outcomes


@pytest.mark.real_data
def test_real_li2014_keeps_the_sources_coding(real_data, reference):
    table = read(real_data / "hcc_li2014" / "hepatoCellular.csv", "hcc_li2014")
    raw = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv", infer_schema=False)
    assert len(table.patients) == 227
    assert table.rejected == []
    clinical = pl.DataFrame(table.clinical)
    columns = {
        "age": "Age",
        "hbsag": "HBsAg",
        "alt": "ALT",
        "afp": "AFP",
        "tumour_size": "Tumorsize",
        "bclc": "BCLC",
        "vascular_invasion": "Vascularinvasion",
    }
    for variable, column in columns.items():
        assert clinical[variable].cast(pl.Float64).to_list() == raw[column].cast(pl.Float64).to_list()
    outcomes = pl.DataFrame(table.outcomes)
    assert outcomes.group_by("outcome").agg(pl.col("event").sum()).sort("outcome").rows() == [
        ("os", 97),
        ("recurrence", 143),
    ]
    labels = label(load_dictionary().endpoint("1y"), outcomes)
    expected = json.loads((reference / "r_reference.json").read_text())["endpoint_12m"]
    assert labels["y"].drop_nulls().len() == expected["n"]
    assert labels["y"].sum() == expected["events"]
    assert labels["excluded"].drop_nulls().len() == expected["excluded"]
