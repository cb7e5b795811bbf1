"""Which losses count when, and by how much."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from hccfeat.training.mri_build import build_network, file_stem, network_options, teacher_of
from hccfeat.training.mri_data import Batch, ExamBatches, item_rows
from hccfeat.training.mri_learner import TERMS, Learner, Moment, distillation_weights, learning_rate
from hccfeat.training.mri_methods import METHODS, Distillation, Method, families
from tests.training.mri_toy import ITEMS, toy_exams, toy_mri_recipe


def batch() -> Batch:
    return ExamBatches(toy_exams(6), items=True)[range(6)]


def learner(method: str | Method, *, items: int | None = None, **training: Any) -> Learner:
    chosen = METHODS[method] if isinstance(method, str) else method
    recipe = toy_mri_recipe(**training)
    network = build_network(chosen.network, network_options(chosen, recipe, items), 1)
    return Learner(
        chosen.name, network, recipe.training, draws=chosen.network, identity="", distillation=chosen.distillation
    )


def has_gradient(module: nn.Module) -> bool:
    return any(parameter.grad is not None for parameter in module.parameters())


@pytest.fixture
def teacher() -> Learner:
    made = learner("teacher", items=ITEMS)
    made.network.scaler.fit(item_rows(toy_exams(6)))  # type: ignore[operator, union-attr]
    return made


def history_of(student: Learner, teacher: Learner | None, epoch: int = 0) -> dict[str, Any]:
    student.start_epoch(epoch)
    target = None if teacher is None else teacher.step(batch(), None, Moment(epoch), lower=False)
    student.step(batch(), target, Moment(epoch), lower=False)
    student.finish_epoch(epoch, 6)
    return student.history[-1]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("ours", (1.0, 1.0, 0.0)),
        ("KD_ours", (1.0, 0.0, 0.0)),
        ("SP_ours", (1.0, 0.0, 1.0)),
        ("ours-w/o-class-KL", (0.0, 1.0, 0.0)),
        ("ours-w/o-feature-KL", (1.0, 0.0, 0.0)),
    ],
)
def test_the_total_is_the_weighted_sum_of_its_terms(
    teacher: Learner, name: str, weights: tuple[float, float, float]
) -> None:
    row = history_of(learner(name), teacher)
    terms = zip(weights, (row["class_kl"], row["feature_kl"], row["similarity"]), strict=True)
    assert row["total"] == pytest.approx(row["focal"] + sum(weight * term for weight, term in terms), rel=1e-5)
    assert min(row["class_kl"], row["feature_kl"], row["similarity"]) > 0
    assert row["stage_focal"] is row["items"] is None


def test_weights_of_the_recipe_hold_where_the_method_has_none() -> None:
    training = toy_mri_recipe(lambda_class=0.5, beta_feature=3.0).training
    expected = {"class_kl": 0.5, "feature_kl": 3.0, "similarity": 0.0}
    assert distillation_weights(Distillation(), training) == expected
    own = Distillation(class_weight=0.0, feature_weight=2.0, similarity_weight=4.0)
    assert distillation_weights(own, training) == {"class_kl": 0.0, "feature_kl": 2.0, "similarity": 4.0}


def test_without_a_teacher_only_the_focal_loss_counts() -> None:
    row = history_of(learner("S-pre-hbp"), None)
    assert row["total"] == row["focal"] > 0
    assert [name for name in TERMS if row[name] is None] == [
        "stage_focal", "class_kl", "feature_kl", "similarity", "items",
    ]  # fmt: skip


def test_the_teacher_learns_from_its_grades_alone_and_passes_on_no_graph(teacher: Learner) -> None:
    teacher.start_epoch(0)
    told = teacher.step(batch(), None, Moment(0), lower=False)
    assert not any(part.requires_grad for part in (told.logits, told.embedding, told.streams))
    after = [parameter.clone() for parameter in teacher.network.parameters()]
    learner("ours").step(batch(), told, Moment(0), lower=False)
    assert all(torch.equal(*pair) for pair in zip(after, teacher.network.parameters(), strict=True))
    teacher.finish_epoch(0, 6)
    assert teacher.history[0]["total"] == teacher.history[0]["focal"]


def test_stages_train_the_heads_of_single_phases_first() -> None:
    staged = learner("Concat_2S", epochs=4)
    staged.stages = "before"
    network: Any = staged.network
    row = history_of(staged, None, epoch=1)
    assert row["total"] == row["stage_focal"] != row["focal"]
    assert has_gradient(network.single)
    assert not has_gradient(network.head)
    row = history_of(staged, None, epoch=2)
    assert row["total"] == row["focal"]
    assert has_gradient(network.head)
    assert has_gradient(network.branches)
    assert not has_gradient(network.single)


def test_heads_of_single_phases_otherwise_learn_beside_the_joint_one() -> None:
    row = history_of(learner("M2Net"), None)
    assert row["total"] == pytest.approx(row["focal"] + row["stage_focal"], rel=1e-6)
    assert row["stage_focal"] > row["focal"] / 2


def test_items_are_reconstructed_where_the_recipe_gives_them_a_weight(teacher: Learner) -> None:
    student = learner("ours", items=ITEMS, lambda_clinical=0.5)
    student.scaler = teacher.network.scaler  # type: ignore[assignment]
    row = history_of(student, teacher)
    expected = row["focal"] + row["class_kl"] + row["feature_kl"] + 0.5 * row["items"]
    assert row["total"] == pytest.approx(expected, rel=1e-5)
    for name, items in (("teacher", ITEMS), ("image-teacher", None), ("S-pre-hbp", None)):
        assert not network_options(METHODS[name], toy_mri_recipe(lambda_clinical=0.5), items)["reconstruct_items"]


def test_learning_rate_falls_as_a_cosine() -> None:
    training = toy_mri_recipe(epochs=4, learning_rate=0.1).training
    rates = [learning_rate(training, epoch) for epoch in range(4)]
    assert rates == pytest.approx([0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5))])
    student = learner("S-pre", epochs=4, learning_rate=0.1)
    student.start_epoch(2)
    assert student.optimiser.param_groups[0]["lr"] == pytest.approx(0.05)
    assert student.optimiser.param_groups[0]["weight_decay"] == 1e-5


def test_bfloat16_is_for_convolutions_only() -> None:
    single, half = learner("S-pre-hbp"), learner("S-pre-hbp")
    outputs = [one.step(batch(), None, Moment(0), lower=one is half) for one in (single, half)]
    assert {part.dtype for output in outputs for part in output[:3]} == {torch.float32}  # type: ignore[union-attr]
    assert not torch.equal(outputs[0].logits, outputs[1].logits)
    assert torch.allclose(outputs[0].logits, outputs[1].logits, atol=0.1)


def test_equal_networks_of_different_methods_start_alike() -> None:
    one, other = learner("ours"), learner("S-pre-hbp")
    assert all(
        torch.equal(*pair) for pair in zip(one.network.parameters(), other.network.parameters(), strict=True)
    )


def test_every_method_has_a_teacher_and_a_file_of_its_own() -> None:
    stems: list[str] = []
    for family in families(list(METHODS.values())):
        teaching = teacher_of(family)
        stems += [file_stem(method) for method in family if teaching is None or method != teaching[1]]
        if teaching is not None:
            kind, method = teaching
            stems.append(file_stem(method, kind))
            assert method.network == ("image_teacher" if kind == "image" else "cmd_teacher")
            assert method.phases == family[0].phases
            assert method.cross_attention == family[0].cross_attention
    assert len(set(stems)) == len(stems) == len(METHODS) + 5
    teachers = {stem for stem in stems if stem.startswith("teacher")}
    assert teachers == {
        "teacher",
        "teacher-pre",
        "teacher-hbp",
        "teacher-w-o-ca",
        "teacher-image",
        "teacher-permuted",
    }
    assert teacher_of((METHODS["ours"],)) == ("clinical", METHODS["teacher"])
    assert teacher_of((replace(METHODS["ours"], name="mine"), METHODS["teacher"])) == (
        "clinical",
        METHODS["teacher"],
    )
