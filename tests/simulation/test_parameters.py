import pytest

from hccfeat.errors import InputError
from hccfeat.simulation.parameters import load_parameters, preset_names, read_version


def test_presets_and_the_specified_defaults() -> None:
    assert preset_names() == ["demo", "mri", "paper", "tiny"]
    for preset in preset_names():
        parameters = load_parameters(preset)
        outcomes = parameters.outcomes
        assert (outcomes.recurrence_hazard, outcomes.death_hazard) == (0.016, 0.008)
        assert (outcomes.pi, outcomes.gamma, outcomes.b_z, outcomes.b_az) == (0.4, 1.0, 0.0, -0.7)
        assert outcomes.censoring_months == (24.0, 84.0)
        assert parameters.version == read_version() == 1


def test_paper_preset_has_the_papers_sizes() -> None:
    sizes = load_parameters("paper").sizes
    assert (sizes.internal.patients, sizes.internal.treated, sizes.internal.images) == (366, 79, 724)
    assert sizes.external.patients == 78
    assert sizes.internal.width_px == 8 * 224


def test_patients_override_keeps_images_per_patient() -> None:
    sizes = load_parameters("paper", {"patients": 30, "external_patients": 3}).sizes
    assert (sizes.internal.images, sizes.internal.treated) == (59, -1)
    assert (sizes.external.images, sizes.external.treated) == (3, 0)
    assert load_parameters("tiny", {"patients": 10, "images": 30}).sizes.internal.images == 30


def test_outcome_overrides() -> None:
    outcomes = load_parameters("tiny", {"pi": 0.0, "gamma": 0, "b_az": 0}).outcomes
    assert (outcomes.pi, outcomes.gamma, outcomes.b_az) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("preset", "overrides", "words"),
    [
        ("huge", {}, "preset huge"),
        ("tiny", {"pie": 0.2}, "override pie"),
        ("tiny", {"pi": 1.2}, "pi"),
        ("tiny", {"patients": 0}, "patients"),
        ("tiny", {"patients": 2.5}, "patients"),
    ],
)
def test_bad_requests_name_the_culprit(preset: str, overrides: dict[str, float | int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_parameters(preset, overrides)
