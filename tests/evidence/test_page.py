from pathlib import Path

from hccfeat.evidence.figures import difference_panels
from hccfeat.evidence.page import Evidence, EvidenceFigure, EvidenceTable, Section, markdown, write_evidence
from hccfeat.evidence.paired import paired
from hccfeat.evidence.record import Record
from hccfeat.evidence.writing import cell, verdict


def _evidence(folder: Path) -> Evidence:
    record = Record(folder / "null.json", "null")
    record.add(record.part("permuted", {"c": 0.1}, ("seed", "auroc"), 1), [[1, 0.5]], 2.0)
    points = [paired([0.1, 0.2]), paired([0.3])]
    drawing = difference_panels("null", {"A": {"minus b": points}}, [0.0, 0.2], "pi", "difference")
    section = Section(
        "Coverage",
        ["Some text."],
        [EvidenceTable(["a", "b|c"], [["1", "x|y"]], "A table:")],
        [EvidenceFigure("coverage", drawing, "A figure")],
    )
    return Evidence("null", "is there nothing?", "hccfeat evidence null", ["There is."], [section], record)


def test_the_page_says_simulated_and_how_to_make_it(tmp_path: Path) -> None:
    page = write_evidence(_evidence(tmp_path), tmp_path)
    text = page.read_text()
    assert text.startswith("# SIMULATED: is there nothing?")
    assert "\n    hccfeat evidence null\n" in text
    assert "| a | b\\|c |\n| --- | --- |\n| 1 | x\\|y |" in text
    assert "![A figure](null-coverage.svg)" in text
    assert "1 rows of replicates, 2 s" in text
    assert (tmp_path / "null.json").is_file()
    assert "SIMULATED DATA" in (tmp_path / "null-coverage.svg").read_text()


def test_equal_replicates_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (_evidence(tmp_path / name) for name in "ab")
    assert markdown(first) == markdown(second)
    assert first.sections[0].figures[0].svg == second.sections[0].figures[0].svg


def test_an_interval_decides_what_is_said() -> None:
    assert verdict(paired([0.1, 0.11, 0.12])) == "gain"
    assert verdict(paired([-0.1, -0.11, -0.12])) == "loss"
    assert verdict(paired([0.1, -0.11, 0.12])).startswith("none found (detectable 0.")
    assert cell(paired([0.1, 0.11, 0.12])).startswith("**+0.11")
    assert "one replicate" in cell(paired([0.1]))
