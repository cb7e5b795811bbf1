import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.stats.logistic import logistic

CLINICAL = ["HBsAg", "ALT", "AFP", "Tumorsize", "BCLC", "Vascularinvasion"]


def test_a_two_by_two_table_gives_its_log_odds_ratio() -> None:
    # 12 of 20 against 5 of 25: log odds ratio log((12/8) / (5/20)), variance 1/12 + 1/8 + 1/5 + 1/20.
    x = np.repeat([1, 0], [20, 25])
    y = np.concatenate([np.repeat([1, 0], [12, 8]), np.repeat([1, 0], [5, 20])])
    fit = logistic(x[:, None], y, ["exposed"])
    assert fit.coefficients[1] == pytest.approx(np.log((12 / 8) / (5 / 20)), rel=1e-8)
    assert fit.standard_errors[1] == pytest.approx(np.sqrt(1 / 12 + 1 / 8 + 1 / 5 + 1 / 20), rel=1e-6)
    assert fit.predict(np.array([[1.0], [0.0]])) == pytest.approx([0.6, 0.2], rel=1e-8)
    assert fit.terms == ("(Intercept)", "exposed")


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.arange(10)[:, None], [0] * 5 + [1] * 5, "separate"),
        (np.repeat([0, 1], [8, 10])[:, None], [1] * 5 + [0] * 13, "separate"),
        (np.ones((10, 1)), [0, 1] * 5, "collinear"),
        (np.column_stack([np.arange(10), 2 * np.arange(10)]), [0, 1] * 5, "collinear"),
        (np.arange(10)[:, None], [0] * 10, "one class"),
        (np.arange(6).reshape(2, 3), [0, 1], "2 patients for 4 parameters"),
    ],
)
def test_no_finite_estimate_is_an_error(x: np.ndarray, y: list[int], words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        logistic(x, y, [f"x{k}" for k in range(x.shape[1])])


@pytest.mark.real_data
def test_logistic_regression_equals_r(real_data: Path, reference: Path) -> None:
    frame = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    r = json.loads((reference / "r_reference.json").read_text())["logistic_12m"]
    y = ((frame["RFS"] <= 12) & (frame["Recurrence"] == 1)).cast(int).to_numpy()
    fit = logistic(frame.select(CLINICAL).to_numpy(), y, CLINICAL)
    assert list(fit.terms) == r["term"]
    assert fit.coefficients == pytest.approx(r["coef"], rel=1e-6)
    assert fit.standard_errors == pytest.approx(r["se"], rel=1e-5)
    assert fit.p == pytest.approx(r["p"], rel=1e-5)
    assert fit.log_likelihood == pytest.approx(r["loglik"], rel=1e-9)
    assert fit.aic == pytest.approx(r["aic"], rel=1e-9)
