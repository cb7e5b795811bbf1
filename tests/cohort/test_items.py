import numpy as np
import polars as pl
import pytest

from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.items import ItemSet, item_matrix, load_items
from hccfeat.errors import ConfigError


def own_set(tmp_path, text):
    folder = tmp_path / "data_catalog" / "item_sets"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(text)
    return tmp_path


def test_the_shipped_set_has_52_items_in_three_groups():
    found, variables = load_items("mri52"), load_dictionary().variables
    assert len(found.items) == len(set(found.items)) == 52
    groups = [found.items[0], found.items[15], found.items[16], found.items[39], found.items[40], found.items[51]]
    assert groups == ["age", "performance_status", "afp", "ferritin", "mri_diameter", "mri_satellites"]
    assert not {"mvi_grade", "vascular_invasion", "bclc"} & set(found.items)
    types = [variables[item].type for item in found.items]
    assert (types.count("number"), types.count("flag"), types.count("category")) == (30, 21, 1)
    for item in found.items:
        variable = variables[item]
        assert variable.label
        assert variable.description
        if variable.type == "number":
            assert variable.range or variable.allowed
            assert variable.unit or item in ("tumour_number", "inr")


def test_a_matrix_has_flags_ranks_and_gaps():
    items = ItemSet(name="few", items=("sex", "age", "hbsag", "ascites"))
    frame = pl.DataFrame({"age": [61.5, None], "sex": ["male", "female"], "hbsag": [True, None], "other": [1, 2]})
    matrix = item_matrix(frame, items, load_dictionary())
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[1.0, 61.5, 1.0, np.nan], [0.0, np.nan, np.nan, np.nan]])


def test_a_matrix_of_nobody_has_its_columns():
    frame = pl.DataFrame(schema={"age": pl.Float64, "sex": pl.String})
    assert item_matrix(frame, load_items("mri52"), load_dictionary()).shape == (0, 52)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name = "mine"\nitems = ["age", "age"]', "names items twice: age"),
        ('name = "mine"\nitems = ["age", "mvi_grade"]', "mvi_grade"),
        ('name = "mine"\nitems = ["vascular_invasion"]', "vascular_invasion"),
        ('name = "mine"\nitems = ["shoe_size"]', "shoe_size"),
        ('name = "other"\nitems = ["age"]', "calls itself other"),
        ('name = "mine"\nitems = []', "items"),
    ],
)
def test_a_wrong_set_is_refused(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=problem):
        load_items("mine", own_set(tmp_path, text))


def test_the_studys_own_set_is_read(tmp_path):
    study = own_set(tmp_path, 'name = "mine"\nitems = ["sex", "age"]')
    assert load_items("mine", study).items == ("sex", "age")
    with pytest.raises(ConfigError, match="Known item sets: mine, mri52"):
        load_items("none", study)
