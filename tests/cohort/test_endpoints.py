import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hccfeat.cohort.descriptions import Endpoint
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.endpoints import (
    CENSORED_BEFORE,
    DIED_BEFORE,
    NO_OUTCOME,
    SHORT_FOLLOW_UP,
    label,
    label_by_variable,
    literal_follow_up_exclusions,
)

ENDPOINTS = load_dictionary().endpoints
SCHEMA = {"patient_id": pl.String, "outcome": pl.String, "months": pl.Float64, "event": pl.Boolean}


def outcomes(**patients):
    """Patient -> (PFS, recurred, OS, died); None leaves the outcome out."""
    rows = []
    for name, (pfs, recurred, os_months, died) in patients.items():
        if pfs is not None:
            rows.append((name, "recurrence", pfs, recurred))
        if os_months is not None:
            rows.append((name, "os", os_months, died))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def one(endpoint, *patient, **options):
    return label(ENDPOINTS[endpoint], outcomes(p=patient), **options).row(0, named=True)


@pytest.mark.parametrize(
    ("endpoint", "patient", "expected"),
    [
        ("1y", (6.0, True, 40.0, False), (6.0, True, 1, None)),
        ("1y", (12.0, True, 40.0, False), (12.0, True, 1, None)),
        ("1y", (13.0, True, 40.0, False), (12.0, False, 0, None)),
        ("1y", (12.0, False, 12.0, False), (12.0, False, 0, None)),
        ("1y", (40.0, False, 40.0, True), (12.0, False, 0, None)),
        ("1y", (8.0, False, 8.0, True), (8.0, False, None, DIED_BEFORE)),
        ("1y", (8.0, False, 30.0, True), (8.0, False, None, CENSORED_BEFORE)),
        ("1y", (8.0, False, 30.0, False), (8.0, False, None, CENSORED_BEFORE)),
        ("1y", (8.0, False, None, None), (8.0, False, None, CENSORED_BEFORE)),
        ("1y", (None, None, 30.0, False), (None, None, None, NO_OUTCOME)),
        ("2y", (13.0, True, 40.0, False), (13.0, True, 1, None)),
        ("final", (13.0, True, 40.0, False), (13.0, True, 1, None)),
        ("final", (8.0, False, 8.0, True), (8.0, False, 0, None)),
        ("final", (8.0, False, 8.0, False), (8.0, False, 0, None)),
    ],
)
def test_rows_27_and_30(endpoint, patient, expected):
    row = one(endpoint, *patient)
    assert (row["time"], row["event"], row["y"], row["excluded"]) == expected


@pytest.mark.parametrize("endpoint", ["1y", "2y", "final"])
def test_row_27b_excludes_only_the_alive_and_recurrence_free(endpoint):
    short = one(endpoint, 20.0, False, 20.0, False, minimum_follow_up_months=24)
    assert (short["time"], short["event"], short["y"], short["excluded"]) == (None, None, None, SHORT_FOLLOW_UP)
    assert one(endpoint, 3.0, True, 10.0, False, minimum_follow_up_months=24)["excluded"] is None
    assert one(endpoint, 20.0, False, 20.0, True, minimum_follow_up_months=24)["time"] is not None
    assert one(endpoint, 24.0, False, 24.0, False, minimum_follow_up_months=24)["excluded"] is None


def test_the_literal_rule_also_drops_early_recurrences_and_deaths():
    frame = outcomes(
        early=(3.0, True, 10.0, False),
        dead=(9.0, False, 9.0, True),
        short=(20.0, False, 20.0, False),
        long=(3.0, True, 30.0, False),
    )
    labels = label(ENDPOINTS["final"], frame, minimum_follow_up_months=24)
    assert labels["excluded"].drop_nulls().len() == 1
    assert literal_follow_up_exclusions(ENDPOINTS["final"], frame, 24) == 3


def test_patients_without_any_outcome_are_listed_when_named():
    labels = label(ENDPOINTS["1y"], outcomes(a=(20.0, False, 20.0, False)), patients=["b", "a"])
    assert labels["patient_id"].to_list() == ["a", "b"]
    assert labels["excluded"].to_list() == [None, NO_OUTCOME]


def test_a_cohort_without_outcomes_has_no_labels():
    labels = label(ENDPOINTS["1y"], pl.DataFrame(schema=SCHEMA), patients=["a"])
    assert labels.rows() == [("a", None, None, None, NO_OUTCOME, None, None, None)]


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ((13.0, True, 40.0, True), (13.0, True, False)),
        ((40.0, False, 40.5, True), (40.0, False, True)),
        ((8.0, False, 30.0, True), (8.0, False, False)),
        ((8.0, False, 8.0, False), (8.0, False, False)),
        ((8.0, False, None, None), (8.0, False, None)),
    ],
)
def test_the_whole_follow_up_is_kept_beside_the_cut_one(patient, expected):
    row = one("1y", *patient)
    assert (row["months"], row["recurred"], row["died"]) == expected
    short = one("1y", 3.0, False, 3.0, False, minimum_follow_up_months=24)
    assert (short["months"], short["recurred"], short["died"]) == (None, None, None)


def test_death_may_count_as_negative_if_the_endpoint_says_so():
    endpoint = ENDPOINTS["1y"].model_copy(update={"died_before_horizon": "negative"})
    row = label(endpoint, outcomes(p=(8.0, False, 8.0, True))).row(0, named=True)
    assert (row["y"], row["excluded"]) == (0, None)


patient = st.tuples(st.floats(0.01, 100), st.booleans(), st.one_of(st.none(), st.floats(0.01, 100)), st.booleans())


@given(st.lists(patient, max_size=20), st.sampled_from(["1y", "2y", "final"]), st.sampled_from([None, 24.0]))
def test_y_is_null_exactly_when_a_reason_is_given(patients, endpoint, minimum):
    frame = outcomes(**{f"p{i}": values for i, values in enumerate(patients)})
    labels = label(ENDPOINTS[endpoint], frame, minimum_follow_up_months=minimum)
    assert labels.height == len(patients)
    assert labels["patient_id"].is_sorted()
    assert (labels["y"].is_null() == labels["excluded"].is_not_null()).all()
    assert (labels["time"].is_null() == labels["event"].is_null()).all()
    labelled = labels.drop_nulls("y")
    assert (labelled["y"].cast(pl.Boolean) == labelled["event"]).all()
    horizon = ENDPOINTS[endpoint].horizon_months
    assert horizon is None or not (labels["time"] > horizon).any()


def test_a_grade_is_an_endpoint_without_time():
    values = pl.DataFrame({"patient_id": ["b", "a", "d", "c"], "value": ["M1", "M0", None, "M2"]})
    labels = label_by_variable(ENDPOINTS["mvi"], values)
    assert labels["patient_id"].to_list() == ["a", "b", "c", "d"]
    assert labels["y"].to_list() == [0, 1, 1, None]
    assert labels["excluded"].to_list() == [None, None, None, "mvi_grade not recorded"]
    assert labels.schema == label(ENDPOINTS["1y"], outcomes(p=(6.0, True, 40.0, False))).schema
    assert labels["time"].null_count() == labels["event"].null_count() == 4


def test_a_flag_can_be_an_endpoint_too():
    endpoint = Endpoint(label="died", variable="survived_1y", positive=[False], exclusion="none")
    values = pl.DataFrame({"patient_id": ["a", "b", "c"], "value": [True, False, None]})
    assert label_by_variable(endpoint, values)["y"].to_list() == [0, 1, None]


def test_what_gives_the_answer_away_is_hidden():
    assert ENDPOINTS["mvi"].hidden == {"mvi_grade", "vascular_invasion"}
    assert not ENDPOINTS["mvi"].timed
    assert ENDPOINTS["1y"].hidden == set()
    assert ENDPOINTS["1y"].timed


@pytest.mark.parametrize(
    "facts", [{"variable": "sex"}, {"positive": ["M1"]}, {"variable": "a", "positive": [1], "horizon_months": 12}]
)
def test_half_an_endpoint_is_refused(facts):
    with pytest.raises(ValidationError):
        Endpoint(label="x", exclusion="none", **facts)
