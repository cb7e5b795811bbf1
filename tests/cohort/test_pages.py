from pathlib import Path

import pytest

from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.pages import dictionary_page, settings_table, with_generated_parts
from hccfeat.config import StudyConfig, parse_toml

DOCS = Path(__file__).resolve().parents[2] / "docs"
REMEDY = "run: python -m hccfeat.cohort.pages docs"


@pytest.fixture(scope="module")
def study_file() -> str:
    return (DOCS / "study-file.md").read_text(encoding="utf-8")


def test_the_data_dictionary_is_up_to_date():
    page = (DOCS / "data-dictionary.md").read_text(encoding="utf-8")
    assert page == dictionary_page(load_dictionary()), REMEDY


def test_every_variable_endpoint_and_cohort_is_in_the_data_dictionary():
    dictionary = load_dictionary()
    page = dictionary_page(dictionary)
    for name in [*dictionary.variables, *dictionary.endpoints, *dictionary.cohorts]:
        assert f"`{name}`" in page


def test_the_keys_in_the_study_file_page_are_up_to_date(study_file):
    assert study_file == with_generated_parts(study_file), REMEDY


def test_every_key_of_the_study_file_is_listed(study_file):
    for key in ("name", "development_cohort", "recipe", "split.folds", "analysis.bootstraps"):
        assert f"| `{key}` |" in settings_table(StudyConfig)
        assert f"| `{key}` |" in study_file


def test_the_examples_on_the_page_are_valid(study_file, tmp_path):
    from hccfeat.cohort.descriptions import CohortDescription

    examples = [part.split("```")[0] for part in study_file.split("```toml\n")[1:]]
    models = [CohortDescription, StudyConfig]
    assert len(examples) == len(models)
    for text, model in zip(examples, models, strict=True):
        path = tmp_path / "example.toml"
        path.write_text(text, encoding="utf-8")
        parsed = parse_toml(path, model)
        if isinstance(parsed, CohortDescription):
            load_dictionary().recorded(parsed)
