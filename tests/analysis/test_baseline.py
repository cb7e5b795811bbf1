import polars as pl
import pytest

from hccfeat.analysis.baseline import compare_coded, compare_numbers
from hccfeat.analysis.codings import load_codings
from hccfeat.reproduction.printed import printed
from hccfeat.stats.contingency import FISHER


def rebuilt(group: int) -> pl.DataFrame:
    """Patients with the printed counts of Table 4, each variable filled up on its own."""
    values = {
        "age": (60.0, 40.0),
        "sex": ("male", "female"),
        "hbsag": (True, False),
        "afp": (400.0, 3.0),
        "tumour_size": (5.0, 4.9),
        "bclc": (2.0, 1.0),
        "vascular_invasion": (True, False),
    }
    columns = {}
    for coding in load_codings().table4:
        yes, no = (printed("table4", f"{coding.variable} {level}")[group] for level in (coding.yes, coding.no))
        high, low = values[coding.variable]
        columns[coding.variable] = [high] * yes + [low] * no
    return pl.DataFrame(columns)


def test_patients_like_those_of_table_4_give_its_p_values() -> None:
    rows = compare_coded(rebuilt(0), rebuilt(1), load_codings().table4)
    assert [row.coding.variable for row in rows] == list(printed("table4", "p"))
    for row in rows:
        assert row.test.p == pytest.approx(printed("table4", "p", row.coding.variable), abs=0.00051)
        yes = printed("table4", f"{row.coding.variable} {row.coding.yes}")
        assert [row.counts[k][0] for k in (0, 1)] == yes
        assert row.smd.value is not None
        assert (row.smd.value > 0) == (yes[0] / 31 > yes[1] / 48)


def test_missing_values_leave_their_row_only() -> None:
    first = rebuilt(0).with_columns(afp=pl.when(pl.int_range(31) < 4).then(None).otherwise(pl.col("afp")))
    rows = {row.coding.variable: row for row in compare_coded(first, rebuilt(1), load_codings().table4)}
    assert rows["afp"].missing == (4, 0)
    assert sum(rows["afp"].counts[0]) == 27
    assert rows["age"].missing == (0, 0)


def test_empty_groups_and_unrecorded_variables_give_reasons() -> None:
    some = rebuilt(0)
    for row in compare_coded(some.head(0), some.head(1), load_codings().table4):
        assert row.test.p is None
        assert row.test.reason == "a group has no patients"
        assert row.smd.value is None
    rows = compare_coded(some.drop("afp"), some.drop("afp"), load_codings().table4)
    afp = next(row for row in rows if row.coding.variable == "afp")
    assert (afp.missing, afp.test.test, afp.test.p) == ((31, 31), FISHER, None)


def test_numbers_are_compared_as_recorded() -> None:
    first, second = rebuilt(0), rebuilt(1)
    rows = compare_numbers(first, second, {"age": "Age", "alt": "ALT", "sex": "Sex"})
    assert [row.variable for row in rows] == ["age"]
    assert rows[0].quartiles[0] == (40.0, 40.0, 60.0)
    assert rows[0].test.n == (31, 48)
    assert rows[0].smd.value > 0
    empty = compare_numbers(first.head(0), second, {"age": "Age"})[0]
    assert empty.quartiles[0] is None
    assert empty.test.reason
