from pathlib import Path

import pytest

from hccfeat.evidence.record import Record
from hccfeat.evidence.running import run_groups, run_processes, workers

COLUMNS = ("name", "seed", "value")


def _value(name: str, seed: int) -> list[list[int]]:
    return [[seed + len(name)], [seed]]


def test_worker_processes_give_rows_that_are_kept(tmp_path: Path) -> None:
    record = Record(tmp_path / "null.json", "null")
    part = record.part("tabular", {}, COLUMNS, 2)
    record.add(part, [["a", 1, 99]], 1.0)
    with workers(1) as pool:
        run_processes(record, part, "Test", [("a", 1), ("b", 2)], _value, pool)
    again = Record(tmp_path / "null.json", "null").part("tabular", {}, COLUMNS, 2)
    assert again.ordered() == [["a", 1, 99], ["b", 2, 3], ["b", 2, 2]]


def test_a_group_that_lacks_one_is_made_as_a_whole_and_keeps_what_was_there(tmp_path: Path) -> None:
    record = Record(tmp_path / "null.json", "null")
    part = record.part("tabular", {}, COLUMNS, 2)
    record.add(part, [["a", 1, 99], ["b", 1, 98], ["b", 2, 97]], 1.0)
    asked = []

    def work(group: object) -> list[list[int]]:
        asked.append(group)
        return [[1], [2]]

    run_groups(record, part, "Test", [[("a", 1), ("a", 2)], [("b", 1), ("b", 2)]], work)
    assert asked == [[("a", 1), ("a", 2)]]
    assert part.ordered() == [["a", 1, 99], ["a", 2, 2], ["b", 1, 98], ["b", 2, 97]]


def test_a_group_with_too_few_rows_is_refused(tmp_path: Path) -> None:
    record = Record(tmp_path / "null.json", "null")
    part = record.part("tabular", {}, COLUMNS, 2)
    with pytest.raises(ValueError, match="shorter"):
        run_groups(record, part, "Test", [[("a", 1), ("a", 2)]], lambda group: [[1]])
