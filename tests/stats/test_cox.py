import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import cox_univariable

CLINICAL = ["HBsAg", "ALT", "AFP", "Tumorsize", "BCLC", "Vascularinvasion"]


def efron_log_likelihood(beta: float, time: np.ndarray, event: np.ndarray, x: np.ndarray) -> float:
    """Efron's partial likelihood written out from its definition."""
    total = 0.0
    for when in np.unique(time[event]):
        tied = (time == when) & event
        at_risk = np.exp(beta * x[time >= when]).sum()
        of_tied = np.exp(beta * x[tied]).sum()
        d = tied.sum()
        total += beta * x[tied].sum() - sum(np.log(at_risk - k / d * of_tied) for k in range(d))
    return total


def test_ties_are_efrons() -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=60)
    time = np.ceil(5 * generator.exponential(size=60) * np.exp(-0.7 * x))
    event = generator.random(60) < 0.8
    assert len(np.unique(time[event])) < event.sum() / 2  # heavy ties
    best = minimize_scalar(
        lambda beta: -efron_log_likelihood(beta, time, event, x),
        bounds=(-3, 3),
        method="bounded",
        options={"xatol": 1e-9},
    )
    found = cox_univariable(time, event, x)
    assert found.coefficient == pytest.approx(best.x, abs=1e-6)
    assert found.hr == pytest.approx(np.exp(best.x), rel=1e-6)
    assert found.ties == "efron"


def test_the_unit_of_the_covariate_only_rescales() -> None:
    """A PPS is nearly constant: a small spread on a large mean must not spoil the fit."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=50)
    time, event = generator.exponential(size=50), np.ones(50)
    one, tiny = cox_univariable(time, event, x), cox_univariable(time, event, 0.6 + 0.005 * x)
    assert tiny.coefficient * 0.005 == pytest.approx(one.coefficient, rel=1e-4)
    assert tiny.p == pytest.approx(one.p, rel=1e-4)


@pytest.mark.parametrize(
    ("event", "x", "words"),
    [
        ([1, 1, 1, 1] + [0] * 16, np.arange(20), "only 4 events"),
        ([1] * 20, np.ones(20), "constant"),
        ([1] * 10 + [0] * 10, np.repeat([0, 1], 10), "no events among the 10 patients at 1"),
        ([1] * 20, -np.arange(20), "infinity"),
    ],
)
def test_no_hazard_ratio_where_there_is_none(event: list[int], x: np.ndarray, words: str) -> None:
    found = cox_univariable(np.arange(1, 21), event, x)
    assert (found.hr, found.lower, found.upper, found.p) == (None, None, None, None)
    assert words in found.reason
    assert (found.n, found.events) == (20, sum(event))


def test_missing_values_are_refused_not_dropped() -> None:
    with pytest.raises(AnalysisError, match="covariate"):
        cox_univariable(np.arange(1, 21), np.ones(20), np.append(np.arange(19.0), np.nan))


@pytest.mark.real_data
@pytest.mark.parametrize(("horizon", "block"), [(None, "cox_univariable"), (12, "cox_univariable_12m")])
@pytest.mark.parametrize("index", range(6))
def test_hazard_ratios_equal_r(
    real_data: Path, reference: Path, horizon: float | None, block: str, index: int
) -> None:
    frame = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    r = json.loads((reference / "r_reference.json").read_text())[block][index]
    time, event = frame["RFS"].to_numpy(), frame["Recurrence"].to_numpy()
    if horizon is not None:
        time, event = np.minimum(time, horizon), event * (time <= horizon)
    found = cox_univariable(time, event, frame[CLINICAL[index]].to_numpy())
    assert (found.n, found.events) == (r["n"], r["events"])
    assert found.coefficient == pytest.approx(r["coef"], rel=1e-6)
    assert found.standard_error == pytest.approx(r["se"], rel=1e-5)
    assert found.hr == pytest.approx(r["hr"], rel=1e-6)
    assert [found.lower, found.upper] == pytest.approx([r["hr_lower95"], r["hr_upper95"]], rel=1e-5)
    assert found.p == pytest.approx(r["p"], rel=1e-5)
