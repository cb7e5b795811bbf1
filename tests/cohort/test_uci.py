"""The UCI data set: 49 real items without header and ids, some of them in two units."""

import re
from collections import Counter
from math import log10
from pathlib import Path

import pytest

from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.ingest import ClinicalTable, validate
from hccfeat.cohort.readers import read_table
from hccfeat.study import init_study

pytestmark = pytest.mark.real_data

REFUSED = {
    "ALP": 1.28, "Ferritin": 0.0, "Iron": 0.0, "Packs/year": 510.0, "Platelets": 1.71, "Sat": 126.0, "TP": 168.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "uci_hcc"


@pytest.fixture(scope="module")
def table(folder: Path) -> ClinicalTable:
    dictionary = load_dictionary()
    description = dictionary.cohort("uci-hcc")
    return validate(read_table(folder / "hcc-data.txt", "plain", description), description, dictionary, "uci-hcc")


def raw_columns(folder: Path) -> dict[str, list[str]]:
    rows = [line.split(",") for line in (folder / "hcc-data.txt").read_text().split()]
    header = load_dictionary().cohorts["uci-hcc"].header
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def test_every_patient_and_item_is_taken(table: ClinicalTable) -> None:
    assert [row["patient_id"] for row in table.patients] == [f"uci-hcc/{k}" for k in range(1, 166)]
    assert len(table.clinical_columns) == 50 + len(table.derived)
    assert table.unused_columns == []
    assert table.outcomes == []
    lived = Counter(row["survived_1y"] for row in table.clinical)
    assert lived == {False: 63, True: 102}


def test_missing_shares_are_those_of_the_source(folder: Path) -> None:
    columns = raw_columns(folder)
    items = {name: column for name, column in columns.items() if name != "Class"}
    missing = sum(column.count("?") for column in items.values())
    assert round(100 * missing / (49 * 165), 2) == 10.22
    text = (folder / "hcc-description.txt").read_text(encoding="latin-1")
    text = text[text.index("7. Attribute Information") : text.index("Class Attribute")]
    printed = [
        float(m) for m in re.findall(r"^.*(?:nominal|integer|ordinal|continuous)[^\n]*?([\d.]+)\s*\\", text, re.M)
    ]
    assert len(printed) == 49
    for (name, column), share in zip(items.items(), printed, strict=True):
        # The source prints 10.3 and the like, and cuts some shares instead of rounding them.
        assert abs(100 * column.count("?") / 165 - share) < 0.01, name


def test_what_is_missing_is_what_the_source_lacks_and_what_is_refused(table: ClinicalTable, folder: Path) -> None:
    columns, description = raw_columns(folder), load_dictionary().cohorts["uci-hcc"]
    refused = Counter(row["column_name"] for row in table.rejected if "kept as" not in row["reason"])
    assert refused == Counter({**dict.fromkeys(REFUSED, 1), "Sat": 2})
    for name, column in description.columns.items():
        empty = sum(row[name] is None for row in table.clinical)
        assert empty == columns[column.column].count("?") + refused[column.column], name
    for column, value in REFUSED.items():
        assert any(
            f"is {value:g}, outside" in row["reason"] for row in table.rejected if row["column_name"] == column
        )


def test_mixed_units_are_converted_and_listed(table: ClinicalTable, folder: Path) -> None:
    columns = raw_columns(folder)
    kept = Counter(row["column_name"] for row in table.rejected if "kept as" in row["reason"])
    above = {"Leucocytes": 500, "Platelets": 2000, "TP": 20}
    assert kept == {
        name: sum(value != "?" and float(value) > limit for value in columns[name]) for name, limit in above.items()
    }
    assert kept == {"Leucocytes": 38, "Platelets": 115, "TP": 5}
    values = {
        name: [row[name] for row in table.clinical if row[name] is not None] for name in table.clinical_columns
    }
    assert (min(values["leukocytes"]), max(values["leukocytes"])) == (2.1, 44.6)
    assert (min(values["platelets"]), max(values["platelets"])) == (38.0, 561.0)
    assert (min(values["total_protein"]), max(values["total_protein"])) == (37.0, 102.0)
    assert 19 <= min(values["albumin"]) <= max(values["albumin"]) <= 49
    assert min(values["creatinine"]) == pytest.approx(0.2 * 88.42)
    assert max(values["total_bilirubin"]) == pytest.approx(40.5 * 17.104)


def test_albi_and_fib4_are_derived_from_converted_units(table: ClinicalTable, folder: Path) -> None:
    assert table.derived == ["albi_score", "albi_grade", "fib4"]
    # Row 1: albumin 3.4 g/dL, bilirubin 2.1 mg/dL, age 67, AST 41, ALT 34, platelets 99.
    first = table.clinical[0]
    assert first["albi_score"] == pytest.approx(-1.8635, abs=1e-4)
    assert (first["albi_grade"], first["fib4"]) == (2, pytest.approx(4.7587, abs=1e-4))
    assert Counter(row["albi_grade"] for row in table.clinical)[None] == sum(
        row["albumin"] is None or row["total_bilirubin"] is None for row in table.clinical
    )
    columns = raw_columns(folder)
    for row, albumin, bilirubin in zip(table.clinical, columns["Albumin"], columns["Total Bil"], strict=True):
        if row["albi_score"] is not None:
            by_hand = 0.66 * log10(float(bilirubin) * 17.104) - 0.85 * float(albumin)
            assert row["albi_score"] == pytest.approx(by_hand)
            assert (row["albi_grade"] == 1) == (by_hand <= -2.60)
            assert (row["albi_grade"] == 3) == (by_hand > -1.39)


def test_it_is_ingested_and_analysed_with_an_endpoint_of_ones_own(folder: Path, tmp_path: Path) -> None:
    study = init_study(tmp_path / "study", name="uci")
    endpoint = study.folder / "data_catalog" / "endpoints" / "died.toml"
    endpoint.parent.mkdir(parents=True)
    endpoint.write_text(
        'label = "Died within a year"\nvariable = "survived_1y"\npositive = [false]\nexclusion = "none"\n'
    )
    summary = study.ingest("uci-hcc", folder / "hcc-data.txt")
    assert summary.patients == 165
    found = study.analyze(("died",))
    fair = [row for row in found.headline if row["model"] == "clinical_logistic"]
    assert [row["split"] for row in fair] == ["cross_validation"]
    assert 0.5 < fair[0]["estimate"] < 1
    stored = study.sql("SELECT count(*) AS n FROM rejected_row WHERE reason LIKE '%kept as%'")
    assert stored["n"].to_list() == [158]
