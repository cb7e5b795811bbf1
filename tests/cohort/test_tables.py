import polars as pl
import pytest

from hccfeat.cohort.tables import ROW, read_manifest, read_text_table
from hccfeat.errors import InputError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_byte_order_mark(tmp_path, delimiter):
    text = f"\ufeffpatient_id{delimiter}age\r\nP 1{delimiter} 007 \r\n"
    table = read_text_table(write(tmp_path / "t.csv", text))
    assert table.frame.rows() == [(2, "P 1", "007")]
    assert table.frame.schema == {ROW: pl.Int64, "patient_id": pl.String, "age": pl.String}


def test_nothing_is_inferred(tmp_path):
    table = read_text_table(write(tmp_path / "t.csv", "id,x\n001,1e5\nNULL,true\n"))
    assert table.frame["id"].to_list() == ["001", "NULL"]
    assert table.frame["x"].to_list() == ["1e5", "true"]


def test_a_quoted_delimiter_and_line_break_stay_in_the_cell(tmp_path):
    table = read_text_table(write(tmp_path / "t.csv", 'id,note\n1,"a, b\nc"\n2,d\n'))
    assert table.frame["note"].to_list() == ["a, b\nc", "d"]


def test_blank_rows_and_trailing_delimiters_are_no_rows(tmp_path):
    table = read_text_table(write(tmp_path / "t.csv", "id,x\n1,2,\n,\n\n3,4\n"))
    assert table.frame.rows() == [(2, "1", "2"), (5, "3", "4")]
    assert not table.rejected


def test_a_row_with_another_number_of_fields_is_rejected_and_the_others_stay(tmp_path):
    table = read_text_table(write(tmp_path / "t.csv", "id,x\n1,2,5\n3,4\n5\n"))
    assert table.frame["id"].to_list() == ["3"]
    assert [(item.row, item.column) for item in table.rejected] == [(2, ""), (4, "")]
    assert "3 fields" in table.rejected[0].reason
    assert (table.steps[-1].n, table.steps[-1].excluded) == (1, 2)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"id,x\n", "no rows"),
        (b"id,id\n1,2\n", "same name: id"),
        (b",,\n1,2,3\n", "no column names"),
        (b"id,x\n1,\xff\xfe\n", r"not UTF-8 \(line 2\)"),
        ("id,x\n1,2\n".encode("utf-16"), "not UTF-8"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"id,x\n1,\x00\n", "binary"),
        (b'id,x\n1,"open\n', "damaged near line"),
        (b"id,row_number\n1,2\n", "reserved"),
    ],
)
def test_unusable_files_name_file_and_remedy(tmp_path, content, problem):
    path = write(tmp_path / "böse datei.csv", content)
    with pytest.raises(InputError, match=problem) as caught:
        read_text_table(path)
    assert caught.value.entity == str(path)
    assert caught.value.remedy


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_text_table(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_text_table(tmp_path / "none.csv")


def test_a_manifest_needs_the_column_file(tmp_path):
    with pytest.raises(InputError, match="no column file"):
        read_manifest(write(tmp_path / "m.csv", "slide,patient_id\na,b\n"))


def test_a_table_without_header_starts_with_row_1(tmp_path):
    table = read_text_table(write(tmp_path / "t.txt", "1,?\n\n2,3,4\n5,6\n"), header=("a", "b"))
    assert table.frame.rows() == [(1, "1", "?"), (4, "5", "6")]
    assert [item.row for item in table.rejected] == [3]
