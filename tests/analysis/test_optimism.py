from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hccfeat.analysis.clinical_models import complete, fit_regressions, resampled
from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.judge_metrics import estimates
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.optimism import Figure, corrected_figures, corrected_rows
from hccfeat.analysis.rating import Rating, rate
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.resampling import bootstrap_weights
from tests.analysis.described_study import described, everybody

SETTINGS = AnalysisConfig(bootstraps=100, optimism=20)
Fit = Callable[[Population], list[FittedModel]]


def fitting(treatment: str = "complete", horizon: float | None = 12.0) -> Fit:
    def fit(sample: Population) -> list[FittedModel]:
        return fit_regressions(sample, (treatment,), horizon=horizon, timed=True, imputations=2, seed=5)[0]

    return fit


def figures(patients: Population, fit: Fit, horizon: float | None = 12.0) -> dict[tuple[str, str], Figure]:
    found = corrected_figures(patients, fit(patients), fit, SETTINGS, horizon=horizon)
    return {(one.model, one.metric): one for one in found}


@pytest.mark.parametrize("horizon", [12.0, None])
def test_apparent_figures_are_those_of_the_judge(horizon: float | None) -> None:
    patients = everybody(described(missing=0.0, horizon=horizon))
    fit = fitting(horizon=horizon)
    found = figures(patients, fit, horizon)
    for model in fit(patients):
        numbers = estimates(patients, rate(model, patients), SETTINGS, horizon=horizon)
        metrics = ["auroc", "c_index", "brier", "calibration_slope"]
        if horizon is None and model.name == "cox_clinical":
            metrics = ["auroc", "c_index", "brier_12", "brier_24"]
            assert found[model.name, "calibration_slope"].corrected.apparent == pytest.approx(1.0)
        for metric in metrics:
            one = found[model.name, metric]
            assert one.corrected.apparent == pytest.approx(numbers[metric].value, rel=1e-6), metric
            assert (one.n, one.events) == (numbers[metric].n, numbers[metric].events), metric


@pytest.mark.parametrize("treatment", ["complete", "multiple"])
def test_each_resample_is_refitted_and_judged_on_itself_and_on_everybody(treatment: str) -> None:
    """By the slow way: the model of each resample, its metrics on the repeated rows and on all patients."""
    patients = everybody(described(n=60, signal=0.5, missing=0.2 if treatment == "multiple" else 0.0))
    fit = fitting(treatment)
    found = figures(patients, fit)
    metrics = ("auroc", "c_index", "brier", "calibration_slope")
    differences = []
    for counts in np.concatenate(list(bootstrap_weights(60, 20, SETTINGS.seed))).astype(int):
        rows = np.repeat(np.arange(60), counts)
        sample = resampled(patients, rows)
        model = next(model for model in fit(sample) if model.name.startswith("cox_clinical"))
        rating = rate(model, patients)
        repeated = Rating(rating.risk[rows], rating.probability[rows])
        own, everyone = (
            estimates(who, one, SETTINGS, horizon=12.0) for who, one in ((sample, repeated), (patients, rating))
        )
        differences.append([own[metric].value - everyone[metric].value for metric in metrics])
    name = "cox_clinical" if treatment == "complete" else "cox_clinical_imputed"
    for metric, expected in zip(metrics, np.mean(differences, axis=0), strict=True):
        assert found[name, metric].corrected.optimism == pytest.approx(expected, rel=1e-6), metric


def test_noise_loses_most_of_what_it_seemed_to_tell() -> None:
    """On 100 patients some optimism stays (see tests/stats/test_optimism.py for the larger simulation)."""
    values = []
    for seed in range(4):
        patients = everybody(described(seed, n=100, signal=0.0, missing=0.0))
        one = figures(patients, fitting())["cox_clinical", "c_index"].corrected
        values.append((one.apparent, one.value))
    apparent, corrected = np.mean(values, axis=0)
    assert apparent > 0.56
    assert 0.49 < corrected < apparent - 0.02


def test_slopes_have_no_interval_and_others_do() -> None:
    found = figures(everybody(described(missing=0.0)), fitting())
    for (_, metric), one in found.items():
        assert (one.corrected.lower is None) == (metric == "calibration_slope")
        assert one.corrected.value is not None
    slope = found["clinical_logistic", "calibration_slope"].corrected
    assert slope.value < slope.apparent


def test_models_of_images_are_refused(study: Callable[..., EndpointData]) -> None:
    data = study()
    patients = population(data, "internal", "train", "apparent")
    fit = fitting()
    with pytest.raises(AnalysisError, match="does not train their encoder again"):
        corrected_figures(patients, [], fit, SETTINGS, horizon=12.0)


def test_a_horizon_that_nobody_reaches_has_no_brier_score() -> None:
    patients = everybody(described(missing=0.0))
    early = np.minimum(patients.months, 11.0)
    short = replace(patients, months=early, time=early, y=np.where(patients.event > 0, 1.0, 0.0))
    found = figures(short, fitting())
    assert found["cox_clinical", "brier"].corrected.value is None
    assert found["cox_clinical", "c_index"].corrected.value is not None


def test_rows_carry_the_corrected_name() -> None:
    patients = everybody(described(missing=0.1))
    members = patients.take(complete(patients))
    found = figures(members, fitting())
    rows = corrected_rows("1y", members, found.values())
    assert {row.metric for row in rows} == {
        "auroc_corrected", "c_index_corrected", "brier_corrected", "calibration_slope_corrected"
    }  # fmt: skip
    assert {(row.split, row.cohort, row.endpoint) for row in rows} == {("apparent", "clinic", "1y")}
    assert all("20 resamples" in row.method for row in rows)
