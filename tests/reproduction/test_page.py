"""The page of a reproduction, from items made for the test."""

import csv
import io
import re
from pathlib import Path

import pytest
from markupsafe import Markup

from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.report.diagram import Box, diagram
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Download, Figure, Item, Note, NotRunError, Picture, Table
from hccfeat.reproduction.built import BuiltItem, Reproduction, build, metric_rows
from hccfeat.reproduction.checklist import PAPER
from hccfeat.reproduction.page import write_page
from hccfeat.reproduction.presets import load_preset
from tests.report.test_browser import CHROMIUM, browse

NASTY = '<script>alert("x")</script>'
METRIC = {
    "endpoint": "1y", "cohort": "internal", "split": "held_out", "model": "pps_mlp", "metric": "auroc",
    "estimate": 0.5, "lower": None, "upper": None, "n": 7, "events": 3, "method": "DeLong",
}  # fmt: skip


def drawn(key: str, simulated: bool) -> Markup:
    return diagram(key, [[Box("A", (NASTY,)), Box("B")], [Box("C")]], title=NASTY, simulated=simulated)


def blocks() -> list[Block]:
    return [
        Note(NASTY, "caution"),
        Table([Column("a", "Name"), Column("b", "Value")], [{"a": NASTY, "b": NASTY}], NASTY, data=[METRIC]),
        Figure(drawn, "a figure", data=[{"x": 0.1 + 0.2, "y": None}]),
        Picture(b"\x89PNG not really", "a picture"),
        Download("maps/slide-1.geojson", lambda path: path.write_text("{}") and None, "a map"),
    ]


def reproduction(*, simulated: bool = True, preset: str = "reduced") -> Reproduction:
    run = Reproduction(
        "reproduce-abc", "2026-01-01", "study", f"T {NASTY}", simulated, PAPER, load_preset(preset),
        {"python": "3"}, {"preset": {"name": preset}}, [f"methods {NASTY}"],
    )  # fmt: skip
    run.items = [
        BuiltItem(Item(4, "Methods", "shown one", lambda _: []), "shown", tuple(blocks())),
        BuiltItem(Item(13, "Table 2", "left out", lambda _: []), "not run in this preset", reason="because"),
        BuiltItem(Item(45, "Table S2", "impossible", lambda _: []), "not possible with these data", reason=NASTY),
    ]
    return run


def test_the_page_escapes_everything_and_writes_its_files(tmp_path: Path) -> None:
    page = write_page(tmp_path, reproduction())
    text = page.read_text()
    assert NASTY not in text.replace("&lt;", "<_")
    assert text.count("<script") == 1
    assert "http://" not in text
    assert "https://" not in text
    assert (tmp_path / "files" / "maps" / "slide-1.geojson").read_text() == "{}"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "data" / "item-4-3.csv").read_text())))
    assert [float(rows[0]["x"]), rows[0]["y"]] == [0.1 + 0.2, ""]
    checklist = list(csv.DictReader(io.StringIO((tmp_path / "data" / "checklist.csv").read_text())))
    assert [row["status"] for row in checklist] == [
        "shown", "not run in this preset", "not possible with these data",
    ]  # fmt: skip
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"', text):
        assert target in ids, target


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    first = write_page(tmp_path / "a", reproduction()).read_bytes()
    assert first == write_page(tmp_path / "b", reproduction()).read_bytes()


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("preset", ["reduced", "paper"])
def test_simulated_and_reduced_are_said_everywhere_or_nowhere(tmp_path: Path, simulated: bool, preset: str) -> None:
    text = write_page(tmp_path, reproduction(simulated=simulated, preset=preset)).read_text()
    figure = re.search(r"<figcaption>a figure([^<]*)</figcaption>", text)
    assert figure is not None
    assert ("simulated" in figure[1]) == simulated
    assert ("reduced preset" in figure[1]) == (preset == "reduced")
    assert ("SIMULATED DATA" in text) == simulated
    assert ("The data are not simulated" in text) == (not simulated)


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (apt-get install chromium)")
def test_a_browser_opens_it_without_a_message(tmp_path: Path) -> None:
    dom, console = browse(write_page(tmp_path / "page", reproduction()), tmp_path / "profile", "--dump-dom")
    assert console == []
    assert dom.count("Save this figure as SVG") == 1


def raising(error: Exception) -> Item:
    def fail(context: object) -> list[Block]:
        raise error

    return Item(1, "x", "x", fail)


def test_what_an_item_raises_becomes_its_status_but_a_leak_never() -> None:
    assert build(raising(NotRunError("no")), None).status == "not run in this preset"
    impossible = build(raising(AnalysisError("group", "is empty", "Add patients.")), None)
    assert (impossible.status, impossible.reason) == (
        "not possible with these data",
        "group: is empty. Add patients.",
    )
    with pytest.raises(LeakageError):
        build(raising(LeakageError("a", "b", "c")), None)
    with pytest.raises(ZeroDivisionError):
        build(raising(ZeroDivisionError()), None)


def test_numbers_with_a_method_become_rows_of_the_catalog_once() -> None:
    run = reproduction()
    run.items.append(run.items[0])
    assert metric_rows(run) == [METRIC]
