from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hccfeat.analysis.comparators import COMPARATORS, DEFAULT, ComparatorOptions
from hccfeat.analysis.comparators import bags as stored
from hccfeat.analysis.comparators import choice as chosen
from hccfeat.analysis.comparators.attention import remembered
from hccfeat.analysis.comparators.bags import StoredBags, evenly_spaced, stored_patches
from hccfeat.analysis.comparators.choice import choose_comparators
from hccfeat.config import MriRecipe, Recipe
from hccfeat.errors import AnalysisError, InputError, StoreError
from hccfeat.store.shards import read_shard, shard_path
from tests.store.builder import make_study

SLIDES = SimpleNamespace(name="pps-1", recipe=Recipe(name="tiny"))
EXAMS = SimpleNamespace(name="mri-1", recipe=MriRecipe(name="mri-tiny"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients, two images each with 6 patches; the last image has none."""
    return make_study(tmp_path_factory.mktemp("bags") / "study")


def vectors(study: Path, image: str) -> np.ndarray:
    return read_shard(shard_path(study, "pps-1", image)).vectors


def test_a_bag_is_every_image_of_the_patient(study: Path) -> None:
    two, last = StoredBags(study, "pps-1")(["internal/P002", "internal/P004"])
    assert two.dtype == np.float32
    assert np.array_equal(
        two, np.concatenate([vectors(study, "internal/P002_1"), vectors(study, "internal/P002_2")])
    )
    assert np.array_equal(last, vectors(study, "internal/P004_1"))


def test_a_large_image_gives_a_bounded_even_share(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PATCHES_PER_IMAGE", 3)
    assert evenly_spaced(6).tolist() == [0, 2, 5]
    assert evenly_spaced(2).tolist() == [0, 1]
    assert evenly_spaced(1).tolist() == [0]
    (bag,) = StoredBags(study, "pps-1")(["internal/P004"])
    assert np.array_equal(bag, vectors(study, "internal/P004_1")[[0, 2, 5]])


def test_a_patient_without_patches_is_named_by_number_only(study: Path) -> None:
    with pytest.raises(AnalysisError, match="missing for 1 patients") as error:
        StoredBags(study, "pps-1")(["internal/P001", "internal/P099"])
    assert "P099" not in str(error.value)


def test_a_lost_shard_is_an_error(tmp_path: Path) -> None:
    lame = make_study(tmp_path / "study")
    shard_path(lame, "pps-1", "internal/P001_1").unlink()
    with pytest.raises(StoreError):
        StoredBags(lame, "pps-1")(["internal/P001"])


def test_known_bags_are_read_once(study: Path) -> None:
    asked: list[list[str]] = []
    reader = StoredBags(study, "pps-1")

    def counting(patients: Sequence[str]) -> list[np.ndarray]:
        asked.append(list(patients))
        return reader(patients)

    read = remembered(counting, ["internal/P000", "internal/P001"])
    wanted = ["internal/P001", "internal/P003", "internal/P000"]
    for got, expected in zip(read(wanted), reader(wanted), strict=True):
        assert np.array_equal(got, expected)
    assert read(["internal/P000"])
    assert asked == [["internal/P000", "internal/P001"], ["internal/P003"]]


def test_attention_is_fitted_by_default_where_bags_are_small(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored_patches(study, "pps-1", ["internal"]) == 54
    assert stored_patches(study, "pps-1", ["external"]) == 0
    small = choose_comparators(study, None, SLIDES, ["internal"], tune=True)
    assert small.options == ComparatorOptions(tuple(COMPARATORS), tune=True)
    assert small.notices == []
    monkeypatch.setattr(chosen, "SMALL", 53)
    large = choose_comparators(study, None, SLIDES, ["internal"], tune=False)
    assert large.options == ComparatorOptions(DEFAULT)
    assert "54 patch vectors" in large.notices[0].text
    assert choose_comparators(study, ["mil"], SLIDES, ["internal"], tune=False).options.names == ("mil",)
    for nothing in (None, EXAMS):
        assert choose_comparators(study, None, nothing, ["internal"], tune=False).options.names == DEFAULT


def test_names_that_were_asked_for(study: Path) -> None:
    def names(*asked: str, feature_set: object = SLIDES) -> tuple[str, ...]:
        return choose_comparators(study, asked, feature_set, ["internal"], tune=False).options.names

    assert names("mil", "cox", "cox") == ("cox", "mil")
    assert names("all") == tuple(COMPARATORS)
    assert names("all", feature_set=EXAMS) == DEFAULT
    assert names("none") == ()
    with pytest.raises(InputError, match="svm: is unknown"):
        names("cox", "svm")
    with pytest.raises(InputError, match="none: stands beside"):
        names("none", "cox")
    with pytest.raises(InputError, match="patch vectors of slides"):
        names("mil", feature_set=EXAMS)
