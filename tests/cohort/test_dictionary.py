from dataclasses import replace

import pytest
from pydantic import ValidationError

from hccfeat.cohort.descriptions import CohortDescription, ColumnMap, OutcomeMap, Variable
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.config import load_recipe
from hccfeat.errors import ConfigError, InputError


def test_the_shipped_catalog_loads():
    dictionary = load_dictionary()
    assert dictionary.indicators == ("hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion")
    assert set(dictionary.cohorts) == {
        "internal", "external", "mri", "li2014", "tcga-gdc", "tcga-cdr", "uci-hcc",
    }  # fmt: skip
    horizons = {name: endpoint.horizon_months for name, endpoint in dictionary.endpoints.items()}
    assert horizons == {
        "1y": 12.0, "2y": 24.0, "final": None, "mvi": None, "os": None, "os-2y": 24.0, "os-5y": 60.0,
        "dss": None, "dfi": None, "pfi": None, "pfi-2y": 24.0,
    }  # fmt: skip
    outcomes = {name: endpoint.outcome for name, endpoint in dictionary.endpoints.items()}
    assert [outcomes[name] for name in ("os", "os-5y", "dss", "dfi", "pfi", "pfi-2y")] == [
        "os", "os", "dss", "dfi", "pfi", "pfi",
    ]  # fmt: skip
    for description in dictionary.cohorts.values():
        dictionary.recorded(description)
        assert dictionary.predictors(description)


def test_a_cohort_names_its_own_predictors():
    dictionary = load_dictionary()
    assert dictionary.predictors(dictionary.cohort("internal")) == dictionary.indicators
    assert dictionary.predictors(dictionary.cohort("tcga_lihc", "tcga-cdr")) == (
        "age", "sex", "ajcc_stage", "grade", "vascular_invasion",
    )  # fmt: skip
    remark = Variable(label="Remark", type="text")
    own = replace(dictionary, variables=dictionary.variables | {"remark": remark})
    for wrong in ("nothing", "remark"):
        with pytest.raises(ConfigError, match=wrong):
            own.predictors(CohortDescription(title="mine", predictors=("age", wrong)))


@pytest.mark.parametrize("name", ["paper", "released-code", "demo", "tiny"])
def test_shipped_recipes_are_valid_and_named_as_their_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    width = (recipe.patches.size_px // 32) ** 2
    assert width % int(recipe.encoder.options["csa_heads"]) == 0


def test_the_released_code_recipe_has_its_quirks():
    recipe = load_recipe("released-code")
    assert recipe.encoder.options["layout"] == "reshape"
    assert recipe.encoder.options["layer_norm_eps"] == 1e-12
    assert recipe.training.double_softmax
    assert recipe.prognostic.double_softmax
    assert recipe.training.augmentation.noise_probability == recipe.training.augmentation.erasing_probability == 0


def test_a_cohort_is_found_by_name_alias_and_format():
    dictionary = load_dictionary()
    assert dictionary.cohort("hcc_li2014") is dictionary.cohorts["li2014"]
    assert dictionary.cohort("mine", "tcga-cdr") is dictionary.cohorts["tcga-cdr"]
    assert dictionary.cohort("tcga_lihc") is dictionary.cohorts["tcga-gdc"]
    assert dictionary.cohort("tcga_lihc", "tcga-cdr") is dictionary.cohorts["tcga-cdr"]
    assert dictionary.cohort("external", "gdc") is dictionary.cohorts["tcga-gdc"]
    assert dictionary.cohort("mine", "plain") == CohortDescription(title="mine")
    assert dictionary.cohort("mine").columns == {}


def test_a_cohort_name_must_be_a_slug():
    with pytest.raises(InputError, match="lower-case"):
        load_dictionary().cohort("../evil")


def test_an_unknown_endpoint_lists_the_known_ones():
    with pytest.raises(InputError, match="1y, 2y, dfi"):
        load_dictionary().endpoint("5y")


def test_the_studys_own_files_win(tmp_path):
    folder = tmp_path / "data_catalog"
    (folder / "cohorts").mkdir(parents=True)
    (folder / "endpoints").mkdir()
    (folder / "variables.toml").write_text('[variable.alt]\nlabel = "mine"\ntype = "number"\n')
    (folder / "cohorts" / "internal.toml").write_text('title = "mine"\n')
    (folder / "endpoints" / "3y.toml").write_text('label = "3"\nhorizon_months = 36\nexclusion = "none"\n')
    dictionary = load_dictionary(tmp_path)
    assert dictionary.variables["alt"].label == "mine"
    assert "afp" in dictionary.variables
    assert dictionary.cohort("internal").title == "mine"
    assert dictionary.endpoint("3y").horizon_months == 36
    with pytest.raises(ConfigError, match="--format"):
        dictionary.cohort("internal", "gdc")


def test_a_misspelt_key_names_file_and_key(tmp_path):
    folder = tmp_path / "data_catalog" / "cohorts"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('titel = "x"\n')
    with pytest.raises(ConfigError, match=r"mine\.toml.*titel"):
        load_dictionary(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "flag", "range": (0, 1)},
        {"type": "number", "range": (2, 1)},
        {"type": "number", "coding": {"a": "b"}},
        {"type": "category"},
    ],
)
def test_contradictory_variables_are_refused(fields):
    with pytest.raises(ValidationError):
        Variable(label="x", **fields)


def test_a_variable_name_that_sql_reserves_is_refused(tmp_path):
    (tmp_path / "data_catalog").mkdir()
    text = '[variable.patient_id]\nlabel = "x"\ntype = "text"\n'
    (tmp_path / "data_catalog" / "variables.toml").write_text(text)
    with pytest.raises(ConfigError, match="patient_id"):
        load_dictionary(tmp_path)


def test_a_cohort_overrides_range_unit_and_cut():
    variable = load_dictionary().variables["alt"]
    grouped = ColumnMap(column="ALT", unit="group", allowed=(1, 2), cut=1).applied_to(variable)
    assert (grouped.unit, grouped.allowed, grouped.range, grouped.cut) == ("group", (1.0, 2.0), None, 1.0)
    ranged = ColumnMap(column="ALT", range=(5, 6)).applied_to(variable)
    assert (ranged.range, ranged.cut) == ((5.0, 6.0), None)
    assert ColumnMap(column="ALT").applied_to(variable) == variable


def test_a_description_of_an_unknown_variable_is_refused():
    description = CohortDescription(title="t", columns={"shoe_size": ColumnMap(column="x")})
    with pytest.raises(ConfigError, match="shoe_size"):
        load_dictionary().recorded(description)


def test_an_outcome_is_read_or_copied_not_both():
    with pytest.raises(ValidationError):
        OutcomeMap(event="e", time="t", same_as="pfi")
    with pytest.raises(ValidationError):
        OutcomeMap(event="e")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('positive = ["M3"]', "calls M3 positive, no level of mvi_grade"),
        ('positive = ["M1"]\nwithout = ["nothing"]', "lacks: nothing"),
    ],
)
def test_an_endpoint_of_an_unknown_level_or_variable_is_refused(tmp_path, line, problem):
    folder = tmp_path / "data_catalog" / "endpoints"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(f'label = "own"\nvariable = "mvi_grade"\nexclusion = "none"\n{line}\n')
    with pytest.raises(ConfigError, match=problem):
        load_dictionary(tmp_path).endpoint("own")


def test_a_header_names_each_column_once():
    with pytest.raises(ValidationError, match="names every column once"):
        CohortDescription(header=("a", "a"))
