from itertools import product

import numpy as np
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.optimism import corrected_for_optimism
from hccfeat.stats.resampling import bootstrap_weights

Y = np.array([1.0, 2.0, 4.0, 9.0])


def mean_of(rows: np.ndarray) -> float:
    return float(Y[rows].mean())


def squared_error(model: float, rows: np.ndarray) -> dict[str, float | None]:
    return {"error": float(((Y[rows] - model) ** 2).mean())}


def test_four_patients_by_hand() -> None:
    """All 4^4 resamples of a model that predicts the mean: the optimism is exactly -2 var / n."""
    differences = []
    for drawn in product(range(4), repeat=4):
        rows = np.array(drawn)
        own, other = (squared_error(mean_of(rows), who)["error"] for who in (rows, np.arange(4)))
        differences.append(own - other)
    exact = float(np.mean(differences))
    assert exact == pytest.approx(-2 * Y.var() / 4)
    found = corrected_for_optimism(4, mean_of, squared_error, resamples=20000, seed=1)["error"]
    assert found.apparent == pytest.approx(Y.var())
    assert found.optimism == pytest.approx(exact, rel=0.05)
    assert found.value == pytest.approx(found.apparent - found.optimism)


def test_the_draws_are_those_of_the_bootstrap_and_every_one_is_refitted() -> None:
    seen = []

    def fit(rows: np.ndarray) -> float:
        seen.append(rows.tolist())
        return mean_of(rows)

    found = corrected_for_optimism(4, fit, squared_error, resamples=30, seed=3)["error"]
    counts = np.concatenate(list(bootstrap_weights(4, 30, 3))).astype(int)
    drawn = [np.repeat(np.arange(4), row) for row in counts]
    assert seen == [[0, 1, 2, 3], *(rows.tolist() for rows in drawn)]
    own = np.array([((Y[rows] - Y[rows].mean()) ** 2).mean() for rows in drawn])
    others = np.array([((Y - Y[rows].mean()) ** 2).mean() for rows in drawn])
    assert found.optimism == pytest.approx((own - others).mean())
    assert (found.lower, found.upper) == pytest.approx(np.percentile(own, [2.5, 97.5]) - found.optimism)
    assert found.resamples == 30


def test_predictors_of_nothing_look_good_on_their_own_patients_and_are_corrected_to_a_half() -> None:
    """Least squares on 5 columns of noise, 400 patients.

    The correction leaves some of the optimism where there is nothing to find, less with more patients.
    """
    apparent, corrected = [], []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        x, y = generator.normal(size=(400, 5)), generator.permutation(np.arange(400) < 160)

        def fit(rows: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> np.ndarray:
            return np.linalg.lstsq(np.column_stack([np.ones(400), x[rows]]), y[rows].astype(float))[0][1:]

        def judge(slopes: np.ndarray, rows: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> dict:
            return {"auroc": auroc(y[rows], x[rows] @ slopes).value}

        found = corrected_for_optimism(400, fit, judge, resamples=40, seed=seed)["auroc"]
        apparent.append(found.apparent)
        corrected.append(found.value)
    assert np.mean(apparent) > 0.55
    assert abs(np.mean(corrected) - 0.5) < 0.025


def test_a_real_predictor_keeps_its_figure() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=400)
    y = generator.random(400) < 1 / (1 + np.exp(-1.5 * x))
    found = corrected_for_optimism(
        400, lambda rows: 1.0, lambda model, rows: {"auroc": auroc(y[rows], x[rows]).value}, resamples=200, seed=1
    )["auroc"]
    assert found.value == pytest.approx(found.apparent, abs=0.01)
    assert found.lower < found.value < found.upper


def test_resamples_without_a_model_are_counted_and_too_many_forbid_the_figure() -> None:
    def failing(share: float):
        generator = np.random.default_rng(5)
        first = [True]

        def fit(rows: np.ndarray) -> float:
            if not first.pop() if first else generator.random() < share:
                raise AnalysisError("model", "does not exist", "Use more patients.")
            return mean_of(rows)

        return fit

    some = corrected_for_optimism(4, failing(0.05), squared_error, resamples=200, seed=1)["error"]
    assert some.value is not None
    assert 0 < 200 - some.resamples <= 20
    assert f"{200 - some.resamples} without a model" in some.method
    many = corrected_for_optimism(4, failing(0.5), squared_error, resamples=200, seed=1)["error"]
    assert (many.value, many.lower, many.optimism) == (None, None, None)
    assert many.apparent == pytest.approx(Y.var())
    assert "not corrected" in many.method


def test_a_figure_that_does_not_vary_has_no_interval_and_a_missing_one_stays_missing() -> None:
    def judge(model: float, rows: np.ndarray) -> dict[str, float | None]:
        return squared_error(model, rows) | {"none": None}

    found = corrected_for_optimism(
        4, mean_of, judge, resamples=50, seed=1, no_interval=lambda name: name == "error"
    )
    assert found["error"].value is not None
    assert found["error"].lower is None
    assert "no interval" in found["error"].method
    assert (found["none"].value, found["none"].apparent) == (None, None)


def test_a_model_that_fails_on_everybody_is_an_error() -> None:
    def fit(rows: np.ndarray) -> float:
        raise AnalysisError("model", "does not exist", "Use more patients.")

    with pytest.raises(AnalysisError, match="does not exist"):
        corrected_for_optimism(4, fit, squared_error, resamples=10, seed=1)
    with pytest.raises(AnalysisError, match="1 patients"):
        corrected_for_optimism(1, mean_of, squared_error, resamples=10, seed=1)
