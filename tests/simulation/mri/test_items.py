import tomllib

import numpy as np
import pytest
from scipy.stats import spearmanr

from hccfeat.resources import resource_folder
from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.mri.items import Items, clinical_items, draw_items, item_matrix, printed
from hccfeat.simulation.mri.latents import Latents, draw_latents
from hccfeat.simulation.mri.parameters import item_names, load_mri_parameters
from hccfeat.simulation.parameters import load_parameters

N = 6_000
PARAMETERS = load_mri_parameters("tiny")


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate_patients(load_parameters("tiny", {"patients": N}), 3)


@pytest.fixture(scope="module")
def latents(cohort: Cohort) -> Latents:
    return draw_latents(PARAMETERS, 3, cohort.aggressiveness, cohort.tumour_size)


@pytest.fixture(scope="module")
def items(latents: Latents) -> Items:
    return draw_items(PARAMETERS, latents, 3)


def test_each_item_follows_its_latent_and_no_other(items: Items, latents: Latents) -> None:
    for name, item in PARAMETERS.items.items():
        for latent in "sk":
            rho = spearmanr(items.complete[name], getattr(latents, latent))[0]
            loading = getattr(item, latent, 0)
            if name in ("mri_diameter", "leukocytes"):
                continue
            assert (np.sign(rho) == np.sign(loading) and abs(rho) > 0.1) if loading else abs(rho) < 0.05, name
        assert abs(spearmanr(items.complete[name], latents.i)[0]) < 0.05, name


def test_a_tenth_is_missing_from_every_item_whatever_its_value(items: Items, latents: Latents) -> None:
    absent = np.array([np.isnan(values) for values in items.shown.values()])
    assert absent.mean() == pytest.approx(0.10, abs=0.005)
    assert np.abs(absent.mean(axis=1) - 0.10).max() < 0.02
    assert np.abs(absent[:, latents.grade == 2].mean() - absent.mean()) < 0.01
    for name, values in items.shown.items():
        assert not np.isnan(items.complete[name]).any()
        shown = ~np.isnan(values)
        np.testing.assert_array_equal(values[shown], items.complete[name][shown])


def test_small_cohorts_have_about_a_tenth_missing() -> None:
    for seed in range(5):
        drawn = draw_items(PARAMETERS, draw_latents(PARAMETERS, seed, np.zeros(24)), seed)
        assert np.isnan(np.array(list(drawn.shown.values()))).mean() == pytest.approx(0.10, abs=0.03)


def test_values_are_ones_that_the_dictionary_accepts(items: Items) -> None:
    text = (resource_folder("data_catalog") / "variables.toml").read_text(encoding="utf-8")
    dictionary = tomllib.loads(text)["variable"]
    for name, values in items.complete.items():
        variable = dictionary[name]
        if variable["type"] == "flag":
            assert set(values) == {0.0, 1.0}, name
        elif "allowed" in variable:
            assert set(values) <= set(variable["allowed"]), name
        else:
            assert variable["range"][0] <= values.min() < values.max() <= variable["range"][1], name


def test_the_table_makes_sense(items: Items, latents: Latents) -> None:
    values = items.complete
    assert (values["leukocytes"] > values["neutrophils"] + values["lymphocytes"]).all()
    assert (values["direct_bilirubin"] < values["total_bilirubin"]).mean() > 0.999
    assert np.median(np.abs(np.log(values["mri_diameter"] / latents.diameter_mm))) < 0.06
    assert np.median(values["albumin"]) == pytest.approx(40.5, abs=0.5)
    assert np.median(values["platelets"]) == pytest.approx(152, abs=5)
    assert values["hcv_antibody"].mean() == pytest.approx(0.07, abs=0.01)


def test_the_matrix_has_the_items_in_the_order_of_the_set(cohort: Cohort, latents: Latents, items: Items) -> None:
    table = clinical_items(PARAMETERS, latents, cohort, 3)
    assert tuple(table) == item_names()
    matrix = item_matrix(table)
    assert matrix.shape == (N, 52)
    column = {name: matrix[:, place] for place, name in enumerate(table)}
    np.testing.assert_array_equal(column["afp"], cohort.afp)
    np.testing.assert_array_equal(column["sex"], cohort.sex == "male")
    np.testing.assert_array_equal(column["crp"], items.shown["crp"])
    assert None in table["crp"]


def test_values_are_printed_with_their_decimals() -> None:
    assert printed(PARAMETERS, "albumin", 40.04) == "40.0"
    assert printed(PARAMETERS, "cirrhosis", 1.0) == "1"
    assert printed(PARAMETERS, "pivka", 36.0) == "36"
    assert printed(PARAMETERS, "inr", np.nan) == ""


def test_items_do_not_depend_on_the_weights_of_the_grade(cohort: Cohort, items: Items) -> None:
    other = load_mri_parameters("tiny", {"weight_s": 0, "weight_i": 0})
    again = draw_items(other, draw_latents(other, 3, cohort.aggressiveness, cohort.tumour_size), 3)
    for name, values in items.shown.items():
        np.testing.assert_array_equal(values, again.shown[name])
