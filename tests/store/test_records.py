import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import StoreError
from hccfeat.store.records import KINDS, new_record, read_record, read_records, write_record

ROWS = [{"cohort": "internal", "title": "Ä 肝", "images": 3}]


def test_round_trip_and_numbering(tmp_path: Path) -> None:
    paths = [write_record(tmp_path, kind, f"name {kind}/x", {"cohort": ROWS}) for kind in KINDS]
    records = read_records(tmp_path)
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record.path for record in records] == paths
    assert [record.kind for record in records] == list(KINDS)
    assert records[0].tables == {"cohort": ROWS}
    assert paths[0].name == "000001-name_ingest_x.json"
    assert paths[0].parent == tmp_path / "records" / "ingest"


def test_column_order_survives(tmp_path: Path) -> None:
    about = {"clinical_columns": {"zeta": "DOUBLE", "alpha": "VARCHAR"}}
    record = read_record(write_record(tmp_path, "ingest", "a", {}, about=about))
    assert list(record.about["clinical_columns"]) == ["zeta", "alpha"]


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
    )
)  # fmt: skip
def test_any_plain_row_round_trips(tmp_path_factory: pytest.TempPathFactory, row: dict) -> None:
    study = tmp_path_factory.mktemp("study")
    record = read_record(write_record(study, "ingest", "x", {"clinical": [row]}))
    assert record.tables == {"clinical": [row]}
    assert [type(value) for value in record.tables["clinical"][0].values()] == [type(v) for v in row.values()]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), np.float32("nan")])
def test_nan_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(StoreError, match=r"clinical\.afp: holds (nan|inf)"):
        write_record(tmp_path, "ingest", "x", {"clinical": [{"patient_id": "a", "afp": value}]})
    assert not (tmp_path / "records").exists()


def test_numpy_scalars_and_nested_values_become_plain() -> None:
    row = {"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": {"k": [1, 2]}, "e": [1]}
    record = new_record(Path("nowhere"), "runs", "x", {"run": [row]})
    assert record.tables["run"] == [{"a": 3, "b": 0.5, "c": True, "d": '{"k": [1, 2]}', "e": "[1]"}]


@pytest.mark.parametrize("value", [b"bytes", object(), "\ud800", {"k": float("nan")}])
def test_values_that_are_not_plain_are_refused(value: object) -> None:
    with pytest.raises(StoreError, match=r"cohort\.title"):
        new_record(Path("nowhere"), "runs", "x", {"cohort": [{"title": value}]})


@pytest.mark.parametrize("about", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}])
def test_facts_that_are_not_plain_are_refused(about: dict) -> None:
    with pytest.raises(StoreError, match="not JSON"):
        new_record(Path("nowhere"), "runs", "x", {}, about=about)


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unknown kind"):
        write_record(tmp_path, "misc", "x", {})


def test_edits_are_found(tmp_path: Path) -> None:
    path = write_record(tmp_path, "ingest", "x", {"cohort": ROWS})
    text = path.read_text()
    path.write_text(text.replace('"images": 3', '"images": 4'))
    with pytest.raises(StoreError, match="was changed"):
        read_record(path)
    path.write_text(text[:-20])
    with pytest.raises(StoreError, match="cannot be read"):
        read_record(path)
    path.write_text(text)
    moved = path.with_name("000009-x.json")
    path.rename(moved)
    with pytest.raises(StoreError, match="number"):
        read_record(moved)


def test_nan_smuggled_into_a_file_is_refused(tmp_path: Path) -> None:
    path = write_record(tmp_path, "ingest", "x", {"cohort": ROWS})
    path.write_text(path.read_text().replace('"images": 3', '"images": NaN'))
    with pytest.raises(StoreError, match="NaN is not a number"):
        read_record(path)


def test_newer_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = write_record(tmp_path, "ingest", "x", {"cohort": ROWS})
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "format_version": 2}))
    with pytest.raises(StoreError, match="format 2"):
        read_record(path)
    path.write_text(json.dumps({**document, "format": "other"}))
    with pytest.raises(StoreError, match="not an hccfeat record"):
        read_record(path)


def test_two_records_with_one_number_are_found(tmp_path: Path) -> None:
    write_record(tmp_path, "ingest", "x", {"cohort": ROWS})
    twin = new_record(tmp_path / "elsewhere", "runs", "y", {})
    target = tmp_path / "records" / "runs" / twin.path.name
    write_record(tmp_path / "elsewhere", "runs", "y", {})
    target.parent.mkdir(parents=True)
    twin.path.rename(target)
    with pytest.raises(StoreError, match="has the number of"):
        read_records(tmp_path)
