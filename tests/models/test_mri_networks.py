"""CMD-Net and its comparators: shapes, sizes, precision, and who may see what."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

from hccfeat.errors import ConfigError, StoreError
from hccfeat.models.cmd_net import CmdStudent
from hccfeat.models.mri_base import PHASES, MriOutput, phases_of
from hccfeat.models.mri_blocks import ClinicalPath, ConvBlock, MriBranch
from hccfeat.models.mri_registry import NETWORKS, create_mri
from hccfeat.models.sizes import size_of
from hccfeat.models.weights import load_weights, save_weights
from tests.models.mri import IMAGE_NETWORKS, ITEMS, items, network, settled, teacher, tensors, volumes

BRANCH = 8_870_080
NORMS = 2 * (2 * (64 + 128 + 256 + 256) + 256)


@pytest.mark.parametrize(("name", "width", "streams"), [
    ("cmd_student", 32, 2), ("image_teacher", 32, 2), ("concat", 32, 2), ("cnn3d", 16, 1), ("lstm", 16, 2),
    ("m2net", 48, 2), ("concat_2s", 32, 2),
])  # fmt: skip
def test_shapes(name: str, width: int, streams: int) -> None:
    made = network(name)
    output = made(volumes(4))
    assert output.logits.shape == (4, 3)
    assert output.embedding.shape == (4, width) == (4, made.embedding_dim)
    assert output.streams.shape == (4, streams, 16)
    assert output.items is None
    if name in {"m2net", "concat_2s"}:
        assert output.stage_logits is not None
        assert output.stage_logits.shape == (4, 2, 3)
    else:
        assert output.stage_logits is None
    assert all(value.dtype == torch.float32 for value in tensors(output))


def test_a_teacher_and_the_reconstruction() -> None:
    output = teacher()(volumes(4), items(4))
    assert [tuple(value.shape) for value in tensors(output)] == [(4, 3), (4, 32), (4, 2, 16)]
    reconstructed = network("cmd_student", reconstruct_items=True)(volumes(4)).items
    assert reconstructed is not None
    assert reconstructed.shape == (4, ITEMS)


def test_sizes_at_the_papers_widths() -> None:
    """P2 readings 1, 5, 8 and 9: 110,528, 1,575,936, and 8.87 M for a branch before BatchNorm."""
    branch = MriBranch(channels=(64, 128, 256, 256), stream_dim=512)
    norms = sum(size_of(part).parameters for part in branch.modules() if isinstance(part, nn.BatchNorm3d))
    assert norms == NORMS
    assert size_of(branch).parameters - norms == BRANCH
    assert size_of(ClinicalPath(52, (64, 128, 256, 256), 0.1)).parameters == 110_528
    attention, one_layer, two_layers = 1_575_936, 1024 * 3 + 3, 1024 * 256 + 256 + 256 * 3 + 3
    branches = 2 * (BRANCH + NORMS)
    first_convolution_of_a_second_phase = 64 * 27
    expected = {
        "cmd_student": branches + attention + one_layer,
        "cmd_teacher": branches + 2 * 110_528 + attention + two_layers,
        "image_teacher": branches + attention + two_layers,
        "concat": branches + two_layers,
        "cnn3d": branches // 2 + first_convolution_of_a_second_phase + 512 * 256 + 256 + 256 * 3 + 3,
        "lstm": branches + 4 * (512 * 512 * 2 + 512 * 2) + 512 * 3 + 3,
        "m2net": branches + 2 * (512 * 3 + 3) + 512 * 256 + 256 + 256 * 3 + 3 + 3,
        "concat_2s": branches + 2 * (512 * 3 + 3) + two_layers,
    }
    with torch.device("meta"):
        assert {name: size_of(create_mri(name)).parameters for name in NETWORKS} == expected
        without = size_of(create_mri("cmd_student", cross_attention=False)).parameters
        assert without == size_of(create_mri("cmd_student", attention="none")).parameters
        assert without == expected["cmd_student"] - attention
        single = size_of(create_mri("cmd_student", phases=("hbp",))).parameters
    assert single == branches // 2 + 512 * 3 + 3


def test_a_block_halves_a_volume_and_leaves_a_voxel_a_voxel() -> None:
    block = ConvBlock(1, 2)
    assert block(torch.zeros(2, 1, 8, 5, 1)).shape == (2, 2, 4, 3, 1)
    branch = MriBranch(channels=(2, 2, 2, 2), stream_dim=3)
    assert branch.maps(torch.zeros(2, 1, 8, 16, 33)).shape == (2, 2, 1, 1, 3)


def test_clinical_weights_multiply_the_channels_before_the_second_norm() -> None:
    torch.manual_seed(1)
    block, maps = ConvBlock(1, 3).eval(), torch.randn(2, 1, 4, 4, 4)
    weights = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.5, 0.0]])
    convolved = block.second(block.first_norm(block.first(maps)).relu())
    expected = block.second_norm(convolved * weights[:, :, None, None, None]).relu()
    torch.testing.assert_close(block(maps, weights), expected)
    torch.testing.assert_close(block(maps, torch.ones(2, 3)), block(maps))


@pytest.mark.parametrize(
    ("name", "attention"), [*((name, "vector") for name in IMAGE_NETWORKS), ("cmd_student", "map")]
)
def test_gradients_reach_every_parameter(name: str, attention: str) -> None:
    made = network(name, attention=attention, reconstruct_items=True)
    check_gradients(made, made(volumes(6, shape=(16, 32, 32))))


def test_gradients_reach_every_parameter_of_the_teacher() -> None:
    made = teacher(clinical_dropout=0.0)
    check_gradients(made, made(volumes(6, shape=(16, 32, 32)), items(6)))


def check_gradients(made: nn.Module, output: MriOutput) -> None:
    torch.manual_seed(2)
    sum((value * torch.randn_like(value)).sum() for value in tensors(output)).backward()
    without = [key for key, value in made.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_no_network_but_the_teacher_can_be_given_clinical_items(name: str) -> None:
    made = network(name)
    assert list(inspect.signature(made.forward).parameters) == ["volumes"]
    with pytest.raises(TypeError):
        made(volumes(2), items(2))
    assert not [key for key in made.state_dict() if "clinical" in key or "scaler" in key]


def test_a_student_taught_by_a_teacher_judges_without_items(tmp_path: Path) -> None:
    """After a joint step its state fits a student that was never told how many items there are."""
    student, taught_by = network("cmd_student"), teacher()
    batch = volumes(6)
    target = taught_by(batch, items(6)).logits.detach().softmax(dim=1)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.1)
    nn.functional.cross_entropy(student(batch).logits, target).backward()
    optimiser.step()
    save_weights(tmp_path / "student.safetensors", student, {})
    judge = CmdStudent(channels=(4, 6, 8, 8), stream_dim=16).eval()
    load_weights(tmp_path / "student.safetensors", judge)
    student.eval()
    assert torch.equal(judge(batch).logits, student(batch).logits)
    assert size_of(judge) == size_of(network("cmd_student", items=999))


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_both_phases_are_used(name: str) -> None:
    made, exams = settled(network(name), volumes(8, seed=4)), volumes(3)
    logits = made(exams).logits
    for place in range(2):
        changed = exams.clone()
        changed[:, place] = volumes(3, seed=9)[:, place]
        assert not torch.allclose(made(changed).logits, logits, atol=1e-6)


@pytest.mark.parametrize("phase", PHASES)
def test_a_network_of_one_phase_sees_that_phase_only(phase: str) -> None:
    place, exams, other = PHASES.index(phase), volumes(3), volumes(3, seed=9)
    changed_elsewhere, changed = exams.clone(), exams.clone()
    changed_elsewhere[:, 1 - place] = other[:, 1 - place]
    changed[:, place] = other[:, place]
    student = settled(network("cmd_student", phases=(phase,)), volumes(8, seed=4))
    taught_by = settled(teacher(phases=(phase,)), volumes(8, seed=4), items(8))
    for run in (student, lambda batch: taught_by(batch, items(3))):
        assert run(exams).embedding.shape == (3, 16)
        assert torch.equal(run(exams).embedding, run(exams).streams[:, 0])
        assert torch.equal(run(changed_elsewhere).logits, run(exams).logits)
        assert not torch.equal(run(changed).logits, run(exams).logits)


def test_streams_are_z_before_the_cross_attention() -> None:
    exams = volumes(3, shape=(16, 32, 32))
    made = {
        attention: network("cmd_student", attention=attention).eval() for attention in ("vector", "map", "none")
    }
    for student in made.values():
        student.body.branches.load_state_dict(made["none"].body.branches.state_dict())
    found = {attention: student(exams) for attention, student in made.items()}
    for output in found.values():
        assert torch.equal(output.streams, found["none"].streams)
    assert torch.equal(found["none"].embedding, found["none"].streams.flatten(1))
    attention = made["vector"].body.attention
    assert attention is not None
    after = torch.cat(attention(*found["vector"].streams.unbind(1)), dim=1)
    torch.testing.assert_close(found["vector"].embedding, after)


def test_map_attention_acts_on_the_last_maps_before_they_are_pooled() -> None:
    student, exams = network("cmd_student", attention="map").eval(), volumes(2, shape=(16, 32, 32))
    body = student.body
    pre, hbp = (branch.maps(phase) for branch, phase in zip(body.branches, phases_of(exams, PHASES), strict=True))
    assert pre.shape == (2, 8, 1, 2, 2)
    assert body.attention is not None
    attended = body.attention(pre.flatten(2).mT, hbp.flatten(2).mT)
    expected = [
        branch.projection(tokens.mean(dim=1)) for branch, tokens in zip(body.branches, attended, strict=True)
    ]
    torch.testing.assert_close(student(exams).embedding, torch.cat(expected, dim=1))


def test_the_teacher_imputes_and_uses_raw_items() -> None:
    made, exams, raw = settled(teacher(), volumes(8, seed=4), items(8)), volumes(3), items(3).nan_to_num(41.0)
    logits = made(exams, raw).logits
    missing, filled = raw.clone(), raw.clone()
    missing[:, 2], filled[:, 2] = torch.nan, made.scaler.median[2]
    assert torch.equal(made(exams, missing).logits, made(exams, filled).logits)
    assert not torch.allclose(made(exams, raw + torch.tensor([2, 0, 0, 0, 0])).logits, logits, atol=1e-6)


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_exams_are_judged_one_by_one_and_the_same_each_time(name: str) -> None:
    made, exams = settled(network(name), volumes(8, seed=4)), volumes(5)
    order = torch.tensor([3, 1, 4, 0, 2])
    first = made(exams)
    assert torch.equal(made(exams).logits, first.logits)
    torch.testing.assert_close(made(exams[order]).embedding, first.embedding[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made(exams[:1]).logits, first.logits[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_convolutions_run_in_bfloat16(name: str) -> None:
    made = teacher() if name == "cmd_teacher" else network(name)
    seen = set()
    for part in made.modules():
        if isinstance(part, nn.Conv3d | nn.Linear | nn.LSTM):
            part.register_forward_hook(
                lambda part, _, output: seen.add(
                    (type(part).__name__, (output if isinstance(output, torch.Tensor) else output[0]).dtype)
                )
            )
    inputs = (volumes(4), items(4)) if name == "cmd_teacher" else (volumes(4),)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = made(*inputs)
    assert all(value.dtype == torch.float32 for value in tensors(output))
    assert {kind for kind, dtype in seen if dtype == torch.bfloat16} == {"Conv3d"}
    assert ("Linear", torch.float32) in seen


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_survive_a_file_and_a_seed_decides_them(name: str, tmp_path: Path) -> None:
    make = teacher if name == "cmd_teacher" else lambda: network(name)
    made = make()
    made(*((volumes(4), items(4)) if name == "cmd_teacher" else (volumes(4),)))  # running statistics move
    digest = save_weights(tmp_path / "a.safetensors", made, {"network": name})
    other = make()
    assert load_weights(tmp_path / "a.safetensors", other) == {"network": name}
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in made.state_dict().items())
    assert save_weights(tmp_path / "b.safetensors", other, {"network": name}) == digest
    again, first = make().state_dict(), make().state_dict()
    assert all(torch.equal(value, first[key]) for key, value in again.items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", network("cmd_student"), {})
    with pytest.raises(StoreError, match="another network"):
        load_weights(tmp_path / "a.safetensors", network("cmd_student", cross_attention=False))


@pytest.mark.parametrize("shape", [(2, 1, 8, 8, 8), (2, 3, 8, 8, 8), (2, 8, 8, 8)])
def test_volumes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="takes"):
        network("cmd_student")(torch.zeros(shape))
