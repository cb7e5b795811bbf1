import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import CollinearityError, SeparationError, cox_model, nested_test
from hccfeat.stats.logrank import logrank_table

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def survival_data(seed: int, n: int = 80, p: int = 3, *, tied: bool = True) -> Data:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    time = generator.exponential(size=n) * np.exp(-x @ np.linspace(0.2, 0.8, p))
    return np.ceil(6 * time) if tied else time, generator.random(n) < 0.7, x


def log_likelihood(beta: np.ndarray, data: Data, ties: str) -> float:
    """The partial likelihood written out from its definition."""
    time, event, x = data
    risk, total = np.exp(x @ beta), 0.0
    for when in np.unique(time[event]):
        tied = (time == when) & event
        d = tied.sum()
        total += (x[tied] @ beta).sum()
        for k in range(d):
            total -= np.log(risk[time >= when].sum() - (k / d if ties == "efron" else 0) * risk[tied].sum())
    return total


def hessian(data: Data, beta: np.ndarray, ties: str) -> np.ndarray:
    def gradient(b: np.ndarray) -> np.ndarray:
        return approx_fprime(b, log_likelihood, 1e-6, data, ties)

    return np.array([(gradient(beta + h) - gradient(beta - h)) / 2e-3 for h in 1e-3 * np.eye(len(beta))])


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_fit_maximises_the_likelihood_of_its_ties(ties: str) -> None:
    data = survival_data(1)
    fit = cox_model(*data, ties)
    assert fit.log_likelihood == pytest.approx(log_likelihood(fit.coefficients, data, ties), rel=1e-12)
    assert fit.null_log_likelihood == pytest.approx(log_likelihood(np.zeros(3), data, ties), rel=1e-12)
    gradient = approx_fprime(fit.coefficients, log_likelihood, 1e-6, data, ties)
    assert np.abs(gradient).max() < 1e-3
    assert np.linalg.inv(-hessian(data, fit.coefficients, ties)) == pytest.approx(fit.covariance, rel=1e-3)
    null_score = approx_fprime(np.zeros(3), log_likelihood, 1e-6, data, ties)
    chisq = null_score @ np.linalg.solve(-hessian(data, np.zeros(3), ties), null_score)
    assert fit.score_test.chisq == pytest.approx(chisq, rel=1e-3)


def test_ties_matter_only_where_there_are_any() -> None:
    tied, untied = survival_data(2), survival_data(2, tied=False)
    assert np.abs(cox_model(*tied).coefficients - cox_model(*tied, "breslow").coefficients).max() > 0.01
    assert cox_model(*untied).coefficients == pytest.approx(cox_model(*untied, "breslow").coefficients, rel=1e-12)


def test_the_score_test_of_two_groups_is_the_log_rank_test() -> None:
    time, event, x = survival_data(3, tied=False)
    group = x[:, 0] > 0
    assert cox_model(time, event, group).score_test.chisq == pytest.approx(
        logrank_table(time, event, group).test.chisq, rel=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_units_and_order_only_rescale(seed: int, scale: float, shift: float) -> None:
    time, event, x = survival_data(seed)
    order = np.random.default_rng(seed).permutation(len(time))
    one, two = cox_model(time, event, x), cox_model(time[order], event[order], scale * x[order] + shift)
    assert two.coefficients * scale == pytest.approx(one.coefficients, rel=1e-6, abs=1e-8)
    assert two.wald_test.chisq == pytest.approx(one.wald_test.chisq, rel=1e-6)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)
    assert two.linear_predictor == pytest.approx(one.linear_predictor[order], abs=1e-6)


def test_the_three_tests_agree_in_large_samples() -> None:
    fit = cox_model(*survival_data(4, n=5000))
    chisq = fit.likelihood_ratio_test.chisq
    assert fit.wald_test.chisq == pytest.approx(chisq, rel=0.15)
    assert fit.score_test.chisq == pytest.approx(chisq, rel=0.15)


def test_nested_models_are_compared_by_likelihood() -> None:
    time, event, x = survival_data(5)
    one, two = cox_model(time, event, x[:, :2]), cox_model(time, event, x)
    found = nested_test(one, two)
    assert found.chisq == pytest.approx(2 * (two.log_likelihood - one.log_likelihood))
    assert found.df == 1
    with pytest.raises(AnalysisError, match="not nested"):
        nested_test(two, one)
    with pytest.raises(AnalysisError, match="different patients"):
        nested_test(cox_model(time[1:], event[1:], x[1:, :2]), two)


@pytest.mark.parametrize(
    ("x", "event", "error"),
    [
        (np.repeat([0.0, 1.0], 20), np.repeat([1, 0], 20), SeparationError),
        (-np.arange(40.0), np.ones(40), SeparationError),
        (np.full(40, 0.1), np.ones(40), CollinearityError),
        (np.column_stack([np.arange(40.0) % 7, 2 * (np.arange(40.0) % 7) + 1]), np.ones(40), CollinearityError),
        (np.arange(40.0) % 3, np.zeros(40), AnalysisError),
        (np.append(np.arange(39.0), np.nan), np.ones(40), AnalysisError),
        (np.arange(39.0), np.ones(40), AnalysisError),
    ],
)
def test_no_estimate_where_there_is_none(x: np.ndarray, event: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        cox_model(np.arange(1.0, 41), event, x)
