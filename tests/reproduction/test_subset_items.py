import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from hccfeat.config import StudyConfig, load_recipe, load_study_config
from hccfeat.errors import AnalysisError
from hccfeat.extraction import feature_sets
from hccfeat.extraction.cells import Cells, CellSpec
from hccfeat.report.tables import table
from hccfeat.reproduction import subset_bench
from hccfeat.reproduction.blocks import Figure, Item, Note, NotRunError, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.items import chosen, subset_tables, subsets
from hccfeat.reproduction.presets import load_preset
from hccfeat.training.labels import SUBSETS
from tests.analysis.subset_study import make_study

ITEMS = {item.number: item for item in (*subsets.ITEMS, *chosen.ITEMS)}
METRIC = {"endpoint", "cohort", "split", "model", "metric", "estimate", "lower", "upper", "n", "events", "method"}
NOT_RUN = "not run in this preset"


def context(monkeypatch: pytest.MonkeyPatch, *, external: str | None = "external", **options: Any) -> Any:
    """A study of made-up encoders; ``tiny`` has CNN-SASM and ResNet18."""
    cells, patients, months = make_study(**options)
    survival = pl.DataFrame({"patient_id": list(months), "months": list(months.values())})
    counts = pl.DataFrame({"patient_id": list(cells.protocol.ids), "images": 2, "patches": 10})
    monkeypatch.setattr(subset_bench, "query", lambda *_: survival)
    monkeypatch.setattr(subset_tables, "query", lambda *_: counts)
    if external is None:
        patients = patients.filter(pl.col("role") != "external")
    data = SimpleNamespace(patients=patients, images=patients.select("patient_id"))
    recipe = load_recipe("tiny")
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"subset": "1/2"})})
    return SimpleNamespace(
        study=Path(), config=StudyConfig(name="made-up", analysis={"bootstraps": 100}), preset=load_preset("tiny"),
        recipe=recipe, feature_set=SimpleNamespace(name="pps-1"), cells=cells, internal="internal",
        external=external, simulated=True, data=lambda endpoint: {"final": data}[endpoint],
    )  # fmt: skip


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both models on every subset; the final encoders of CNN-SASM."""
    strength = {"cnn_sasm": 2.0, "resnet18": 0.5}
    return context(monkeypatch, signal=lambda model, _: strength[model], models=("cnn_sasm", "resnet18"))


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a small preset leaves: one model on two subsets, no external cohort, one fold that did not train."""
    return context(
        monkeypatch, external=None, models=("cnn_sasm",), subsets=("1/2", "1/1"), finals=("cnn_sasm",),
        failed=[CellSpec("cnn_sasm", "1/1", "fold2")], n=40,
    )  # fmt: skip


def tables(item: Item, given: Any) -> list[Table]:
    return [block for block in item.build(given) if isinstance(block, Table)]


def texts(blocks: list[Any], drawn: bool) -> Iterator[str]:
    """Everything that a reader sees of the blocks and their data files."""
    for block in blocks:
        if isinstance(block, Note):
            yield block.text
        if isinstance(block, Table):
            yield str(table("t", block.columns, block.rows, caption=block.caption, group=block.group))
        if isinstance(block, Figure) and drawn:
            figure = str(block.draw("key", True))
            assert "SIMULATED DATA" in figure
            assert len(figure) < 400_000
            yield figure + block.caption
        if isinstance(block, Table | Figure):
            assert len({tuple(row) for row in block.data}) == 1
            yield from (str(value) for row in block.data for value in row.values())


@pytest.mark.parametrize("number", sorted(ITEMS))
@pytest.mark.parametrize("which", ["full", "sparse"])
def test_every_item_is_shown_without_patients_or_nan_and_marks_simulated_figures(
    number: int, which: str, request: pytest.FixtureRequest
) -> None:
    blocks = ITEMS[number].build(request.getfixturevalue(which))
    assert blocks
    for text in texts(blocks, which == "full" or number in (7, 11)):
        assert not re.search(r"internal/P\d|internal/H\d|external/E\d", text)
        assert "nan" not in re.sub(r"<[^>]*>", " ", text).lower().split()


def test_a_figure_of_real_data_has_no_watermark_and_equal_bytes(full: Any) -> None:
    figure = next(block for block in ITEMS[11].build(full) if isinstance(block, Figure))
    assert "SIMULATED" not in figure.draw("key", False)
    again = next(block for block in ITEMS[11].build(full) if isinstance(block, Figure))
    assert figure.draw("key", False) == again.draw("key", False)


def test_the_items_are_those_of_the_checklist() -> None:
    assert set(ITEMS) == {*range(5, 16), 37, 39, 40, 44}


def test_table_2_prints_ours_the_papers_and_the_difference(full: Any) -> None:
    patch, image, *rest = tables(ITEMS[13], full)
    rows = {(row["group"], row["what"]): row for row in patch.rows}
    assert rows["CNN-SASM", "Printed"]["1/2"] == "0.951"
    assert rows["CNN-SASM", "Printed"]["mib"] == "46.94"
    assert rows["CNN-SASM", "AUROC (95 % interval)"]["mib"] == "46.94"
    assert rows["ResNet18", "AUROC (95 % interval)"]["mib"] == "44.60"
    ours = next(r for r in patch.data if r["model"] == "cnn_sasm, trained on 1/2")
    assert ours["difference"] == pytest.approx(ours["estimate"] - 0.951)
    assert rows["CNN-SASM", "Difference"]["1/2"] == f"{ours['difference']:+.3f}"
    assert f">{ours['estimate']:.3f} (" in rows["CNN-SASM", "AUROC (95 % interval)"]["1/2"]
    assert rows["CNN-SASM", "Patients (relapsed); folds"]["1/2"].endswith("; 2")
    assert set(ours) >= METRIC
    assert ours["lower"] < ours["estimate"] < ours["upper"]
    assert "Printed" not in {row["what"] for row in image.rows}
    assert all(row["printed"] is None for row in image.data)
    sizes, matrix = rest[:2]
    assert {row["difference"] < 0.01 for row in sizes.data} == {True}
    assert sizes.data[0]["mib_as_run"] == pytest.approx(46.936, abs=0.001)
    assert [row["trained"] for row in matrix.rows[:-1]] == list(SUBSETS)
    assert len({row["n"] for row in matrix.data if row["judged_on"] == "1/1"}) == 1
    common = rest[-1]
    assert {row["split"] for row in common.data} == {"held_out", "external"}
    assert len({(row["split"], row["n"]) for row in common.data}) == 2


def test_cells_that_the_preset_leaves_out_say_so_and_carry_no_number(sparse: Any) -> None:
    patch = tables(ITEMS[13], sparse)[0]
    rows = {(row["group"], row["what"]): row for row in patch.rows}
    first = rows["CNN-SASM", "AUROC (95 % interval)"]
    assert first["1/4"] == first["mean"] == NOT_RUN
    assert rows["ResNet18", "AUROC (95 % interval)"]["1/1"] == NOT_RUN
    assert rows["CNN-SASM", "Difference"]["1/4"] == "–"
    assert rows["CNN-SASM", "Patients (relapsed); folds"]["1/1"].endswith("; 1")
    assert rows["CNN-SASM", "SD over folds"]["1/1"] == "–"
    assert "2 are needed" in first["1/1"]
    for row in patch.data:
        if row["subset"] not in ("1/2", "1/1"):
            assert row["estimate"] is None
            assert row["difference"] is None
    (ablation,) = tables(ITEMS[14], sparse)
    assert {row["value"] for row in ablation.rows} == {NOT_RUN}


def test_the_ablation_prints_the_papers_difference(full: Any) -> None:
    (found,) = tables(ITEMS[14], full)
    patch = next(row for row in found.data if row["metric"] == "auroc (patches)")
    assert patch["printed"] == pytest.approx(0.951 - 0.926)
    assert patch["lower"] > 0
    assert "paired" in patch["method"]


def test_figure_2_data_hold_the_lines(full: Any) -> None:
    figure, numbers = ITEMS[6].build(full)
    assert {row["line"] for row in figure.data} == {"CNN-SASM", "ResNet18"}
    assert len(figure.data) == 12
    assert {row["printed"] for row in numbers.data} >= {0.997, 0.737, 0.724}
    blocks = ITEMS[7].build(full)
    lines = {row["line"] for block in blocks if isinstance(block, Figure) for row in block.data}
    assert lines == {"Cross-validation", "Held-out part of the subset", "Strict external subset"}
    assert "2 relapse-free who lived longest and the 2 relapsed" in blocks[0].text
    equal = blocks[-1]
    assert {row["images_by_fold"] for row in equal.data} == {equal.data[0]["images_by_fold"]}


def test_without_an_external_cohort_it_says_so(sparse: Any) -> None:
    for number in (7, 12, 13, 15):
        notes = [block.text for block in ITEMS[number].build(sparse) if isinstance(block, Note)]
        assert any("no external cohort" in text for text in notes)


def test_the_selection_names_the_rule_the_study_follows_and_warns(full: Any) -> None:
    blocks = ITEMS[15].build(full)
    notes = [block for block in blocks if isinstance(block, Note)]
    assert notes[0].text.startswith("This study uses subset 1/2: the recipe tiny fixes it beforehand")
    assert "It picks 1/1, which comes first in" in notes[1].text  # equal encoders: the largest subset
    assert notes[2].level == "caution"
    assert "no longer external" in notes[2].text
    inner = next(block for block in blocks if isinstance(block, Table))
    assert sum(row["picked"] for row in inner.data) == 3
    assert inner.rows[0]["SE"] != "–"


def test_the_chosen_model_on_its_held_out_part(full: Any) -> None:
    _, _, counts, rates = ITEMS[8].build(full)
    patch, image = counts.data
    members = full.cells.protocol.patients("test") & full.cells.protocol.member_of["1/2"]
    assert sum(value for value in image.values() if isinstance(value, int)) == 2 * len(members)
    assert sum(value for value in patch.values() if isinstance(value, int)) == 10 * len(members)
    accuracy = next(row for row in rates.data if row["metric"] == "accuracy (patches)")
    assert accuracy["estimate"] == pytest.approx(
        (patch["true positive"] + patch["true negative"]) / (10 * len(members))
    )
    assert accuracy["printed"] == 0.83
    sensitivity = next(row for row in rates.data if row["metric"] == "sensitivity (patches)")
    positive = patch["true positive"] + patch["false negative"]
    assert sensitivity["estimate"] == pytest.approx(patch["true positive"] / positive)
    assert sensitivity["n"] == sensitivity["events"]
    for number, value in ((9, 0.912), (10, 0.921)):
        found = tables(ITEMS[number], full)[0]
        assert [row["printed"] for row in found.data] == [value, None]


def test_without_final_encoders_the_chosen_items_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    given = context(monkeypatch, finals=())
    for number in (8, 9, 10, 11, 12, 39, 40):
        with pytest.raises(NotRunError, match="all folds"):
            ITEMS[number].build(given)
    broken = context(monkeypatch, failed=[CellSpec("cnn_sasm", "1/2", "final")])
    with pytest.raises(AnalysisError, match="2 are needed"):
        ITEMS[8].build(broken)


def test_maps_show_at_most_what_the_preset_asks(full: Any) -> None:
    figure = next(block for block in ITEMS[39].build(full) if isinstance(block, Figure))
    assert len(figure.data) == 12
    patches = [row for row in figure.data if row["map"].endswith("patch")]
    assert sum(row["points"] for row in patches) <= full.preset.embedding_patches
    assert all(row["drawn_from"] >= row["points"] for row in patches)
    separation = [row["auroc_of_first_component"] for row in patches]
    assert min(separation) > 0.6


def test_counts_of_a_real_study(extracted_study: Path) -> None:
    config, preset = load_study_config(extracted_study), load_preset("tiny")
    feature_set = feature_sets.newest(extracted_study, "pps")
    assert feature_set is not None
    cells = Cells(extracted_study, config, preset, device="cpu", external="external")
    given = Context(
        extracted_study, config, preset, preset.base_recipe(extracted_study, config.recipe), feature_set, cells,
        "external", True,
    )  # fmt: skip
    (kept,) = tables(ITEMS[5], given)
    whole = kept.data[-1]
    candidates = len(cells.protocol.ids)
    assert whole["relapse_free_kept"] + whole["relapsed_kept"] == candidates
    sizes, parts = tables(ITEMS[44], given)
    assert sizes.data[-1]["patients"] == candidates
    assert sizes.data[-1]["images"] >= candidates
    assert sizes.data[-1]["patches"] == sum(row["patches"] for row in parts.data if row["subset"] == "1/1")
    bench = subset_bench.bench_of(given)
    assert bench.judges.external
    assert len(bench.judges.strict) == 4
    assert not bench.judges.held_out & set(cells.protocol.ids)
