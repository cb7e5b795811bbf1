import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import CoxModel, cox_multivariable, cox_univariable, likelihood_ratio

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
        ([1] * 10 + [0] * 10, np.repeat([0, 1], 10), "no events among the 10 patients with the value 1"),
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


def survival(n: int = 80, seed: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    time = generator.exponential(size=n) * np.exp(-x @ [0.8, 0.0, -0.4])
    return np.ceil(6 * time), (generator.random(n) < 0.8).astype(int), x


def test_one_covariate_gives_the_univariable_estimate() -> None:
    time, event, x = survival()
    one, many = cox_univariable(time, event, x[:, 0]), cox_multivariable(time, event, x[:, :1], ["a"])
    term = many.terms[0]
    assert (term.hr, term.lower, term.upper, term.p) == pytest.approx((one.hr, one.lower, one.upper, one.p))
    assert (many.n, many.events, many.ties, many.left_out) == (80, int(event.sum()), "efron", {})


def test_units_and_order_only_rescale_and_reorder() -> None:
    time, event, x = survival()
    plain = cox_multivariable(time, event, x, ["a", "b", "c"])
    moved = cox_multivariable(time, event, (7 + 0.01 * x)[:, ::-1], ["c", "b", "a"])
    for name in "abc":
        one, other = plain.term(name), moved.term(name)
        assert one is not None
        assert other is not None
        assert other.coefficient * 0.01 == pytest.approx(one.coefficient, rel=1e-6, abs=1e-9)
        assert other.p == pytest.approx(one.p, rel=1e-6)
    assert moved.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-10)
    assert moved.null_log_likelihood == pytest.approx(plain.null_log_likelihood, rel=1e-10)


def test_covariates_that_cannot_take_part_are_named() -> None:
    time, event, x = survival()
    flag = np.zeros(80)
    flag[np.flatnonzero(event == 0)[:4]] = 1
    matrix = np.column_stack([np.ones(80), x[:, 0], flag, 2 * x[:, 0] - 1, x[:, 1]])
    found = cox_multivariable(time, event, matrix, ["one", "a", "flag", "again", "b"])
    assert [term.term for term in found.terms] == ["a", "b"]
    assert found.left_out == {
        "one": "constant",
        "flag": "no events among the 4 patients with the value 1",
        "again": "a linear combination of the covariates before it",
    }
    same = cox_multivariable(time, event, x[:, :2], ["a", "b"])
    assert found.log_likelihood == pytest.approx(same.log_likelihood)


@pytest.mark.parametrize(
    ("time", "event", "x", "words"),
    [
        (np.arange(1, 21), [1] * 4 + [0] * 16, np.arange(20), "only 4 events"),
        (np.arange(1, 21), [1] * 20, np.ones(20), "no covariate is left"),
        (np.arange(1, 21), [1] * 20, -np.arange(20), "infinity"),
        ([], [], [], "only 0 events"),
    ],
)
def test_no_model_where_there_is_none(time: list, event: list, x: np.ndarray, words: str) -> None:
    found = cox_multivariable(time, event, np.reshape(x, (-1, 1)), ["a"])
    assert found.terms == ()
    assert found.log_likelihood is None
    assert words in found.reason
    assert likelihood_ratio(found, found) == (None, None, None)


def test_few_events_per_coefficient_are_noted() -> None:
    time, event, x = survival(16)
    assert "events for 3 coefficients" in cox_multivariable(time, event, x, ["a", "b", "c"]).note
    time, event, x = survival(80)
    assert cox_multivariable(time, event, x, ["a", "b", "c"]).note == ""


def test_likelihood_ratio_is_of_nested_models_of_the_same_patients() -> None:
    time, event, x = survival()
    small, large = cox_multivariable(time, event, x[:, :1], ["a"]), cox_multivariable(time, event, x, list("abc"))
    chisq, df, p = likelihood_ratio(small, large)
    assert df == 2
    assert chisq == pytest.approx(2 * (large.log_likelihood - small.log_likelihood))
    assert 0 < p < 1
    with pytest.raises(AnalysisError, match="nested"):
        likelihood_ratio(large, small)
    fewer = cox_multivariable(time[1:], event[1:], x[1:, :1], ["a"])
    with pytest.raises(AnalysisError, match="different patients"):
        likelihood_ratio(fewer, large)


def test_names_must_match_the_columns() -> None:
    time, event, x = survival()
    with pytest.raises(AnalysisError, match="names"):
        cox_multivariable(time, event, x, ["a", "b"])
    with pytest.raises(AnalysisError, match="missing"):
        cox_multivariable(time, event, np.where(x > 2, np.nan, x), ["a", "b", "c"])


def li_2014(real_data: Path) -> pl.DataFrame:
    return pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")


def fitted(frame: pl.DataFrame, names: list[str]) -> CoxModel:
    return cox_multivariable(frame["RFS"], frame["Recurrence"], frame.select(names).to_numpy(), names)


@pytest.mark.real_data
def test_the_model_equals_rs(real_data: Path, reference: Path) -> None:
    r = json.loads((reference / "r_reference.json").read_text())["cox_multivariable"]["efron"]
    found = fitted(li_2014(real_data), r["term"])
    assert (found.n, found.events) == (r["n"], r["events"])
    for key, name in [
        ("coef", "coefficient"),
        ("se", "standard_error"),
        ("hr", "hr"),
        ("hr_lower95", "lower"),
        ("hr_upper95", "upper"),
        ("p", "p"),
    ]:
        assert [getattr(term, name) for term in found.terms] == pytest.approx(r[key], rel=1e-6)
    assert [found.null_log_likelihood, found.log_likelihood] == pytest.approx(r["loglik"], rel=1e-8)
    chisq = 2 * (found.log_likelihood - found.null_log_likelihood)
    assert chisq == pytest.approx(r["lrt"][0], rel=1e-6)


@pytest.mark.real_data
def test_the_interaction_equals_rs(real_data: Path, reference: Path) -> None:
    r = json.loads((reference / "r_reference.json").read_text())["cox_interaction"]
    product = pl.col("Vascularinvasion") * pl.col("Tumorsize")
    frame = li_2014(real_data).with_columns(product.alias("Vascularinvasion:Tumorsize"))
    smaller, larger = fitted(frame, r["term"][:2]), fitted(frame, r["term"])
    assert [term.coefficient for term in larger.terms] == pytest.approx(r["coef"], rel=1e-6)
    chisq, df, p = likelihood_ratio(smaller, larger)
    assert df == 1
    assert (chisq, p) == pytest.approx((r["lrt_chisq"], r["lrt_p"]), rel=1e-6)
