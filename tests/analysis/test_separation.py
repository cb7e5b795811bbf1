import numpy as np
import pytest

from hccfeat.analysis.separation import raw_logistic
from hccfeat.errors import AnalysisError
from hccfeat.stats.logistic import logistic

GROUP = np.repeat([0.0, 1.0], [10, 8])
EVENT = np.concatenate([np.zeros(10), np.ones(5), np.zeros(3)])


def test_none_of_ten_against_five_of_eight_has_firths_closed_form() -> None:
    fit = raw_logistic(GROUP, EVENT, ["group"])
    (term,) = fit.terms
    # One half is added to each cell: log(5.5 / 3.5) - log(0.5 / 10.5).
    assert term.coefficient == pytest.approx(3.49651, abs=5e-6)
    assert term.coefficient == pytest.approx(np.log(5.5 / 3.5 / (0.5 / 10.5)), abs=1e-6)
    assert term.odds_ratio == pytest.approx(33.0, rel=1e-5)
    assert 1 < term.lower < term.odds_ratio < term.upper
    assert term.p < 0.01
    assert "Firth" in term.method
    assert fit.condition.kind == "separation"
    assert "group tell the classes apart" in fit.condition.reason


def test_without_separation_it_is_maximum_likelihood() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(80, 2))
    y = (generator.random(80) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    fit, expected = raw_logistic(x, y, ["a", "b"]), logistic(x, y, ["a", "b"])
    assert [term.term for term in fit.terms] == ["(Intercept)", "a", "b"]
    assert [term.coefficient for term in fit.terms] == pytest.approx(expected.coefficients)
    assert fit.terms[1].lower == pytest.approx(np.exp(expected.intervals()[1, 0]))
    assert fit.condition is None


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.column_stack([GROUP, 2 * GROUP]), EVENT, "constant or collinear"),
        (GROUP, np.zeros(18), "one class"),
        (np.eye(18), EVENT, "18 patients for 19 parameters"),
    ],
)
def test_what_firth_cannot_mend_is_an_error(x: np.ndarray, y: np.ndarray, words: str) -> None:
    names = [f"x{k}" for k in range(1 if x.ndim == 1 else x.shape[1])]
    with pytest.raises(AnalysisError, match=words):
        raw_logistic(x, y, names)


def test_an_odds_ratio_too_large_to_write_is_an_error_and_no_infinity() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=80)
    y = (generator.random(80) < 1 / (1 + np.exp(-x))).astype(float)
    with pytest.raises(AnalysisError, match="odds ratio of a too large"):
        raw_logistic(x * 1e-4, y, ["a"])
