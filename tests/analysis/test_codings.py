from pathlib import Path

import polars as pl
import pytest

from hccfeat.analysis.codings import Coding, load_codings
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.reproduction.printed import printed

CLINICAL = pl.DataFrame(
    {
        "age": [49.0, 50.0, 51.0, None],
        "sex": ["male", "female", None, "male"],
        "hbsag": [True, False, None, True],
        "afp": [20.0, 20.1, None, 0.0],
        "tumour_size": [4.9, 5.0, 5.1, None],
        "bclc": [0.0, 1.0, 2.0, None],
        "vascular_invasion": [False, True, True, None],
    }
)


def test_the_two_tables_differ_at_the_cut_points_and_only_there() -> None:
    codings = load_codings()
    coded = [
        {coding.variable: coding.coded(CLINICAL).to_list() for coding in table}
        for table in (codings.table1, codings.table4)
    ]
    assert coded[0]["age"] == [False, False, True, None]
    assert coded[1]["age"] == [False, True, True, None]
    assert coded[0]["tumour_size"] == [False, False, True, None]
    assert coded[1]["tumour_size"] == [False, True, True, None]
    for name in ("sex", "hbsag", "afp", "bclc", "vascular_invasion"):
        assert coded[0][name] == coded[1][name]
    assert coded[0]["bclc"] == [False, False, True, None]
    assert coded[0]["sex"] == [True, False, None, True]
    assert coded[0]["afp"] == [False, True, None, False]


@pytest.mark.parametrize("table", ["table1", "table4"])
def test_every_coding_has_printed_counts_and_a_variable_of_the_dictionary(table: str) -> None:
    for coding in getattr(load_codings(), table):
        assert coding.variable in load_dictionary().variables
        counts = [printed(table, f"{coding.variable} {level}") for level in (coding.yes, coding.no)]
        assert [sum(pair) for pair in zip(*counts, strict=True)] == printed(table, "n")


def test_a_variable_that_is_not_recorded_is_missing_for_everyone() -> None:
    coding = load_codings().table1[0]
    assert coding.coded(CLINICAL.drop("age")).to_list() == [None] * 4


def test_a_variable_of_another_type_is_named() -> None:
    coding = next(coding for coding in load_codings().table1 if coding.variable == "tumour_size")
    with pytest.raises(AnalysisError, match="tumour_size"):
        coding.coded(pl.DataFrame({"tumour_size": [["large"]]}))


def test_a_coding_has_exactly_one_rule() -> None:
    with pytest.raises(ValueError, match="one of above"):
        Coding(variable="age", label="Age", yes="a", no="b", above=1, at_least=1)


def test_a_study_can_bring_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "data_catalog" / "codings"
    folder.mkdir(parents=True)
    own = '[[table1]]\nvariable = "age"\nlabel = "Age"\nabove = 60\nyes = "> 60"\nno = "<= 60"\n'
    (folder / "recurrence.toml").write_text(own + own.replace("table1", "table4"))
    assert [coding.above for coding in load_codings(tmp_path).table1] == [60]
    (folder / "recurrence.toml").write_text(own)
    with pytest.raises(ConfigError, match="table4"):
        load_codings(tmp_path)
