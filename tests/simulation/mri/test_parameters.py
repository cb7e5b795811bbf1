import pytest

from hccfeat.errors import InputError
from hccfeat.simulation.mri.item_models import Graded
from hccfeat.simulation.mri.parameters import OWN_ITEMS, item_names, load_mri_parameters
from hccfeat.simulation.parameters import load_parameters, preset_names


def test_every_preset_of_the_slides_has_grids_and_one_generator() -> None:
    generators = []
    for preset in preset_names():
        parameters = load_mri_parameters(preset)
        generators.append(parameters.model_dump(exclude={"preset", "grids"}))
        assert parameters.grids.pre != parameters.grids.hbp
    assert all(generator == generators[0] for generator in generators)
    assert generators[0]["version"] == 1


def test_the_file_and_the_cohort_make_exactly_the_items_of_the_set() -> None:
    names = item_names()
    assert len(names) == len(set(names)) == 52
    assert set(load_mri_parameters("tiny").items) | set(OWN_ITEMS) == set(names)
    assert len(load_mri_parameters("tiny").items) == 47


def test_shares_of_levels_are_whole() -> None:
    for name, item in load_mri_parameters("tiny").items.items():
        if isinstance(item, Graded):
            assert sum(item.shares) == pytest.approx(1), name


def test_hallmarks_never_load_on_what_only_the_image_shows_and_k_is_in_few_items() -> None:
    items = load_mri_parameters("tiny").items
    assert all(getattr(item, "k", 0) == 0 for name, item in items.items() if name.startswith("mri_"))
    assert 4 <= sum(getattr(item, "k", 0) != 0 for item in items.values()) <= 10


def test_overrides_change_their_parameter_only() -> None:
    changed = load_mri_parameters("tiny", {"weight_s": 0, "weight_i": 0, "image_s": 0.0})
    assert (changed.latents.weight_s, changed.latents.weight_i, changed.image.image_s) == (0, 0, 0)
    shipped = load_mri_parameters("tiny")
    assert changed.latents.weight_k == shipped.latents.weight_k > 0
    assert changed.items == shipped.items


@pytest.mark.parametrize(
    ("preset", "overrides", "words"),
    [("huge", {}, "preset huge"), ("tiny", {"weight_x": 1}, "override weight_x"), ("tiny", {"rho": 2}, "rho")],
)
def test_bad_requests_name_the_culprit(preset: str, overrides: dict[str, float | int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_mri_parameters(preset, overrides)


def test_the_cohort_of_the_paper_and_presets_without_slides() -> None:
    paper, alone, tiny = (load_parameters(preset) for preset in ("paper", "mri", "tiny"))
    assert paper.population("mri").patients == alone.population("mri").patients == 270
    assert (paper.exam_cohort, alone.exam_cohort, tiny.exam_cohort) == ("mri", "mri", "internal")
    assert (paper.slide_cohorts, alone.slide_cohorts) == (("internal", "external"), ())
    with pytest.raises(InputError, match="no cohort internal"):
        alone.size("internal")
    with pytest.raises(InputError, match="no cohort mri"):
        tiny.population("mri")
    with pytest.raises(InputError, match="override patients"):
        load_parameters("mri", {"patients": 3})
