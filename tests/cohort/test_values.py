import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hccfeat.cohort.descriptions import ColumnMap, Variable
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.values import FLAGS, conversion, is_missing, parse_flag, parse_number, parse_value

VARIABLES = load_dictionary().variables


@pytest.mark.parametrize(
    "text", ["", "  ", "'--", "NaN", "nan", "NA", "N/A", "#N/A", "[Not Available]", "Unknown", None]
)
def test_missing_texts(text):
    assert is_missing(text)


@pytest.mark.parametrize("text", ["0", "none", "-", "no"])
def test_texts_that_are_values(text):
    assert not is_missing(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_back(number):
    assert parse_number(repr(number)) == number


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(exclude_categories=("Nd",)), min_size=1))
def test_a_text_without_digits_is_refused_and_not_repeated(text):
    marked = f"Smith {text} Smith"
    with pytest.raises(ValueError, match="number") as caught:
        parse_number(marked)
    assert "Smith" not in str(caught.value)


@pytest.mark.parametrize("text", ["1_000", "inf", "1e999", "0x10", "<5", "5,3", "Mr Smith", "١٢"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match="number"):
        parse_number(text)


def test_a_decimal_comma_is_named():
    with pytest.raises(ValueError, match="decimal comma"):
        parse_number("5,3")


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("1.0", True), ("Yes", True), ("0.0", False), ("NEG", False)]
)
def test_flags(text, value):
    assert parse_flag(text, FLAGS) is value


@pytest.mark.parametrize("text", ["2", "maybe", "-1", "0.5"])
def test_what_is_no_flag(text):
    with pytest.raises(ValueError, match="code"):
        parse_flag(text, FLAGS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("bclc", "0", 0.0),
        ("bclc", "a", 1.0),
        ("bclc", "C", 3.0),
        ("bclc", "II", 2.0),
        ("sex", "MALE", "male"),
        ("treatment", "None", "none"),
        ("vascular_invasion", "micro", True),
        ("vascular_invasion", "none", False),
        ("ajcc_stage", "Stage IIIA", 3.0),
        ("afp", "1.5e3", 1500.0),
    ],
)
def test_values_of_the_dictionary(name, text, value):
    found = parse_value(text, VARIABLES[name])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("tumour_size", "53", r"53, outside 0\.1 to 35 cm \(another unit\?\)"),
        ("bclc", "E", "not a number"),
        ("bclc", "1.5", "possible are"),
        ("sex", "x", "female, male"),
        ("age", "-1", "outside"),
    ],
)
def test_values_that_are_refused(name, text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_value(text, VARIABLES[name])


def test_a_factor_converts_before_the_range_is_checked():
    millimetres = VARIABLES["tumour_size"].model_copy(update={"factor": 0.1})
    assert parse_value("53", millimetres) == pytest.approx(5.3)


def test_a_number_in_another_unit_is_converted_and_told():
    other = {"above": 500, "unit": "1/uL", "factor": 0.001}
    column = ColumnMap.model_validate({"column": "WBC", "other_unit": other})
    recorded = column.applied_to(VARIABLES["leukocytes"])
    assert parse_value("5200", recorded) == 5.2
    assert conversion("5200", recorded) == "is 5200, above 500: read as 1/uL, kept as 5.2"
    assert (parse_value("5.2", recorded), conversion("5.2", recorded)) == (5.2, "")
    assert conversion("5200", VARIABLES["leukocytes"]) == ""
    with pytest.raises(ValueError, match="outside"):
        parse_value("500000", recorded)


def test_a_flag_has_no_other_unit():
    with pytest.raises(ValidationError, match="belong to numbers"):
        Variable(label="x", type="flag", other_unit={"above": 1, "unit": "u", "factor": 2})
