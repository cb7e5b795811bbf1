import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.errors import QueryError
from hccfeat.store.export import as_text, kind_of, write_frame

FRAME = pl.DataFrame(
    {"name": ["ä", None], "n": [1, 2], "v": np.array([[1.5, 2], [3, 4]], dtype=np.float32), "l": [["x", "y"], []]}
)


def test_csv_holds_vectors_as_json_lists() -> None:
    frame = pl.read_csv(io.StringIO(as_text(FRAME, "csv")))
    assert frame["n"].to_list() == [1, 2]
    assert [json.loads(text) for text in frame["v"]] == [[1.5, 2.0], [3.0, 4.0]]
    assert [json.loads(text) for text in frame["l"]] == [["x", "y"], []]


def test_json() -> None:
    assert json.loads(as_text(FRAME, "json"))[0] == {"name": "ä", "n": 1, "v": [1.5, 2.0], "l": ["x", "y"]}


def test_table() -> None:
    text = as_text(FRAME)
    assert "ä" in text
    assert text.endswith("2 rows\n")
    assert as_text(FRAME.head(1)).endswith("1 row\n")
    assert "first and last 50" in as_text(pl.DataFrame({"a": range(150)}))


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "table"])
def test_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    write_frame(FRAME, kind, path)
    if kind == "parquet":
        assert pl.read_parquet(path).equals(FRAME)
    else:
        assert path.read_text() == as_text(FRAME, kind)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_cannot_be_printed() -> None:
    with pytest.raises(QueryError, match="--out"):
        as_text(FRAME, "parquet")
    with pytest.raises(QueryError, match="--out"):
        as_text(FRAME, "xlsx")
    with pytest.raises(QueryError, match="table, csv, json, parquet, xlsx"):
        as_text(FRAME, "ods")
    with pytest.raises(QueryError, match=r"\.csv, \.json, \.parquet, \.xlsx"):
        kind_of(Path("result.txt"))
    assert kind_of(Path("Result.XLSX")) == "xlsx"


def test_excel(tmp_path: Path) -> None:
    frame = FRAME.with_columns(pl.Series("text", ["=1+1", "https://example.org"]), pl.Series("x", [1.5, None]))
    write_frame(frame, "xlsx", tmp_path / "a.xlsx")
    write_frame(frame, "xlsx", tmp_path / "b.xlsx")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    found = pl.read_excel(tmp_path / "a.xlsx")
    assert found["text"].to_list() == ["=1+1", "https://example.org"], "texts stay texts"
    assert found["x"].to_list() == [1.5, None]
    assert json.loads(found["v"][1]) == [3.0, 4.0]
    with pytest.raises(QueryError, match="more than a sheet"):
        write_frame(pl.DataFrame({"a": range(1_048_576)}), "xlsx", tmp_path / "c.xlsx")


def test_bytes_are_digits(tmp_path: Path) -> None:
    frame = pl.DataFrame({"b": [b"\x00\xff", None], "s": [{"part": b"\x01"}, None]})
    assert as_text(frame, "csv") == 'b,s\n00ff,"{""part"": ""01""}"\n,\n'
    assert json.loads(as_text(frame.select("b"), "json")) == [{"b": "00ff"}, {"b": None}]
    write_frame(frame, "xlsx", tmp_path / "a.xlsx")
    assert pl.read_excel(tmp_path / "a.xlsx")["b"].to_list() == ["00ff"], "an empty row ends the sheet"


def test_what_a_format_cannot_hold(tmp_path: Path) -> None:
    beyond = pl.DataFrame({"d": pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date)})
    for kind in ("table", "csv", "json", "xlsx"):
        with pytest.raises(QueryError, match=rf"cannot be given as {kind} .*VARCHAR"):
            write_frame(beyond, kind, tmp_path / "a")
    with pytest.raises(QueryError, match="folder that does not exist"):
        write_frame(FRAME, "csv", tmp_path / "typing" / "a.csv")
    assert list(tmp_path.iterdir()) == []
