"""Networks of MRI exams by name: options are checked, and those of a recipe are taken."""

from typing import Any

import pytest
import torch

from hccfeat.config import load_mri_recipe
from hccfeat.errors import ConfigError
from hccfeat.models.mri_base import MriNetwork
from hccfeat.models.mri_baselines import CompactBilinear, M2Net
from hccfeat.models.mri_registry import NETWORKS, create_mri
from hccfeat.training.mri_methods import METHODS
from tests.models.mri import SMALL, network, volumes


@pytest.mark.parametrize("recipe", ["mri-tiny", "mri-reduced"])
def test_every_method_of_every_table_can_be_made_from_a_recipe(recipe: str) -> None:
    options = load_mri_recipe(recipe).network.model_dump()
    with torch.device("meta"):
        for method in METHODS.values():
            made = create_mri(
                method.network, phases=method.phases, cross_attention=method.cross_attention, items=52, **options
            )
            assert isinstance(made, MriNetwork) == (method.network != "cmd_teacher")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {}, "does not exist"),
        ("cmd_student", {"chanels": (4, 4, 4, 4)}, "has no option chanels"),
        ("cmd_student", {"phases": ()}, "phases"),
        ("cmd_student", {"phases": ("hbp", "pre")}, "in that order"),
        ("cmd_student", {"phases": ("arterial",)}, "phases"),
        ("cmd_student", {"attention": "voxel"}, "vector, map or none"),
        ("cmd_student", {"channels": (4, 8, 8)}, "four blocks"),
        ("cmd_student", {"channels": (0, 8, 8, 8)}, "four blocks"),
        ("cmd_teacher", {"items": 0}, "items"),
        ("cmd_teacher", {"clinical_dropout": 1.0}, "below 1"),
        ("concat", {"phases": ("hbp",)}, "needs the phases"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_mri(name, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_convolutions_are_stored_channels_last(name: str) -> None:
    made = create_mri(name, **SMALL)
    weights = [value for value in made.parameters() if value.ndim == 5]
    assert weights
    assert all(value.is_contiguous(memory_format=torch.channels_last_3d) for value in weights)


def test_compact_bilinear_pooling_is_the_sketch_of_the_outer_product() -> None:
    torch.manual_seed(1)
    pooling, (x, y) = CompactBilinear(4, 6), torch.randn(2, 3, 4)
    expected = torch.zeros(3, 6)
    for i, of_x in enumerate(pooling.sketches[0]):
        for j, of_y in enumerate(pooling.sketches[1]):
            place = (int(of_x.abs().argmax()) + int(of_y.abs().argmax())) % 6
            expected[:, place] += x[:, i] * of_x.sum() * y[:, j] * of_y.sum()
    rooted = expected.sign() * expected.abs().sqrt()
    expected = rooted / rooted.norm(dim=1, keepdim=True) * 6**0.5
    torch.testing.assert_close(pooling(x, y), expected, rtol=1e-3, atol=1e-3)
    assert pooling.sketches.abs().sum(dim=2).eq(1).all()


def test_m2net_starts_with_the_mean_of_its_heads_and_learns_their_weights() -> None:
    made = network("m2net").eval()
    assert isinstance(made, M2Net)
    output = made(volumes(3))
    assert output.stage_logits is not None
    shared = made.shared(output.embedding[:, -16:])
    torch.testing.assert_close(output.logits, (output.stage_logits.sum(dim=1) + shared) / 3)
    made.fusion.data = torch.tensor([50.0, 0.0, 0.0])
    torch.testing.assert_close(made(volumes(3)).logits, output.stage_logits[:, 0])
