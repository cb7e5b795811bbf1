from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hccfeat.cli import main
from hccfeat.evidence import distillation, distillation_tabular
from hccfeat.evidence.distillation_data import draw_patients, exact_probabilities, truth_parameters
from hccfeat.evidence.distillation_networks import StackedNetwork
from hccfeat.evidence.distillation_page import CLAIM
from hccfeat.evidence.distillation_tabular import (
    SCORES,
    bootstrap_interval,
    difference,
    draw_cohorts,
    level,
    replicate,
    run_tabular,
)
from hccfeat.evidence.distillation_training import ARMS, LATER, Cohorts, train_arm
from hccfeat.evidence.paired import paired
from hccfeat.evidence.record import Part, Record
from hccfeat.evidence.settings import DistillationStandIn, Settings, Truth, load_settings
from hccfeat.evidence.studies import Options

SIMULATED, K_ONLY = Truth(name="as simulated"), Truth(name="K only", to_k=("s", "i"))


def _small(**changes: Any) -> DistillationStandIn:
    study = load_settings().distillation.tabular
    training = study.training.model_copy(update={"epochs": 4})
    sizes = {"training_patients": 96, "held_out_patients": 150, "group": 2, "training": training, "bootstraps": 100}
    return study.model_copy(update={**sizes, "sensitivity": study.sensitivity[:1], **changes})


def _settings(**changes: Any) -> Settings:
    settings = load_settings()
    study = settings.distillation.model_copy(update={"tabular": _small(**changes)})
    return settings.model_copy(update={"distillation": study})


def _told(shared: float) -> Cohorts:
    """Cohorts whose items tell the grade and whose images show it with noise, the better the larger ``shared``.

    Seven in ten training labels are drawn at random, so that whoever reads the items knows better than they do.
    """
    rng, seeds, train, n = np.random.default_rng(5), range(12), 240, 440
    grades = rng.integers(0, 3, (len(seeds), n))
    images = rng.standard_normal((len(seeds), n, 2, 16))
    images[..., 0] += shared * (grades[:, :, None] - 1)
    labels = np.where(rng.random(grades.shape) < 0.7, rng.integers(0, 3, grades.shape), grades)
    labels[:, train:] = grades[:, train:]
    return Cohorts(
        seeds=list(seeds),
        images=torch.from_numpy(images).float(),
        items=torch.from_numpy(np.eye(3)[grades] * 3).float(),
        grades=torch.from_numpy(labels),
        exact=torch.from_numpy(np.log(np.eye(3)[grades] * 0.97 + 0.01)).float(),
        train=train,
    )


def _planted(shared: float) -> dict[str, np.ndarray]:
    """AUC by seed of some arms that listen to their teacher, on cohorts with one that knows."""
    study, cohorts = _small(), _told(shared)
    study = study.model_copy(
        update={"training": study.training.model_copy(update={"epochs": 15, "lambda_class": 5})}
    )
    return {
        name: np.array(distillation_tabular._areas(cohorts, train_arm({**ARMS, **LATER}[name], cohorts, study)[0]))
        for name in ("real", "permuted", "exact", "none")
    }


def test_a_planted_gain_is_found() -> None:
    found = _planted(0.6)
    assert paired(found["real"] - found["permuted"]).direction == 1
    assert (found["exact"] - found["none"]).mean() > 0.04


def test_no_gain_is_found_where_images_tell_nothing() -> None:
    found = _planted(0.0)
    assert paired(found["real"] - found["permuted"]).direction == 0
    assert abs((found["exact"] - found["none"]).mean()) < 0.03


def test_a_network_of_a_stack_learns_as_it_does_alone() -> None:
    rows = replicate(_small(), SIMULATED, [3, 1, 2])
    assert replicate(_small(), SIMULATED, [1]) == rows[1:2]


def test_networks_of_equal_seeds_start_equal_whatever_else_there_is() -> None:
    def student(phases: tuple[int, ...], seeds: list[int]) -> StackedNetwork:
        return StackedNetwork(phases, 5, 0, hidden=4, stream=3, classes=3, seeds=seeds, deep_head=False)

    both, one = student((0, 1), [7, 8]), student((1,), [8])
    for full, single in zip(both.branches[1].parameters(), one.branches[0].parameters(), strict=True):
        assert torch.equal(full[1], single[0])
    first, second = (weights[1] for weights in (both.branches[0][0].weight, both.branches[1][0].weight))
    assert not torch.equal(first, second)


def test_students_see_no_items() -> None:
    cohorts = _told(0.6)
    blind = Cohorts(cohorts.seeds, cohorts.images, cohorts.items * 0, cohorts.grades, cohorts.exact, cohorts.train)
    for arm in ("none", "image", "pre"):
        seen, hidden = (train_arm(ARMS[arm], one, _small())[0] for one in (cohorts, blind))
        assert np.array_equal(seen, hidden)
    assert not np.array_equal(*(train_arm(ARMS["real"], one, _small())[0] for one in (cohorts, blind)))


def test_truths_differ_in_the_grade_and_nothing_else() -> None:
    simulated, control = (draw_patients(truth_parameters(truth), 400, 1) for truth in (SIMULATED, K_ONLY))
    np.testing.assert_array_equal(simulated.items, control.items)
    np.testing.assert_array_equal(simulated.latents.signals, control.latents.signals)
    assert (simulated.latents.grade != control.latents.grade).any()
    assert np.corrcoef(control.latents.score, control.latents.k)[0, 1] > 0.8
    assert abs(np.corrcoef(control.latents.score, control.latents.i)[0, 1]) < 0.15
    weights = truth_parameters(K_ONLY).latents, truth_parameters(SIMULATED).latents
    spreads = [np.hypot(np.hypot(one.weight_s, one.weight_i), one.weight_k) for one in weights]
    assert spreads[0] == pytest.approx(spreads[1])


def test_exact_probabilities_are_those_of_the_grades() -> None:
    parameters = truth_parameters(SIMULATED)
    people = draw_patients(parameters, 4000, 1)
    found = exact_probabilities(parameters, people.latents)
    assert found.sum(axis=1) == pytest.approx(1)
    shares = np.bincount(people.latents.grade) / 4000
    assert found.mean(axis=0) == pytest.approx(shares, abs=0.02)
    sure = found[:, 2] > 0.8
    assert (people.latents.grade[sure] == 2).mean() == pytest.approx(found[sure, 2].mean(), abs=0.06)


def test_scales_are_learned_from_those_who_train() -> None:
    study = _small()
    cohorts = draw_cohorts(study, SIMULATED, [1])
    train = cohorts.images[0, : cohorts.train]
    assert float(train.mean(dim=0).abs().max()) < 1e-5
    assert float(cohorts.items[0, : cohorts.train].mean(dim=0).abs().max()) < 1e-4
    assert float(cohorts.items[0].mean(dim=0).abs().max()) > 1e-2


def test_where_images_tell_nothing_no_student_learns_and_the_teacher_does() -> None:
    study = _small(held_out_patients=400, training_patients=216)
    rows = [dict(zip(SCORES, row, strict=True)) for row in replicate(study, K_ONLY, range(1, 11))]
    for arm in ARMS:
        assert np.mean([row[arm] for row in rows]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([row["teacher:real"] for row in rows]) > 0.6


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    part = Part("tabular", {}, ("truth", "seed", "real", "permuted"), 2)
    part.rows = [["a", seed, 0.6 + seed / 10, 0.6 + seed / 10 - gain] for seed, gain in ((1, 0.02), (2, 0.04))]
    found = difference(part, *CLAIM, truth="a")
    assert (found.n, found.mean) == (2, pytest.approx(0.03))
    lower, upper = bootstrap_interval(part, *CLAIM, 200, truth="a")
    assert (lower, upper) == (pytest.approx(0.02), pytest.approx(0.04))
    assert level(part, "real", truth="a").mean == pytest.approx(0.75)
    assert bootstrap_interval(Part("t", {}, part.columns, 2, part.rows[:1]), *CLAIM, 200) == (None, None)


def test_groups_that_are_kept_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(truths=(SIMULATED,))
    made: list[list[int]] = []

    def fake(study: Any, truth: Any, seeds: list[int], wanted: Any) -> list[list[float]]:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(list(seeds))
        return [[0.5] * len(wanted) for _ in seeds]

    monkeypatch.setattr(distillation_tabular, "replicate", fake)
    with pytest.raises(KeyboardInterrupt):
        run_tabular(Record(tmp_path / "distillation.json", "distillation"), settings, 3)
    made.clear()
    part = run_tabular(Record(tmp_path / "distillation.json", "distillation"), settings, 3)
    assert made == [[3]]
    assert [row["seed"] for row in part.select()] == [1, 2, 3]


def test_the_page_and_a_second_run_that_makes_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "load_settings", lambda: _settings(truths=(SIMULATED, K_ONLY)))
    options = Options(tmp_path, images=False, replicates=2, command="hccfeat evidence distillation")
    evidence = distillation.run(options)
    text = " ".join(evidence.summary)
    assert "real teacher minus teacher with permuted items: as simulated " in text
    assert text.count("The teacher's own AUC with the items") == 2
    assert "CMD-Net: not run yet" in text
    tables = {section.title: section.tables for section in evidence.sections}
    assert len(tables["Tabular stand-in of CMD-Net"][0].rows) == 14
    assert tables["Tabular stand-in of CMD-Net"][2].rows[0][2] == "0.500"

    def refuse(*key: Any) -> None:
        raise AssertionError(key)

    monkeypatch.setattr(distillation_tabular, "replicate", refuse)
    assert distillation.run(options).summary == evidence.summary


def test_the_command_knows_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distillation, "load_settings", lambda: _settings(truths=(SIMULATED,)))
    arguments = [
        "evidence",
        "distillation",
        "--tabular-only",
        "--replicates",
        "2",
        "--out",
        str(tmp_path),
        "--quiet",
    ]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("SIMULATED: does a teacher")
    page = (tmp_path / "distillation.md").read_text()
    assert "](distillation-tabular.svg)" in page
    assert (tmp_path / "distillation-tabular.svg").read_text().startswith("<?xml")
