from pathlib import Path

import pytest

from hccfeat.errors import InputError
from hccfeat.evidence.record import Record

COLUMNS = ("pi", "seed", "auroc")


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    record = Record(tmp_path / "denoising.json", "denoising")
    part = record.part("tabular", {"c": 0.1}, COLUMNS, 2)
    record.add(part, [[0.4, 2, 0.6]], 1.5)
    record.add(part, [[0.0, 10, None], [0.0, 9, 0.7]], 0.25)
    again = Record(tmp_path / "denoising.json", "denoising").part("tabular", {"c": 0.1}, COLUMNS, 2)
    assert again.done() == {(0.4, 2), (0.0, 10), (0.0, 9)}
    assert [row["seed"] for row in again.select()] == [9, 10, 2]
    assert again.select(pi=0.0, seed=10) == [{"pi": 0.0, "seed": 10, "auroc": None}]
    assert again.seconds == pytest.approx(1.8, abs=0.06)


@pytest.mark.parametrize(("parameters", "columns"), [({"c": 0.2}, COLUMNS), ({"c": 0.1}, ("pi", "seed", "aupr"))])
def test_other_parameters_start_anew(
    tmp_path: Path, parameters: dict[str, float], columns: tuple[str, ...]
) -> None:
    record = Record(tmp_path / "denoising.json", "denoising")
    record.add(record.part("tabular", {"c": 0.1}, COLUMNS, 2), [[0.4, 2, 0.6]], 1.0)
    record.add(record.part("images", {}, COLUMNS, 2), [[0.4, 2, 0.5]], 1.0)
    record = Record(tmp_path / "denoising.json", "denoising")
    assert record.part("tabular", parameters, columns, 2).rows == []
    assert len(record.part("images", {}, COLUMNS, 2).rows) == 1


def test_the_same_rows_give_the_same_file_in_any_order(tmp_path: Path) -> None:
    rows = [[0.4, 2, 0.6], [0.0, 10, None], [0.0, 9, 0.7]]
    texts = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        record = Record(tmp_path / f"{name}.json", "null")
        record.add(record.part("tabular", {}, COLUMNS, 2), order, 1.0)
        texts.append((tmp_path / f"{name}.json").read_bytes())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("text", ["{", "[]", '{"study": "null", "parts": {}}', '{"study": "denoising"}'])
def test_a_foreign_file_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "denoising.json"
    path.write_text(text)
    with pytest.raises(InputError, match="--out"):
        Record(path, "denoising")
    assert path.read_text() == text
