"""The trunk's precision of a feature set: settled once, part of its identity, recorded with its check, and used."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hccfeat.config import Recipe, load_recipe
from hccfeat.extraction import feature_sets, provenance, trunk_check
from hccfeat.extraction.identity import FeatureSet, feature_set_sha256, recipe_from_json
from hccfeat.extraction.plan import sources
from hccfeat.extraction.tasks import EmbedTask, embed_image
from hccfeat.slides.prepare import prepare_image
from hccfeat.store.committer import Committer
from hccfeat.store.shards import read_shard
from hccfeat.training.embed import embed
from hccfeat.training.encoder import load_encoder
from hccfeat.training.precision import PrecisionCheck

GOOD, BAD = PrecisionCheck(24, 0.01, 0.001, 1.0), PrecisionCheck(24, 0.5, 0.1, 0.9)


def undecided() -> Recipe:
    recipe = load_recipe("tiny")
    return recipe.model_copy(update={"encoder": recipe.encoder.model_copy(update={"trunk_precision": "auto"})})


@pytest.fixture
def study(extracted_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(extracted_study, tmp_path / "study"))


def weights(study: Path) -> Path:
    return study / "models" / "pps-1" / "weights.safetensors"


class Registry:
    """Registers the network of pps-1 under another name, and counts the checks."""

    def __init__(self, study: Path) -> None:
        self.study, self.checks = study, 0

    def register(self, base: str, recipe: Recipe, verdict: PrecisionCheck | None) -> FeatureSet:
        def check(given: Recipe, network: nn.Module) -> PrecisionCheck:
            assert given == recipe
            assert verdict is not None
            self.checks += 1
            return verdict

        new = provenance._of_slides(base, recipe, weights(self.study), {}, {}, simulated=True)
        with Committer(self.study) as committer:
            return provenance.register(
                self.study, committer, replace(new, check=check if verdict is not None else None)
            )


def test_what_the_check_says_becomes_the_feature_set(study: Path) -> None:
    registry = Registry(study)
    lower = registry.register("good", undecided(), GOOD)
    exact = registry.register("bad", undecided(), BAD)
    unasked = registry.register("none", undecided(), None)
    assert lower.slide_recipe.encoder.trunk_precision == "bf16"
    assert exact.slide_recipe.encoder.trunk_precision == "float32"
    assert unasked.sha256 == exact.sha256 != lower.sha256
    assert lower.weights_sha256 == exact.weights_sha256  # the precision is none of theirs
    assert feature_sets.by_name(study, "good-1") == lower
    kept = json.loads((study / "models" / "good-1" / "recipe.json").read_text())["trunk_precision"]
    assert kept == GOOD.facts()
    assert registry.checks == 2


def test_it_is_settled_once(study: Path) -> None:
    registry = Registry(study)
    first = registry.register("good", undecided(), GOOD)
    assert registry.register("good", undecided(), BAD) == first
    assert registry.checks == 1
    forced = undecided().with_trunk_precision("bf16")
    assert registry.register("good", forced, BAD) == first


def test_feature_sets_from_before_the_choice_are_the_same(study: Path) -> None:
    old = json.loads(undecided().model_dump_json())
    assert "trunk_precision" not in old["encoder"]
    recipe = recipe_from_json(json.dumps(old))
    assert isinstance(recipe, Recipe)
    assert recipe.encoder.trunk_precision == "float32"
    assert feature_set_sha256(recipe, "a", 128) == feature_set_sha256(undecided(), "a", 128)
    assert recipe.encoder.identity() == undecided().encoder.identity()


def test_the_check_looks_at_images_of_the_study(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sources(study)
    notes: list[str] = []
    monkeypatch.setattr(trunk_check, "resolve_precision", lambda wanted, device: "float32")
    assert trunk_check.trunk_check(study, found, "cpu", notes.append) is None
    monkeypatch.setattr(trunk_check, "resolve_precision", lambda wanted, device: "bf16")
    monkeypatch.setattr(trunk_check, "IMAGES", 9)
    monkeypatch.setattr(trunk_check, "PATCHES", 2)
    check = trunk_check.trunk_check(study, [replace(found[0], path="gone"), *found], "cpu", notes.append)
    assert check is not None
    threads = torch.get_num_threads()
    result = check(undecided(), load_encoder(weights(study), undecided()))
    assert result.images == 8  # the first is gone
    assert notes == [str(result)]
    assert torch.get_num_threads() == threads


def test_embedding_uses_it(study: Path) -> None:
    recipe = load_recipe("tiny").with_trunk_precision("bf16")
    source = sources(study)[0]
    task = EmbedTask(study, source, "low-1", "0" * 64, weights(study), "1" * 64, recipe, "cpu")
    outcome = embed_image(task)
    assert outcome.shard is not None
    assert {"decode", "tissue", "forward", "write"} <= set(outcome.seconds)
    stored = read_shard(study / outcome.shard.path).vectors
    pixels = prepare_image(Path(source.path), source.image_id, recipe, mpp=source.mpp_override).patches
    network = load_encoder(weights(study), recipe)
    np.testing.assert_array_equal(stored, embed(network, pixels, precision="bf16")[0])
    assert not np.array_equal(stored, embed(network, pixels)[0])
