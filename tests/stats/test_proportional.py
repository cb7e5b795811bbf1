import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from scipy.optimize import approx_fprime

from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.proportional import proportional_hazards
from tests.stats.test_coxmodel import Data, survival_data


def augmented(theta: np.ndarray, data: Data, g: dict[float, float], ties: str) -> float:
    """Log-likelihood with coefficients beta + gamma g(t), written out from its definition."""
    time, event, x = data
    beta, gamma = np.split(theta, 2)
    total = 0.0
    for when in np.unique(time[event]):
        linear = x @ (beta + gamma * g[when])
        risk, tied = np.exp(linear), (time == when) & event
        d = tied.sum()
        total += linear[tied].sum()
        for k in range(d):
            total -= np.log(risk[time >= when].sum() - (k / d if ties == "efron" else 0) * risk[tied].sum())
    return total


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_it_is_the_score_test_of_the_augmented_model(ties: str) -> None:
    data = survival_data(1, n=60, p=2)
    time, event, _ = data
    curve = KaplanMeierFitter().fit(time, event).survival_function_.iloc[:, 0]
    times = np.unique(time[event])
    g = {when: 1 - curve[curve.index < when].iloc[-1] for when in times}
    fit = cox_model(*data, ties)
    theta = np.append(fit.coefficients, np.zeros(2))

    def gradient(at: np.ndarray) -> np.ndarray:
        return approx_fprime(at, augmented, 1e-6, data, g, ties)

    score = gradient(theta)
    information = -np.array([(gradient(theta + h) - gradient(theta - h)) / 2e-3 for h in 1e-3 * np.eye(4)])
    found = proportional_hazards(fit)
    assert found.together.chisq == pytest.approx(score @ np.linalg.solve(information, score), rel=0.01)
    for k in range(2):
        kept = [0, 1, 2 + k]
        part = information[np.ix_(kept, kept)]
        assert found.terms[k].chisq == pytest.approx(score[kept] @ np.linalg.solve(part, score[kept]), rel=0.01)
    assert (found.together.df, found.terms[0].df) == (2, 1)


def test_a_reversing_effect_is_found_and_a_constant_one_is_not() -> None:
    generator = np.random.default_rng(2)
    x = generator.integers(0, 2, size=400)
    constant = generator.exponential(size=400) * np.exp(-x)
    first = generator.exponential(size=400) * np.where(x == 1, 0.3, 3.0)
    reversing = np.where(first < 1, first, 1 + generator.exponential(size=400) * np.where(x == 1, 3.0, 0.3))
    assert proportional_hazards(cox_model(constant, np.ones(400), x)).together.p > 0.05
    assert proportional_hazards(cox_model(reversing, np.ones(400), x)).together.p < 1e-6


@pytest.mark.parametrize("transform", ["rank", "identity", "log"])
def test_transforms_differ_only_in_their_times(transform: str) -> None:
    time, event, x = survival_data(3)
    fit = cox_model(time, event, x)
    found = proportional_hazards(fit, transform)
    expected = {"identity": found.times, "log": np.log(found.times)}.get(transform, found.transformed)
    assert found.transformed == pytest.approx(expected)
    assert (np.diff(found.transformed) >= 0).all()
    assert found.scaled.mean(axis=0) == pytest.approx(fit.coefficients, abs=1e-6)
