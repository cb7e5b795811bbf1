from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hccfeat.analysis.comparators import ComparatorOptions, fit_comparators
from hccfeat.analysis.data import EndpointData, population
from hccfeat.analysis.recurrence import analyse, analyse_folds
from hccfeat.config import AnalysisConfig
from hccfeat.stats.discrimination import auroc

Study = Callable[..., EndpointData]
MIL = ComparatorOptions(("mil",))


class Bags:
    """A few patches of each patient tell the label; notes who was asked for."""

    def __init__(self, data: EndpointData, told: float = 3.0) -> None:
        self.label = dict(zip(data.patients["patient_id"], data.patients["y"].fill_null(0), strict=True))
        self.told = told
        self.asked: list[str] = []
        self.most = 0

    def __call__(self, patients: Sequence[str]) -> list[np.ndarray]:
        self.asked += patients
        self.most = max(self.most, len(patients))
        return [self.one(patient) for patient in patients]

    def one(self, patient: str) -> np.ndarray:
        random = np.random.default_rng(int(patient[-4:]))
        bag = random.normal(size=(random.integers(10, 30), 6))
        bag[:3, 0] += self.told * self.label[patient]
        return bag.astype(np.float32)


def with_bags(study: Study, told: float = 3.0, **changes: Any) -> tuple[EndpointData, Bags]:
    data = study(**changes)
    bags = Bags(data, told)
    return replace(data, bags=bags), bags


@pytest.mark.parametrize(("told", "low", "high"), [(3.0, 0.8, 1.0), (0.0, 0.3, 0.7)])
def test_it_learns_what_patches_tell(study: Study, told: float, low: float, high: float) -> None:
    data, bags = with_bags(study, told, train=90, held_out=60, signal=0.0)
    everyone = population(data, "internal", "train", "apparent")
    judged = population(data, "internal", "held_out", "held_out")
    judged = judged.take(judged.labelled)
    (model,), notices = fit_comparators(everyone, data, MIL, 3)
    assert notices == []
    assert sorted(bags.asked) == everyone.take(everyone.labelled).ids
    risk = model.predict(judged)
    assert low <= (auroc(judged.y, risk).value or 0.0) <= high
    assert model.probability is not None
    assert np.array_equal(model.probability(judged), risk)
    assert len(bags.asked) == int(everyone.labelled.sum()) + len(judged)
    assert model.risk_by is None
    assert "gated-attention" in model.description
    n, events = int(everyone.labelled.sum()), int(np.nansum(everyone.y))
    assert model.description.endswith(f"; fitted on {n} patients with {events} events")


def test_bags_of_judges_are_read_a_few_at_a_time(study: Study) -> None:
    data, bags = with_bags(study, train=20, held_out=80)
    everyone = population(data, "internal", "train", "apparent")
    (model,), _ = fit_comparators(everyone, data, MIL, 3)
    bags.most = 0
    model.predict(population(data, "internal", "held_out", "held_out"))
    assert 0 < bags.most <= 32


def test_tuning_is_scored_by_auroc_and_reads_training_bags_once(study: Study) -> None:
    data, bags = with_bags(study, train=24, held_out=20)
    everyone = population(data, "internal", "train", "apparent")
    (model,), _ = fit_comparators(everyone, data, ComparatorOptions(("mil",), tune=True), 3)
    assert sorted(bags.asked) == everyone.take(everyone.labelled).ids
    assert "tuned by AUROC in " in model.description


def test_it_stands_in_every_table(study: Study, quick: type, settings: AnalysisConfig) -> None:
    data, _ = with_bags(study, train=40, held_out=30, external=20)
    result = analyse(data, settings, fit_images=quick, comparators=ComparatorOptions(("cox", "mil")))
    for split in ("apparent", "held_out", "external"):
        models = {row.model for row in result.metrics if (row.split, row.metric) == (split, "auroc")}
        assert {"pps_mlp", "cox_clinical", "attention_mil"} <= models
        assert {row.model for row in result.predictions if row.split == split} == models
    assert {group.model for group in result.groups} >= {"pps_mlp", "cox_clinical", "attention_mil"}


def test_every_fold_has_its_own(study: Study, quick: type, settings: AnalysisConfig) -> None:
    from tests.analysis.test_crossval import make_folds

    folds = make_folds(study, k=2, train=40, held_out=20)
    options = ComparatorOptions(("cox", "coxnet"))
    result = analyse_folds(folds, settings, fit_images=quick, comparators=options)
    for model in ("cox_clinical", "coxnet"):
        found = [row for row in result.metrics if row.model == model]
        assert sum(row.metric == "auroc_fold" for row in found) == 2
        mean = next(row for row in found if row.metric == "c_index")
        assert "mean of 2 of 2 folds" in mean.method
        assert "Cox regression" in mean.method
        assert "fitted on" not in mean.method
