"""Encoders of the subset study: who trains, who judges, and what is kept of each."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.cohort.frozen import split_name
from hccfeat.config import load_recipe
from hccfeat.errors import AnalysisError, ConfigError, LeakageError, SlideError, StoreError
from hccfeat.extraction import cells as cells_module
from hccfeat.extraction.candidates import split_patients, training_candidates
from hccfeat.extraction.cell_patches import Patches, PatchMemory
from hccfeat.extraction.cell_specs import planned_cells
from hccfeat.extraction.cells import Cells, CellSpec
from hccfeat.extraction.plan import sources
from hccfeat.reproduction.presets import load_preset
from hccfeat.store.catalog import query
from hccfeat.store.verify import verify
from hccfeat.study import open_study
from hccfeat.training.embed import embed
from hccfeat.training.encoder import load_encoder
from tests.extraction.cells_study import PRESET, add_toy_preset, toy_cells

ROOT = Path(__file__).parents[2]
FOLD = CellSpec("toy", "1/2", "fold1")
FINAL = CellSpec("toy", "1/1", "final")
WHOLE = CellSpec("toy", "1/1", "whole")
ONE_YEAR = CellSpec("toy", "1/1", "whole", "1y")


@pytest.fixture(scope="module")
def cells(extracted_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """All cells of the preset toy, run."""
    study = tmp_path_factory.mktemp("cells") / "study"
    shutil.copytree(extracted_study, study)
    add_toy_preset(study)
    made = toy_cells(study)
    assert made.missing() == made.specs()
    made.run()
    assert made.failed == {}
    return made


@pytest.fixture
def untrained(extracted_study: Path, tmp_path: Path) -> Path:
    """A study of one's own with the preset toy and no cell."""
    study = Path(shutil.copytree(extracted_study, tmp_path / "study"))
    add_toy_preset(study)
    return study


def digests(study: Path) -> dict[str, str]:
    files = (study / "results" / "cells").glob("*.safetensors")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def role(study: Path) -> dict[str, str]:
    config = open_study(study).config
    return dict(query(study, "SELECT patient_id, role FROM split WHERE split = ?", [split_name(config)]).rows())


def treated(study: Path) -> set[str]:
    return set(query(study, "SELECT patient_id FROM patient WHERE treatment <> 'none'")["patient_id"])


def test_the_preset_says_which_cells_there_are(cells: Cells) -> None:
    parts = ("fold1", "fold2", "final")
    expected = [CellSpec("toy", subset, part) for subset in ("1/2", "1/1") for part in parts]
    expected += [CellSpec("toy", "1/1", "whole", labels) for labels in ("recurrence", "1y", "2y")]
    assert cells.specs() == [*expected, CellSpec("other", "1/1", "fold1")]
    assert cells.planned(FOLD)
    assert not cells.planned(CellSpec("other", "1/1", "final"))
    assert [str(spec) for spec in (FOLD, FINAL, ONE_YEAR)] == [
        "toy 1/2 fold 1",
        "toy 1/1 final",
        "toy 1/1 whole on 1y",
    ]


def test_the_paper_preset_asks_for_every_model_subset_and_fold() -> None:
    specs = planned_cells(load_preset("paper"))
    assert len(specs) == len(set(specs)) == 8 * 6 * 5 + 3 * 6 + 3
    assert {spec.model for spec in specs[:39]} == {"cnn_sasm"}


def test_everything_is_kept_and_a_second_run_does_nothing(cells: Cells) -> None:
    assert cells.missing() == []
    before = {path: path.stat().st_mtime_ns for path in (cells.study / "results" / "cells").iterdir()}
    again = toy_cells(cells.study)
    again.run()
    assert again.missing() == []
    assert before == {path: path.stat().st_mtime_ns for path in (cells.study / "results" / "cells").iterdir()}
    assert not list((cells.study / ".hccfeat" / "training").glob("*/last.ckpt"))
    assert verify(cells.study, isolated=False) == []


def test_a_fold_judges_its_own_patients_on_raw_labels(cells: Cells) -> None:
    cell = cells.get(FOLD)
    protocol = cells.protocol
    assert set(cell.images["patient_id"]) == protocol.patients("fold1")
    assert cell.seen == protocol.patients("fold2")
    assert cell.patch_vectors == {}
    # half of each class trains, everybody in the fold judges
    assert cell.facts["patients_trained"] < len(cell.seen)
    assert cell.facts["considered"] == len(cell.seen)


def test_the_final_encoder_judges_the_held_out_and_the_external(cells: Cells) -> None:
    cell = cells.get(FINAL)
    roles = role(cells.study)
    held_out = {patient for patient, mine in roles.items() if mine == "test"} - treated(cells.study)
    external = {source.patient_id for source in sources(cells.study, ["external"])}
    judged = set(cell.images["patient_id"])
    assert judged == cells.protocol.patients("test") | held_out | external
    assert set(cell.images["cohort"]) == {"internal", "external"}
    assert cell.seen == set(cells.protocol.ids) - cells.protocol.patients("test")
    outside = cell.images.filter(pl.col("cohort") == "external")
    assert outside["patches"].max() == 4
    assert cell.images["patches"].max() > 4


def test_whole_cells_judge_everybody_and_say_whom_they_saw(cells: Cells) -> None:
    roles = role(cells.study)
    training = {patient for patient, mine in roles.items() if mine == "train"} - treated(cells.study)
    usable = query(
        cells.study, "SELECT patient_id FROM image JOIN shard USING (image_id) WHERE shard.status = 'ok'"
    )["patient_id"]
    for spec in (WHOLE, ONE_YEAR):
        cell = cells.get(spec)
        assert set(cell.images["patient_id"]) == set(usable)
        assert cell.seen <= training
        assert cell.seen & set(cell.images["patient_id"])
    assert cells.get(WHOLE).seen == set(cells.protocol.ids)
    assert cells.get(WHOLE).facts["censored"] >= 0
    assert cells.get(ONE_YEAR).facts["censored"] is None


def test_horizon_labels_train_the_literal_comparator(cells: Cells) -> None:
    plan = cells._planner.plan(ONE_YEAR).training
    outcomes = query(
        cells.study,
        "SELECT patient_id, months, event FROM outcome WHERE outcome = 'recurrence'",
    ).rows_by_key("patient_id", unique=True)
    assert set(plan.labels.values()) == {0, 1}
    for patient, value in plan.labels.items():
        months, event = outcomes[patient]
        assert value == int(event and months <= 12)
        assert value or months >= 12


def test_numbers_are_means_of_what_the_trained_weights_give(
    cells: Cells, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cells.get(FINAL)
    monkeypatch.setattr(cells_module.shutil, "rmtree", lambda *_, **__: None)  # keep the weights of one more run
    toy_cells(untrained).run([FINAL])
    found = (untrained / ".hccfeat" / "training").glob("*/weights.safetensors")
    weights = max(found, key=lambda path: path.stat().st_mtime_ns)
    recipe = cells._planner.recipe(FINAL)
    encoder = load_encoder(weights, recipe)
    source = next(s for s in sources(cells.study, ["internal"]) if s.image_id == cell.images["image_id"][0])
    patches = PatchMemory(cells.study, "cpu").load(source, recipe)
    vectors, probabilities = embed(encoder, patches.pixels)
    mine = cell.patches.filter(pl.col("image_id") == source.image_id)
    np.testing.assert_allclose(mine["probability"], probabilities, atol=1e-6)
    np.testing.assert_array_equal(mine.select("x", "y").to_numpy(), patches.coords)
    np.testing.assert_allclose(cell.patch_vectors[source.image_id], vectors, atol=1e-6)
    row = cell.images.row(0, named=True)
    assert row["patches"] == len(patches)
    assert row["probability"] == pytest.approx(probabilities.mean(), abs=1e-6)
    np.testing.assert_allclose(row["vector"], vectors.mean(axis=0), atol=1e-6)
    assert cell.patches.height == cell.images["patches"].sum()
    assert cell.images.schema["vector"] == pl.Array(pl.Float32, 8)
    assert {name: str(kind) for name, kind in cell.patches.schema.items()} == {
        "image_id": "String", "patient_id": "String", "cohort": "String", "x": "Int64", "y": "Int64",
        "probability": "Float32",
    }  # fmt: skip


def test_facts_describe_the_training(cells: Cells) -> None:
    facts = cells.get(FINAL).facts
    assert facts["epochs"] == len(facts["history"]) == 3
    assert facts["patients_trained"] == len(cells.get(FINAL).seen)
    assert facts["parameters"] == 8 * 3 * 25 + 8 + 16 + 18
    assert facts["seconds"] > 0
    assert facts["patches"] >= facts["images"] > 0


def test_a_changed_key_of_the_training_is_another_cell(cells: Cells) -> None:
    preset = cells.study / "data_catalog" / "reproduction" / "toy.toml"
    try:
        preset.write_text(PRESET.replace("seed = 7", "seed = 8"))
        assert toy_cells(cells.study).missing() == [CellSpec("other", "1/1", "fold1")]
        preset.write_text(PRESET.replace("external_patches = 4", "external_patches = 5"))
        assert len(toy_cells(cells.study).missing()) == 10
    finally:
        preset.write_text(PRESET)
    assert toy_cells(cells.study).missing() == []
    assert len(toy_cells(cells.study, external=None).missing()) == 10


def test_equal_cells_of_two_names_are_run_once(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = replace_label(cells.preset, "other", "twin", seed=2023)
    same = Cells(cells.study, open_study(cells.study).config, twin, device="cpu", external="external")
    monkeypatch.setattr("hccfeat.extraction.cells.make_cell", None)
    same.run()
    assert same.missing() == []
    spec = CellSpec("twin", "1/1", "fold1")
    assert same.get(spec).spec == spec
    assert same.get(spec).facts == cells.get(CellSpec("toy", "1/1", "fold1")).facts


def replace_label(preset: object, old: str, new: str, *, seed: int) -> object:
    models = [
        entry.model_copy(update={"label": new, "training": {"seed": seed}}) if entry.label == old else entry
        for entry in preset.models  # type: ignore[attr-defined]
    ]
    return preset.model_copy(update={"models": tuple(models)})  # type: ignore[attr-defined]


def test_selection_inside_a_fold_uses_its_training_part_only(cells: Cells) -> None:
    planner = cells._planner
    before = planner.protocol
    identity = planner.plan(FOLD).training.sha256

    def changed(patients: frozenset[str]) -> str:
        mine = np.isin(before.ids, sorted(patients))
        months = np.where(mine, before.os_months[::-1] * 3, before.os_months)
        planner.__dict__["protocol"] = replace(before, os_months=months)
        return planner.plan(FOLD).training.sha256

    try:
        assert changed(before.patients("fold1")) == identity
        assert changed(before.patients("test")) == identity
        assert changed(before.patients("fold2")) != identity
    finally:
        planner.__dict__["protocol"] = before


def test_a_judge_who_trains_is_a_leak(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    planner = toy_cells(cells.study)._planner
    everybody = sources(cells.study, ["internal"])
    monkeypatch.setattr(planner, "_judged", lambda spec: everybody)
    several = len(planner.protocol.patients("fold2"))
    with pytest.raises(LeakageError, match=f"toy 1/2 fold 1: {several} of its judges trained it"):
        planner.plan(FOLD)
    assert planner.plan(WHOLE).judged == everybody


def test_a_file_whose_judges_were_seen_is_refused(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = toy_cells(cells.study)
    path = fresh._path(WHOLE)
    monkeypatch.setattr(fresh, "_path", lambda spec: path)
    with pytest.raises(LeakageError, match="judged on patients it has seen"):
        fresh.get(FINAL)


def test_candidates_are_untreated_training_patients_with_outcomes(cells: Cells) -> None:
    config = open_study(cells.study).config

    def ask(sql: str, params: list[object]) -> pl.DataFrame:
        return query(cells.study, sql, params)

    candidates, forbidden = training_candidates(cells.study, config, ask)
    roles = role(cells.study)
    assert {roles[patient] for patient in candidates["patient_id"]} == {"train"}
    assert {roles[patient] for patient in forbidden} == {"test"}
    assert treated(cells.study).isdisjoint(candidates["patient_id"])
    assert set(cells.protocol.ids) <= set(candidates["patient_id"])
    frame = split_patients(cells.study, config, ask)
    assert set(frame["patient_id"]) == set(roles)
    without_fold, more = training_candidates(cells.study, config, ask, fold=2)
    in_fold = set(frame.filter(pl.col("fold") == 2)["patient_id"])
    assert more == forbidden | in_fold
    assert set(without_fold["patient_id"]) == set(candidates["patient_id"]) - in_fold


def test_what_cannot_be_trained_is_told_and_the_others_go_on(untrained: Path) -> None:
    preset = untrained / "data_catalog" / "reproduction" / "toy.toml"
    text = PRESET.replace('["1/2", "1/1"]', '["1/4", "1/1"]').replace("final = true", "folds = [2]")
    preset.write_text(
        text.replace("seed = 7", "batch_size = 1000").replace(
            "external_patches", "end_to_end = false\nexternal_patches"
        )
    )
    made = toy_cells(untrained)
    made.run()
    too_few, too_large = CellSpec("toy", "1/4", "fold2"), CellSpec("other", "1/1", "fold1")
    assert made.missing() == [too_few, too_large]
    assert set(made.failed) == {too_few, too_large}
    with pytest.raises(AnalysisError, match="subset 1/4"):
        made.get(too_few)
    with pytest.raises(ConfigError, match="batch_size"):
        made.get(too_large)
    assert made.get(CellSpec("toy", "1/1", "fold2")).images.height


def test_a_cell_that_is_not_there_is_told(untrained: Path) -> None:
    made = toy_cells(untrained)
    with pytest.raises(AnalysisError, match="toy 1/2 fold 1: is not trained"):
        made.get(FOLD)
    path = made._path(FOLD)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="not a readable"):
        made.get(FOLD)


def test_an_image_that_is_gone_stops_the_run_and_one_that_is_damaged_does_not(untrained: Path) -> None:
    made = toy_cells(untrained)
    recipe = load_recipe("toy", untrained).model_copy(update={"patches": load_recipe("tiny").patches})
    source = sources(untrained, ["external"])[0]
    with pytest.raises(SlideError, match="no longer there"):
        PatchMemory(untrained, "cpu").load(replace(source, path=str(untrained / "gone.tif")), recipe)
    damaged = untrained / "damaged.tif"
    damaged.write_bytes(b"not a slide")
    facts = damaged.stat()
    other = replace(
        source, path=str(damaged), bytes=facts.st_size, mtime_ns=facts.st_mtime_ns, quick_sha256="0" * 64
    )
    patches = PatchMemory(untrained, "cpu").load(other, recipe)
    assert patches.pixels.shape == (0, 64, 64, 3)
    assert made.missing() == made.specs()


def test_memory_keeps_what_fits(cells: Cells) -> None:
    recipe = cells._planner.recipe(FOLD)
    first, second = sources(cells.study, ["internal"])[:2]
    size = PatchMemory(cells.study, "cpu").load(first, recipe).pixels.nbytes
    memory = PatchMemory(cells.study, "cpu", limit=size)
    memory.prepare([(first, recipe)])
    memory.prepare([(first, recipe), (second, recipe)])
    kept = memory.load(first, recipe)
    assert memory.load(first, recipe) is kept
    again = memory.load(second, recipe)
    assert memory.load(second, recipe) is not again
    np.testing.assert_array_equal(memory.load(second, recipe).pixels, again.pixels)


def test_external_patches_are_drawn_once_for_all_cells() -> None:
    pixels = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    patches = Patches(pixels, np.arange(40).reshape(20, 2))
    drawn = patches.drawn(5, 1, "external/a")
    assert drawn.coords.tolist() == sorted(drawn.coords.tolist())
    assert drawn.pixels.ravel().tolist() == (drawn.coords[:, 0] // 2).tolist()
    assert drawn.coords.tolist() == patches.drawn(5, 1, "external/a").coords.tolist()
    assert drawn.coords.tolist() != patches.drawn(5, 1, "external/b").coords.tolist()
    assert patches.drawn(20, 1) is patches


def test_killed_at_any_moment_the_cells_come_out_the_same(cells: Cells, untrained: Path) -> None:
    command = [sys.executable, "-m", "tests.extraction.cells_study", str(untrained)]
    kills = ["epoch:2", "epoch:3", "write:2", "epoch:8", "write:1"]
    done = subprocess.run([*command, *kills], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["killed"] for one in rounds] == [True] * 5 + [False], done.stderr
    assert [one["checkpoints"] for one in rounds] == [1, 1, 0, 1, 0, 0]
    assert rounds[0]["finished"] == 0
    assert rounds[2]["finished"] > rounds[1]["finished"]
    assert digests(untrained) == digests(cells.study)
    assert [path.name for path in (untrained / "results" / "cells").iterdir() if path.name.startswith(".")] == []
