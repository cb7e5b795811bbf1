"""The study file and recipes."""

from pathlib import Path

import pytest

from hccfeat.config import EncoderRecipe, Recipe, load_recipe, load_study_config
from hccfeat.errors import ConfigError


def write_study(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "hccfeat.toml").write_text(text)
    return folder


def test_defaults(tmp_path: Path) -> None:
    config = load_study_config(write_study(tmp_path, 'name = "liver"'))
    assert config.split.test_fraction == 0.2
    assert config.analysis.threshold == 0.5


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('name = "Liver Study"', "name"),
        ('name = "liver"\nsplitt = 1', "splitt"),
        ('name = "liver"\n[split]\ntest_fraction = 1.5', "split.test_fraction"),
        ('name = "liver"\n[statement]\nethic = "x"', "statement.ethic"),
        ("name = liver", "TOML"),
    ],
)
def test_mistakes_name_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_study_config(write_study(tmp_path, text))


def test_a_missing_study_says_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hccfeat init"):
        load_study_config(tmp_path)


@pytest.mark.parametrize("name", ["paper", "released-code", "demo", "tiny", "reduced", "timm-resnet50"])
def test_shipped_recipes_load(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name


def test_a_file_of_trunk_weights_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "trunk.safetensors"
    file.write_bytes(b"one")
    encoder = EncoderRecipe(trunk_weights=str(file))
    first = encoder.identity()
    assert first == EncoderRecipe(trunk_weights=str(file)).identity()
    file.write_bytes(b"two")
    assert encoder.identity() != first
    assert EncoderRecipe(trunk_weights="none").identity()["trunk_weights"] == "none"


def test_a_study_recipe_wins(tmp_path: Path) -> None:
    folder = tmp_path / "data_catalog" / "feature_sets"
    folder.mkdir(parents=True)
    (folder / "paper.toml").write_text('name = "paper"\ntitle = "mine"')
    assert load_recipe("paper", tmp_path).title == "mine"
    with pytest.raises(ConfigError, match="demo"):
        load_recipe("nothing", tmp_path)


def test_released_code_switches() -> None:
    recipe = load_recipe("released-code")
    assert recipe.encoder.options["layout"] == "reshape"
    assert recipe.training.double_softmax
    assert recipe.training.augmentation.noise_probability == 0
    assert recipe.training.augmentation.erasing_probability == 0


def _leaves(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    return [path]


@pytest.mark.parametrize("path", _leaves(Recipe(name="r").preprocessing()), ids=".".join)
def test_every_preprocessing_field_changes_the_identity(path: tuple[str, ...]) -> None:
    recipe = Recipe(name="r")
    document = recipe.model_dump()
    place = document
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    other: object
    if path[-1] == "method":
        other = "none"
    elif path[-1] == "target_vectors":
        other = ((0.6, 0.7, 0.39), value[1])
    elif path[-1] == "target_concentrations":
        other = (value[0] + 0.1, value[1])
    else:
        other = value + 1 if isinstance(value, int) else value * 0.5 + 0.01
    place[path[-1]] = other
    assert Recipe.model_validate(document).preprocessing_sha256() != recipe.preprocessing_sha256()


def test_training_does_not_change_the_preprocessing() -> None:
    recipe = Recipe(name="r")
    document = recipe.model_dump()
    document["training"]["learning_rate"] = 0.5
    assert Recipe.model_validate(document).preprocessing_sha256() == recipe.preprocessing_sha256()
