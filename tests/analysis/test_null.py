"""Where nothing predicts, the public cross-validation finds nothing; two leaks that it forbids would be found.

For speed the network of the second stage is replaced by ridge regression, xgboost grows 20 trees instead of 100,
and 100 bootstraps are drawn; every other step is the package's. Asked is the mean over 20 fixed seeds of the AUROC
and the C-index averaged over folds.
"""

from collections.abc import Iterable

import numpy as np
import pytest

from hccfeat.analysis import models
from hccfeat.analysis.recurrence import analyse_folds
from hccfeat.config import AnalysisConfig
from tests.analysis.conftest import Quick
from tests.analysis.null_study import CORRELATION, IMAGES, PATIENTS, Units, folds_of, nothing

SEEDS = range(1, 21)
LEAK_SEEDS = range(1, 6)
SETTINGS = AnalysisConfig(bootstraps=100)
ASKED = ("auroc", "c_index")
MODELS = {"pps_mlp", "clinical_logistic", "integrated_logistic", "xgboost"}


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "XGBOOST_ROUNDS", 20)


def fold_means(cohorts: Iterable[tuple[int, Units]]) -> dict[tuple[str, str], np.ndarray]:
    """Model and metric -> the value averaged over folds, one of each cohort (and seed)."""
    found: dict[tuple[str, str], list[float]] = {}
    for seed, units in cohorts:
        for row in analyse_folds(folds_of(units, seed), SETTINGS, fit_images=Quick).metrics:
            assert row.split == "cross_validation"
            if row.metric in ASKED:
                found.setdefault((row.model, row.metric), []).append(row.estimate)
    return {key: np.array(values) for key, values in found.items()}


def test_the_cohorts_are_as_described() -> None:
    units = nothing(1)
    assert units.vectors.shape == (200, 4, 128)
    assert units.event.sum() == 0.4 * PATIENTS
    pairs = [(units.vectors[:, a].ravel(), units.vectors[:, b].ravel()) for a in range(IMAGES) for b in range(a)]
    assert np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]) == pytest.approx(CORRELATION, abs=0.01)
    judged = [
        set(fold.patients.filter(fold.patients["role"] == "held_out")["patient_id"]) for fold in folds_of(units, 1)
    ]
    assert sorted(patient for fold in judged for patient in fold) == sorted(
        folds_of(units, 1)[0].patients["patient_id"]
    )


def test_nothing_is_found_where_there_is_nothing() -> None:
    found = fold_means((seed, nothing(seed)) for seed in SEEDS)
    assert {model for model, _ in found} >= MODELS
    means = {key: float(values.mean()) for key, values in found.items()}
    assert {key: mean for key, mean in means.items() if abs(mean - 0.5) > 0.05} == {}
    assert all(len(values) == len(SEEDS) for values in found.values())


def test_folds_by_image_would_be_found() -> None:
    found = fold_means((seed, nothing(seed).images_as_patients()) for seed in LEAK_SEEDS)
    assert found["pps_mlp", "auroc"].min() > 0.65
    assert found["pps_mlp", "c_index"].mean() > 0.65


def test_dimensions_chosen_outside_the_folds_would_be_found() -> None:
    found = fold_means((seed, nothing(seed, 2000).best_dimensions(20)) for seed in LEAK_SEEDS)
    assert found["pps_mlp", "auroc"].min() > 0.65
    assert found["pps_mlp", "c_index"].mean() > 0.65


def test_dimensions_chosen_at_random_are_not() -> None:
    found = fold_means((seed, nothing(seed, 20)) for seed in LEAK_SEEDS)
    assert abs(found["pps_mlp", "auroc"].mean() - 0.5) < 0.07
