import numpy as np
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import SeparationError, cox_model
from hccfeat.stats.firth import firth_cox, firth_logistic, separated

GROUP = np.repeat([0, 1], [10, 8])
LABELS = np.append(np.zeros(10, int), [1, 1, 1, 1, 1, 0, 0, 0])


def test_two_by_two_table_in_closed_form() -> None:
    """With one binary covariate the penalty adds one half to each cell: 0/10 against 5/8."""
    found = firth_logistic(GROUP, LABELS)
    (term,) = found.terms
    assert term.coefficient == pytest.approx(np.log((5.5 / 3.5) / (0.5 / 10.5)), rel=1e-6)
    assert term.coefficient == pytest.approx(3.49651, abs=5e-6)
    assert found.intercept == pytest.approx(np.log(0.5 / 10.5), rel=1e-6)
    assert (found.n, found.events, found.ties) == (18, 5, "")
    assert 0 < term.lower < term.coefficient < term.upper
    assert term.p < 0.01
    # The penalised likelihoods in closed form: l + log|I| / 2, the intercept's penalty included in both.
    cells = np.array([5.5 / 9, 0.5 / 11])

    def penalised(share: np.ndarray) -> float:
        weight = np.array([8, 10]) * share * (1 - share)
        likelihood = 5 * np.log(share[0]) + 3 * np.log(1 - share[0]) + 10 * np.log(1 - share[1])
        return likelihood + 0.5 * np.log(weight.prod())

    both = np.linspace(0.05, 0.6, 200_001)
    null = 5 * np.log(both) + 13 * np.log(1 - both) + 0.5 * np.log(8 * 10 * (both * (1 - both)) ** 2)
    from scipy.stats import chi2

    assert term.p == pytest.approx(chi2.sf(2 * (penalised(cells) - null.max()), 1), rel=1e-4)


def test_the_limits_are_where_the_penalised_test_gives_five_percent() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(60, 2))
    y = (generator.random(60) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    one, two = firth_logistic(x, y), firth_logistic(x * [10, 0.1] + 3, y)
    for a, b, scale in zip(one.terms, two.terms, (10, 0.1), strict=True):
        assert b.coefficient * scale == pytest.approx(a.coefficient, rel=1e-5)
        assert b.lower * scale == pytest.approx(a.lower, rel=1e-4)
        assert b.p == pytest.approx(a.p, rel=1e-4)
        assert (a.lower > 0 or a.upper < 0) == (a.p < 0.05)


def test_a_group_without_events_gets_a_finite_hazard_ratio() -> None:
    generator = np.random.default_rng(2)
    time, event = generator.exponential(size=40), np.append(np.ones(25), np.zeros(15))
    group = np.repeat([0, 1], [30, 10])
    with pytest.raises(SeparationError):
        cox_model(time, event, group)
    found = firth_cox(time, event, group)
    (term,) = found.terms
    assert np.isfinite([term.coefficient, term.lower, term.upper]).all()
    assert term.lower < term.coefficient < term.upper < 0
    assert term.p < 0.05
    assert found.ties == "breslow"


def test_in_large_samples_the_penalty_is_nothing() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=2000)
    time = generator.exponential(size=2000) * np.exp(-0.5 * x)
    plain, (term,) = cox_model(time, np.ones(2000), x, "breslow"), firth_cox(time, np.ones(2000), x).terms
    assert term.coefficient == pytest.approx(plain.coefficients[0], rel=0.005)
    assert term.standard_error == pytest.approx(plain.standard_errors[0], rel=0.005)


def test_separation_is_named_by_coefficient() -> None:
    generator = np.random.default_rng(4)
    noise = generator.normal(size=18)
    assert separated(np.column_stack([GROUP, noise]), LABELS)[0]
    assert not any(separated(generator.normal(size=(100, 2)), generator.integers(0, 2, 100)))
    assert separated(noise, np.ones(18)) == (True,)


@pytest.mark.parametrize(
    ("x", "y"),
    [(np.ones(18), LABELS), (np.column_stack([GROUP, GROUP]), LABELS), (GROUP, np.ones(18)), (GROUP[1:], LABELS)],
)
def test_what_cannot_be_fitted_is_refused(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(AnalysisError):
        firth_logistic(x, y)
    with pytest.raises(AnalysisError):
        firth_cox(np.arange(len(y)), np.zeros(len(y)), x)


def test_limits_that_run_away_leave_the_estimate_and_its_p(monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = firth_logistic(GROUP, LABELS).terms

    def singular(self: object, **_: object) -> None:
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("firthmodels.FirthLogisticRegression.conf_int", singular)
    (found,) = firth_logistic(GROUP, LABELS).terms
    assert (found.lower, found.upper) == (None, None)
    assert (found.coefficient, found.p) == (expected.coefficient, expected.p)


def test_a_search_that_meets_a_singular_matrix_is_an_error_of_the_analysis(monkeypatch) -> None:
    def singular(self, *args):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("firthmodels.FirthLogisticRegression.fit", singular)
    with pytest.raises(AnalysisError, match="did not converge"):
        firth_logistic(np.arange(10.0), np.arange(10) % 2)
