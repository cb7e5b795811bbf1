from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hccfeat.evidence import distillation_volumes
from hccfeat.evidence.distillation_page import CLAIM
from hccfeat.evidence.distillation_volumes import (
    CONTROLS,
    METHOD_OF,
    arms_of,
    complete_seeds,
    difference,
    level,
    patients_of,
    render_seed,
    run_volumes,
    train_and_judge,
    volume_recipe,
)
from hccfeat.evidence.distillation_volumes_page import volumes_part
from hccfeat.evidence.record import Record
from hccfeat.evidence.settings import DistillationVolumes, Settings, Truth, load_settings
from hccfeat.training.mri_methods import method

SIMULATED, K_ONLY = Truth(name="as simulated"), Truth(name="K only", to_k=("s", "i"))


def _small() -> DistillationVolumes:
    study = load_settings().distillation.volumes
    sizes = {
        "training_patients": 12,
        "held_out_patients": 9,
        "recipe": "mri-tiny",
        "volumes": {},
        "bootstraps": 100,
    }
    training = {"precision": "float32", "epochs": 1}
    return study.model_copy(update={**sizes, "training": training, "truths": (SIMULATED, K_ONLY)})


def _settings() -> Settings:
    settings = load_settings()
    study = settings.distillation.model_copy(update={"volumes": _small()})
    return settings.model_copy(update={"distillation": study})


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the exams of seed 1."""
    folder = tmp_path_factory.mktemp("rendered")
    render_seed(_small(), folder, 1)
    return folder


def test_exams_are_rendered_and_prepared_once_for_every_truth(rendered: Path) -> None:
    volumes = np.load(rendered / "1.npy", allow_pickle=False)
    assert volumes.shape == (21, 2, 8, 16, 16)
    assert volumes.dtype == np.float32
    assert len({volume.tobytes() for exam in volumes for volume in exam}) == 42
    simulated, control = (patients_of(_small(), truth, 1) for truth in ("as simulated", "K only"))
    np.testing.assert_array_equal(simulated.latents.signals, control.latents.signals)
    np.testing.assert_array_equal(simulated.latents.diameter_mm, control.latents.diameter_mm)


def test_an_arm_is_trained_and_judged_with_its_teacher(rendered: Path) -> None:
    rows = train_and_judge(_small(), rendered, "as simulated", 1, "real")
    assert [row[0] for row in rows] == ["student", "teacher"]
    for _, area, told in rows:
        assert 0 <= area <= 1
        assert np.array(told).shape == (9, 2)
        assert (np.array(told) >= 0).all()
    assert [row[0] for row in train_and_judge(_small(), rendered, "K only", 1, "none")] == ["student"]
    assert train_and_judge(_small(), rendered, "as simulated", 1, "real") == rows


def test_every_arm_is_a_method_of_the_tables() -> None:
    teachers = {arm: method(name).distillation for arm, name in METHOD_OF.items()}
    assert {arm: found.teacher for arm, found in teachers.items() if found is not None} == {
        "real": "clinical",
        "permuted": "permuted",
        "image": "image",
    }
    assert arms_of(SIMULATED) == tuple(METHOD_OF)
    assert arms_of(K_ONLY) == CONTROLS
    assert volume_recipe(_small(), 7).training.seed == 7


class _Here(ThreadPoolExecutor):
    """Runs what a pool of processes would, one after the other."""

    def __init__(self, count: int) -> None:
        super().__init__(1)


def test_arms_are_kept_one_by_one_and_the_page_waits_for_whole_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, study = _settings(), _small()
    made: list[tuple[Any, ...]] = []

    def fake(study: Any, folder: Path, truth: str, seed: int, arm: str) -> list[list[Any]]:
        if len(made) == 10:
            raise KeyboardInterrupt
        made.append((truth, seed, arm))
        told = np.random.default_rng([seed, len(arm)]).random((9, 2)).round(4) / 2
        gain = 0.02 * (arm == "real" and truth == "as simulated")
        judged = ["student", *(["teacher"] if arm in ("real", "permuted", "image") else [])]
        return [[who, round(0.6 + gain + seed / 100, 4), told.tolist()] for who in judged]

    monkeypatch.setattr(distillation_volumes, "workers", _Here)
    monkeypatch.setattr(distillation_volumes, "render_seed", lambda *key: None)
    monkeypatch.setattr(distillation_volumes, "train_and_judge", fake)
    with pytest.raises(KeyboardInterrupt):
        run_volumes(Record(tmp_path / "distillation.json", "distillation"), settings, (1, 2))
    kept = run_volumes(Record(tmp_path / "distillation.json", "distillation"), settings, ())
    assert len(kept.done()) == 10
    assert complete_seeds(kept, study) == [1]
    assert "1 seed, as simulated" in volumes_part(kept, study)[1][0]
    made.clear()
    part = run_volumes(Record(tmp_path / "distillation.json", "distillation"), settings, (1, 2))
    assert len(made) == 8
    assert complete_seeds(part, study) == [1, 2]
    found, patients = difference(part, study, [1, 2], "as simulated", *CLAIM)
    assert found.mean == pytest.approx(0.02)
    assert None not in patients
    assert level(part, [1, 2], "as simulated", "real", "teacher") == [0.63, 0.64]
    section, lines = volumes_part(part, study)
    assert len(section.tables[0].rows) == 7 + 3
    assert len(section.tables[1].rows) == 9 + 5
    assert any("K only, real teacher minus teacher with permuted items: +0.000" in line for line in lines)
    assert any("own AUC" in line for line in lines)
    again = run_volumes(Record(tmp_path / "distillation.json", "distillation"), settings, (1, 2))
    assert again.ordered() == part.ordered()


def test_nothing_was_run(tmp_path: Path) -> None:
    part = run_volumes(Record(tmp_path / "distillation.json", "distillation"), _settings(), ())
    section, lines = volumes_part(part, _small())
    assert not section.tables
    assert lines == ["Rendered exams and CMD-Net: not run yet."]
