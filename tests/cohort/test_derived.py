from pathlib import Path

import pytest

from hccfeat.cohort.derived import FORMULAS, albi_grade, albi_score, derive, fib4
from hccfeat.cohort.descriptions import CohortDescription, ColumnMap, Derivation, Variable
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.ingest import ClinicalTable
from hccfeat.errors import ConfigError
from hccfeat.study import init_study
from tests.cohort.tables import ingest, write_table

HEADER = "patient_id,age,ast,alt,platelets,albumin,total_bilirubin"
NAMES = ("albi_score", "albi_grade", "fib4")


@pytest.mark.parametrize(
    ("albumin", "bilirubin", "score", "grade"),
    [
        (40, 10, -2.74, 1),  # 0.66 x 1 - 3.4
        (36, 10, -2.40, 2),  # 0.66 x 1 - 3.06
        (20, 100, -0.38, 3),  # 0.66 x 2 - 1.7
        (44, 1, -3.74, 1),
        # Within a hundredth of the published limits, -2.60 and -1.39.
        (38.4, 10, -2.604, 1),
        (38.3, 10, -2.5955, 2),
        (24.2, 10, -1.397, 2),
        (24.1, 10, -1.3885, 3),
    ],
)
def test_albi_by_hand(albumin: float, bilirubin: float, score: float, grade: int) -> None:
    assert albi_score(albumin, bilirubin) == pytest.approx(score, abs=1e-12)
    assert albi_grade(albumin, bilirubin) == grade


@pytest.mark.parametrize(
    ("age", "ast", "alt", "platelets", "index"),
    [
        (50, 40, 25, 200, 2.0),  # 2000 / (200 x 5)
        (60, 65, 36, 200, 3.25),  # 3900 / (200 x 6), at the upper limit
        (58, 40, 64, 200, 1.45),  # 2320 / (200 x 8), at the lower limit
        (70, 90, 49, 100, 9.0),  # 6300 / (100 x 7)
    ],
)
def test_fib4_by_hand(age: float, ast: float, alt: float, platelets: float, index: float) -> None:
    assert fib4(age, ast, alt, platelets) == pytest.approx(index, abs=1e-12)


def table_of(folder: Path, *rows: str, header: str = HEADER, **described: object) -> ClinicalTable:
    description = CohortDescription.model_validate(described) if described else None
    return ingest(write_table(folder / "c.csv", *rows, header=header), description)


def test_what_has_its_inputs_is_derived_and_listed(tmp_path: Path) -> None:
    table = table_of(tmp_path, "P1,50,40,25,200,40,10", "P2,60,65,36,200,20,100")
    assert table.derived == list(NAMES)
    values = [[row[name] for name in NAMES] for row in table.clinical]
    assert values[0] == pytest.approx([-2.74, 1, 2.0])
    assert values[1] == pytest.approx([-0.38, 3, 3.25])
    assert {name: table.clinical_columns[name] for name in NAMES} == dict.fromkeys(NAMES, "DOUBLE")
    assert table.cohort["note"].endswith("Derived here, not in the table: ALBI score, ALBI grade, FIB-4.")
    assert table.rejected == []


def test_missing_and_refused_inputs_give_no_value(tmp_path: Path) -> None:
    table = table_of(tmp_path, "P1,,40,25,200,40,", "P2,60,65,36,20000,900,100", "P3,60,65,36,200,20,10")
    assert [[row[name] for name in NAMES] for row in table.clinical[:2]] == [[None] * 3] * 2
    assert table.clinical[2]["fib4"] == pytest.approx(3.25)
    assert {row["column_name"] for row in table.rejected} == {"platelets", "albumin"}


def test_a_result_that_is_not_believed_is_missing_and_listed(tmp_path: Path) -> None:
    table = table_of(tmp_path, "P1,60,9000,36,5,40,10")
    assert table.clinical[0]["fib4"] is None
    assert table.clinical[0]["albi_grade"] == 1
    (row,) = table.rejected
    assert (row["row_number"], row["column_name"]) == (2, "fib4")
    assert "outside 0 to 200" in row["reason"]


def test_a_table_without_an_input_has_no_derived_column(tmp_path: Path) -> None:
    table = table_of(tmp_path, "P1,50,40,25", header="patient_id,age,ast,alt")
    assert table.derived == []
    assert not set(NAMES) & set(table.clinical_columns)
    assert "Derived" not in table.cohort["note"]


def test_the_tables_own_values_are_kept(tmp_path: Path) -> None:
    table = table_of(tmp_path, "P1,40,10,2", header="patient_id,albumin,total_bilirubin,albi_grade")
    assert table.derived == ["albi_score"]
    assert table.clinical[0]["albi_grade"] == 2  # the source says so; the formula would give 1


def test_units_are_converted_before_and_groups_are_no_numbers(tmp_path: Path) -> None:
    columns = {
        "albumin": ColumnMap(column="alb", factor=10),
        "total_bilirubin": ColumnMap(column="bili", factor=17.104),
        "age": ColumnMap(column="age"),
        "ast": ColumnMap(column="ast", unit="group", allowed=(1.0, 2.0)),
        "alt": ColumnMap(column="alt"),
        "platelets": ColumnMap(column="plt"),
    }
    table = table_of(
        tmp_path, "P1,3.4,2.1,50,1,25,200", header="patient_id,alb,bili,age,ast,alt,plt",
        title="mine", columns=columns,
    )  # fmt: skip
    assert table.derived == ["albi_score", "albi_grade"]
    # 2.1 mg/dL are 35.918 umol/L: 0.66 x 1.55532 - 2.89
    assert table.clinical[0]["albi_score"] == pytest.approx(-1.86349, abs=1e-5)
    assert table.clinical[0]["albi_grade"] == 2
    assert "fib4" not in table.clinical[0]


def test_every_derived_variable_of_the_dictionary_has_its_formula() -> None:
    variables = load_dictionary().variables
    assert {name for name, variable in variables.items() if variable.derived} == set(FORMULAS) == set(NAMES)
    for name, (inputs, _) in FORMULAS.items():
        assert variables[name].derived.inputs == inputs
        assert all(variables[item].type == "number" for item in inputs)
        assert variables[name].derived.source
    assert [variables[item].unit for item in ("albumin", "total_bilirubin", "platelets", "ast", "alt", "age")] == [
        "g/L", "umol/L", "10^9/L", "U/L", "U/L", "years",
    ]  # fmt: skip
    assert variables["fib4"].cut == 3.25


def test_a_study_cannot_invent_a_formula() -> None:
    mine = Variable(
        label="Mine", type="number", derived=Derivation(inputs=("age",), formula="twice the age", source="me")
    )
    with pytest.raises(ConfigError, match="no known formula"):
        derive([], {}, {"mine": mine})
    with pytest.raises(ValueError, match="is a number"):
        Variable(label="x", type="flag", derived=mine.derived)


def test_they_are_columns_of_the_catalog_with_their_meaning(tmp_path: Path) -> None:
    study = init_study(tmp_path / "study", name="s")
    study.ingest("internal", write_table(tmp_path / "c.csv", "P1,50,40,25,200,40,10", "P2,,,,,,", header=HEADER))
    found = study.sql("SELECT albi_grade, fib4 FROM clinical ORDER BY patient_id")
    assert found.rows() == [(1.0, 2.0), (None, None)]
    comments = study.sql("SELECT column_name, comment FROM duckdb_columns() WHERE column_name = 'fib4'")
    assert "Index of liver fibrosis" in comments["comment"][0]
    assert "Derived from age, ast, alt, platelets" in comments["comment"][0]
