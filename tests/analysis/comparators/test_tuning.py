from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest

from hccfeat.analysis.comparators import ComparatorOptions, fit_comparators, listing
from hccfeat.analysis.comparators.inputs import Training
from hccfeat.analysis.comparators.registry import Comparator, grid
from hccfeat.analysis.comparators.tuning import choose, work
from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.models import FittedModel
from hccfeat.errors import AnalysisError

Study = Callable[..., EndpointData]


def training(data: EndpointData) -> Training:
    everyone = population(data, "internal", "train", "apparent")
    return Training(everyone.take(everyone.followed & everyone.labelled), data.horizon_months, 7)


class Steps:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, steps: int = 1, *, note: str = "") -> None:
        assert note
        self.count += steps


def by_setting(risks: Mapping[float, Callable[[Population], np.ndarray]], *, survival: bool = True) -> Comparator:
    """A comparator whose setting names the risk it predicts."""

    def fit(train: Training, settings: Mapping[str, float]) -> FittedModel:
        return FittedModel("spy", "spy", risks[settings["way"]])

    return Comparator("spy", "spy", fit, survival, grid(way=tuple(risks)))


def reversed_time(patients: Population) -> np.ndarray:
    return -patients.time


def flat(patients: Population) -> np.ndarray:
    return np.zeros(len(patients))


@pytest.mark.parametrize("survival", [True, False])
def test_the_setting_that_ranks_best_inside_is_chosen(study: Study, survival: bool) -> None:
    train = training(study())
    ranks = {1.0: flat, 2.0: (lambda some: some.y) if not survival else reversed_time, 3.0: flat}
    steps = Steps()
    spy = by_setting(ranks, survival=survival)
    choice = choose(spy, train, steps)
    assert choice.settings == {"way": 2.0}
    assert choice.score == pytest.approx(1.0)
    assert choice.folds == 5
    assert steps.count == work(spy, train) == 15


def test_the_first_of_equals_is_the_fixed_setting(study: Study) -> None:
    choice = choose(by_setting({5.0: flat, 1.0: flat}), training(study()), Steps())
    assert (choice.settings, choice.score) == ({"way": 5.0}, 0.5)


def test_a_setting_that_fails_in_a_fold_does_not_win(study: Study) -> None:
    train = training(study())
    calls: list[int] = []

    def sometimes(patients: Population) -> np.ndarray:
        calls.append(1)
        if len(calls) == 1:
            raise AnalysisError("spy", "fails", "Nothing.")
        return reversed_time(patients)

    assert choose(by_setting({1.0: flat, 2.0: sometimes}), train, Steps()).settings == {"way": 1.0}
    assert len(calls) == 5


def test_too_few_events_leave_the_fixed_settings(study: Study) -> None:
    train = training(study())
    train.patients.event[:] = 0.0
    train.patients.event[0] = 1.0
    steps = Steps()
    spy = by_setting({1.0: flat, 2.0: reversed_time})
    choice = choose(spy, train, steps)
    assert (choice.settings, choice.score, choice.folds) == ({"way": 1.0}, None, 0)
    assert steps.count == work(spy, train) == 0


@pytest.mark.parametrize("name", ["coxnet", "forest", "xgboost-cox"])
def test_tuning_never_sees_judges_or_the_fold_it_scores(
    study: Study, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = study(train=50)
    everyone = population(data, "internal", "train", "apparent")
    own = set(everyone.take(everyone.followed).ids)
    real = listing.COMPARATORS[name]
    seen_by: list[set[str]] = []
    asked_of: list[set[str]] = []

    def spied(train: Training, settings: Mapping[str, float]) -> FittedModel:
        number = len(seen_by)
        seen_by.append(set(train.patients.ids))
        asked_of.append(set())
        model = real.fit(train, settings)

        def predict(patients: Population) -> np.ndarray:
            asked_of[number].update(patients.ids)
            return model.predict(patients)

        return FittedModel(model.name, model.description, predict)

    short = tuple({**settings, "trees": 4} if "trees" in settings else settings for settings in real.grid[:3])
    spy = Comparator(real.name, real.title, spied, True, short)
    monkeypatch.setattr(listing, "COMPARATORS", {name: spy})
    models, _ = fit_comparators(everyone, data, ComparatorOptions((name,), tune=True), 3)
    inner, final = len(short) * 5, seen_by[-1]
    assert len(seen_by) == inner + 1
    assert final == own
    for seen, asked in zip(seen_by[:-1], asked_of[:-1], strict=True):
        assert asked
        assert not seen & asked
        assert seen | asked == own
    assert not asked_of[-1]
    assert "tuned by Harrell's C in 5 inner folds by patient" in models[0].description
    assert ", chosen " in models[0].description.rpartition(";")[2]
    assert " inside)" in models[0].description


def test_tuning_is_the_same_every_time(study: Study) -> None:
    data = study(1, train=120, held_out=100, signal=2.0, dimensions=60)
    everyone = population(data, "internal", "train", "apparent")
    models, _ = fit_comparators(everyone, data, ComparatorOptions(("coxnet",), tune=True), 3)
    again, _ = fit_comparators(everyone, data, ComparatorOptions(("coxnet",), tune=True), 3)
    assert "l1 share 0.5 or 1" in models[0].description
    assert models[0].description == again[0].description
    judged = population(data, "internal", "held_out", "held_out")
    assert np.array_equal(models[0].predict(judged), again[0].predict(judged))


def test_the_bar_counts_every_setting_and_fold(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, int]] = []
    steps = Steps()

    @contextmanager
    def bar(title: str, total: int) -> Iterator[Steps]:
        shown.append((title, total))
        yield steps

    monkeypatch.setattr(listing, "progress_bar", bar)
    data = study(train=60)
    everyone = population(data, "internal", "train", "apparent")
    fit_comparators(everyone, data, ComparatorOptions(("cox", "coxnet"), tune=True), 3)
    assert shown == [("Tuning", 10)]
    assert steps.count == 10
