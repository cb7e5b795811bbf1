from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hccfeat.config import EncoderRecipe, Recipe
from hccfeat.evidence import denoising, denoising_images, denoising_tabular
from hccfeat.evidence.denoising_images import gains, image_recipe, run_images
from hccfeat.evidence.denoising_page import image_part
from hccfeat.evidence.denoising_tabular import COMPARED, gain, level, run_grid, trend
from hccfeat.evidence.patients import ARMS
from hccfeat.evidence.record import Part, Record
from hccfeat.evidence.settings import Settings, load_settings
from hccfeat.evidence.studies import Options
from tests.training import toy  # noqa: F401 - registers its encoder


def _settings(**images: Any) -> Settings:
    settings = load_settings()
    study = settings.denoising
    tabular = study.tabular.model_copy(update={"held_out_patients": 500})
    changed = {"pi": (0.0, 0.4), "tabular": tabular, "images": study.images.model_copy(update=images)}
    return settings.model_copy(update={"denoising": study.model_copy(update=changed)})


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """Ten cohorts of every setting."""
    return run_grid(Record(tmp_path_factory.mktemp("grid") / "denoising.json", "denoising"), _settings(), 10)


def test_denoised_labels_help_where_death_tells_about_the_disease_and_hardly_elsewhere(grid: Part) -> None:
    for arm in ("all", "random"):
        helps = gain(grid, arm, "auroc_a", pi=0.4, gamma=1.0)
        control = gain(grid, arm, "auroc_a", pi=0.4, gamma=0.0)
        assert helps.direction == 1
        assert control.mean < helps.mean / 3


def test_labels_of_survival_alone_tell_nothing_where_death_tells_nothing(grid: Part) -> None:
    found = [level(grid, "os_split:auroc_a", pi=pi, gamma=0.0) for pi in (0.0, 0.4)]
    assert np.abs(np.array(found) - 0.5).max() < 0.05


def test_no_arm_beats_true_labels_and_no_labels_beat_the_signal(grid: Part) -> None:
    for arm in ARMS:
        assert level(grid, f"{arm}:auroc_a", pi=0.4, gamma=1.0) < level(grid, "truth:auroc_a", pi=0.4, gamma=1.0)
    assert level(grid, "truth:auroc_a", pi=0.4, gamma=1.0) < level(grid, "signal:auroc_a", pi=0.4, gamma=1.0)


def test_selection_cleans_labels(grid: Part) -> None:
    setting = {"pi": 0.4, "gamma": 1.0}
    clean, raw, drawn = (level(grid, f"{arm}:agreement", **setting) for arm in ("drl", "all", "random"))
    assert clean > raw + 0.05
    assert abs(raw - drawn) < 0.05


def test_the_trend_is_over_pi_within_each_seed(grid: Part) -> None:
    found = trend(grid, "all", "auroc_a", (0.0, 0.4), 1.0)
    ends = [gain(grid, "all", "auroc_a", pi=pi, gamma=1.0).mean for pi in (0.0, 0.4)]
    assert found.n == 10
    assert found.mean == pytest.approx((ends[1] - ends[0]) / 0.4)


def test_the_page_and_a_second_run_that_makes_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising, "load_settings", _settings)
    options = Options(tmp_path, images=False, replicates=2, command="hccfeat evidence denoising")
    evidence = denoising.run(options)
    assert sum(line.startswith("minus") for line in evidence.summary) == len(COMPARED)
    assert "Images: not run yet." in evidence.summary
    tables = {section.title: section.tables for section in evidence.sections}
    assert len(tables["Tabular stand-in of the encoder"][0].rows) == 4

    def refuse(*key: Any) -> None:
        raise AssertionError(key)

    monkeypatch.setattr(denoising_tabular, "_Replicate", refuse)
    assert denoising.run(options).summary == evidence.summary


SMALL: dict[str, Any] = {
    "training_patients": 16, "held_out_patients": 10, "images_per_patient": 1, "epochs": 1, "step_epochs": 1,
    "bootstraps": 100, "training": {"batch_size": 4},
}  # fmt: skip


def _toy_recipe(study: Any) -> Recipe:
    """The recipe of the study with an encoder that trains in no time."""
    recipe = image_recipe(study)
    return recipe.model_copy(update={"encoder": EncoderRecipe(name="toy_convolution", trunk_weights="none")})


def test_every_arm_goes_through_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising_images, "image_recipe", _toy_recipe)
    settings = _settings(**SMALL)
    part = run_images(Record(tmp_path / "denoising.json", "denoising"), settings, (1,))
    assert [row["arm"] for row in part.select(gamma=1.0)] == sorted(ARMS)
    for row in part.select():
        half = row["arm"] in {"drl", "random"}
        assert (row["trained"] < 16) == half
        assert row["epochs"] == (2 if half else 1)
        assert len(row["scores"]) == 10
        assert row["events_1y"] <= row["n_1y"] <= row["n_a"] <= 10
        assert 0 <= row["auroc_a"] <= 1
    by_arm = {row["arm"]: row["scores"] for row in part.select(gamma=1.0)}
    assert by_arm["cox"] != by_arm["all"]
    section, lines = image_part(part, settings.denoising)
    assert len(section.tables[1].rows) == 2 * len(ARMS)
    assert all("one replicate" in line for line in lines)


def test_image_replicates_are_kept_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(**SMALL)
    rng = np.random.default_rng(0)
    made: list[tuple[Any, ...]] = []

    def fake(study: Any, recipe: Any, patches: Any, *key: Any) -> list[Any]:
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(key)
        scores = [None, *rng.random(9).round(4).tolist()]
        return [0.6 if key[2] == "drl" else 0.5, 0.7, 8, 3, 9, 16, 1, scores]

    monkeypatch.setattr(denoising_images, "_replicate", fake)
    monkeypatch.setattr(denoising_images, "prepared_patches", lambda *key: {})
    with pytest.raises(KeyboardInterrupt):
        run_images(Record(tmp_path / "denoising.json", "denoising"), settings, (1,))
    made.clear()
    part = run_images(Record(tmp_path / "denoising.json", "denoising"), settings, (1,))
    assert len(made) == 3
    assert len(part.rows) == 10
    found, patients = gains(part, settings.denoising, "all", "auroc_1y", 1.0)
    assert found.mean == pytest.approx(0.1)
    assert " to " in patients


def test_arms_with_half_of_the_patients_take_as_many_steps() -> None:
    study = load_settings().denoising.images
    recipe = image_recipe(study)
    assert recipe.encoder.options["dropout"] == 0.0
    assert recipe.patches.target_mpp == 2.0
    assert recipe.name == "evidence-reduced"
