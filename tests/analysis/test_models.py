from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.models import fit_models, usable_indicators
from hccfeat.config import PrognosticRecipe
from hccfeat.errors import AnalysisError

Study = Callable[..., EndpointData]


def training(data: EndpointData) -> Population:
    found = population(data, "internal", "train", "apparent")
    return found.take(found.labelled)


def test_the_integrated_model_never_learns_from_a_networks_own_patients(study: Study, quick: type) -> None:
    seen_by: list[set[bytes]] = []
    asked_of: list[set[bytes]] = []

    class Spy(quick):  # type: ignore[misc, valid-type]
        def __init__(self, x: np.ndarray, y: np.ndarray, recipe: object) -> None:
            super().__init__(x, y, recipe)
            self.number = len(seen_by)
            seen_by.append({row.tobytes() for row in x})
            asked_of.append(set())

        def predict(self, x: np.ndarray) -> np.ndarray:
            asked_of[self.number] |= {row.tobytes() for row in x}
            return super().predict(x)

    train = training(study())
    fit_models(train, 1, PrognosticRecipe(), Spy)
    assert len(seen_by) == 6  # the model itself, and five inner folds
    for seen, asked in zip(seen_by[1:], asked_of[1:], strict=True):
        assert asked
        assert not seen & asked
    assert set.union(*asked_of[1:]) == seen_by[0]


def test_fitting_twice_gives_equal_risks(study: Study, quick: type) -> None:
    data = study()
    judged = population(data, "internal", "held_out", "held_out")
    one, two = (fit_models(training(data), 7, PrognosticRecipe(), quick) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        assert np.array_equal(first.predict(judged), second.predict(judged)), first.name


def test_constant_and_unknown_indicators_are_left_out(study: Study) -> None:
    data = study()
    changed = data.indicators.with_columns(alt=pl.lit(1.0), tumour_size=pl.lit(None, pl.Float64))
    train = training(study(indicators=changed))
    assert usable_indicators(train) == [0]


def test_patients_without_any_indicator_still_get_a_risk(study: Study, quick: type) -> None:
    data = study()
    judged = population(data, "internal", "held_out", "held_out")
    judged.indicators[:] = np.nan
    for model in fit_models(training(data), 1, PrognosticRecipe(), quick):
        assert np.isfinite(model.predict(judged)).all(), model.name
        if model.name == "clinical_logistic":
            assert f"{len(judged)} of {len(judged)} patients lack an indicator" in model.method_note(judged)


def test_nothing_to_learn_from_is_an_error(study: Study) -> None:
    train = training(study(images=False, indicator_names=[]))
    with pytest.raises(AnalysisError, match="neither images nor indicators"):
        fit_models(train, 1, PrognosticRecipe())


def test_one_patient_in_a_class_is_an_error(study: Study, quick: type) -> None:
    train = training(study())
    train.y[:] = 0.0
    train.y[3] = 1.0
    with pytest.raises(AnalysisError, match="single patient"):
        fit_models(train, 1, PrognosticRecipe(), quick)
