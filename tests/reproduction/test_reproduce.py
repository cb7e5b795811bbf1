"""The whole recurrence study at the preset tiny, through the command line, on an extracted study."""

import json
import re
import shutil
from pathlib import Path

import pytest

from hccfeat.cli import main
from hccfeat.errors import AnalysisError, InputError
from hccfeat.reproduction.blocks import Block, Item
from hccfeat.reproduction.checklist import PAPER, all_items, chosen_items
from hccfeat.reproduction.run import ReproduceRequest, reproduce
from hccfeat.store.catalog import query
from hccfeat.store.verify import verify
from hccfeat.study import open_study


@pytest.fixture(scope="module")
def reproduced(extracted_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the extracted study with a finished reproduction."""
    study = tmp_path_factory.mktemp("reproduced") / "study"
    shutil.copytree(extracted_study, study)
    assert main(["reproduce", "recurrence", "--preset", "tiny", "--study", str(study)]) == 0
    return study


def results(study: Path) -> Path:
    """The reproduction of all items; another test adds one of a single item."""
    pages = [page.parent for page in (study / "results").glob("reproduce-*/index.html")]
    (folder,) = [page for page in pages if len((page / "data" / "checklist.csv").read_text().splitlines()) == 46]
    return folder


def test_the_checklist_is_the_papers() -> None:
    items = all_items()
    assert [item.number for item in items] == list(range(1, 46))
    assert len({item.where for item in items}) == 45
    assert [number for _, numbers in PAPER.sections for number in numbers] == list(range(1, 46))
    assert PAPER.section_of(24) == "Prognosis"


def test_items_are_found_by_number_and_by_place() -> None:
    assert [item.number for item in chosen_items(["table 2", "9", "Fig 2E"])] == [9, 13]
    with pytest.raises(InputError, match=r"--only 46.*45 \(Table S2\)"):
        chosen_items(["46"])


@pytest.mark.slow
def test_every_item_is_shown(reproduced: Path) -> None:
    rows = (results(reproduced) / "data" / "checklist.csv").read_text().splitlines()[1:]
    assert len(rows) == 45
    assert [row for row in rows if ",shown," not in row] == []


@pytest.mark.slow
def test_nothing_in_the_report_names_a_patient_and_nothing_is_loaded(reproduced: Path) -> None:
    folder = results(reproduced)
    names = [
        value.partition("/")[2]
        for table, column in (("patient", "patient_id"), ("image", "image_id"))
        for value in query(reproduced, f"SELECT {column} FROM {table}")[column]
    ]
    assert len(names) == 24 + 6 + 40 + 6 + 24  # patients, slides, MRI exams
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names))
    files = [folder / "index.html", *(folder / "data").iterdir(), *(folder / "files").rglob("*.geojson")]
    for file in files:
        assert pattern.search(re.sub(r"base64,[^\"]+", "", file.read_text())) is None, file.name
    page = (folder / "index.html").read_text()
    assert re.search(r"(src|href)=\"(?!data:|#|data/|files/)", page) is None
    assert "SIMULATED DATA" in page
    assert "not run in this preset" in page
    assert len(page) < 10_000_000


@pytest.mark.slow
def test_again_it_trains_nothing_and_gives_the_same_bytes(reproduced: Path) -> None:
    folder = results(reproduced)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    cells = {path: path.stat().st_mtime_ns for path in (reproduced / "results" / "cells").iterdir()}
    assert main(["reproduce", "recurrence", "--preset", "tiny", "--study", str(reproduced)]) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert {path: path.stat().st_mtime_ns for path in (reproduced / "results" / "cells").iterdir()} == cells


@pytest.mark.slow
def test_the_numbers_are_rows_of_the_catalog_and_the_store_is_sound(reproduced: Path) -> None:
    run_id = results(reproduced).name
    rows = query(reproduced, "SELECT * FROM metric WHERE run_id = ?", [run_id])
    assert {"auroc", "c_index"} <= set(rows["metric"])
    assert rows["method"].null_count() == 0
    settings = query(reproduced, "SELECT settings FROM run WHERE run_id = ?", [run_id])["settings"][0]
    assert json.loads(settings)["preset"]["name"] == "tiny"
    assert verify(reproduced) == []


@pytest.mark.slow
def test_an_item_that_the_data_do_not_allow_shows_in_the_exit_status(
    reproduced: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(context: object) -> list[Block]:
        raise AnalysisError("sorafenib group", "is empty", "Ingest treatments.")

    monkeypatch.setattr("hccfeat.reproduction.run.chosen_items", lambda only: [Item(45, "Table S2", "x", fail)])
    command = ["reproduce", "recurrence", "--preset", "tiny", "--only", "45", "--study", str(reproduced)]
    assert main([*command, "--json"]) == 3
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert item["reason"] == "sorafenib group: is empty. Ingest treatments."


def test_an_unknown_external_cohort_is_told_before_anything_runs(extracted_study: Path) -> None:
    config = open_study(extracted_study).config
    with pytest.raises(InputError, match=r"--external elsewhere.*cohorts with images: external"):
        reproduce(extracted_study, config, ReproduceRequest("tiny", external="elsewhere"))
    assert main(["reproduce", "survival", "--study", str(extracted_study)]) == 2
