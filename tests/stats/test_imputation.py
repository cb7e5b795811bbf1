import numpy as np
import pytest
from scipy.stats import chi2

from hccfeat.errors import AnalysisError
from hccfeat.stats.imputation import d3, rubin


def test_rubins_rules_by_hand() -> None:
    found = rubin([[1.0], [2.0], [3.0]], [[[0.5]], [[0.7]], [[0.6]]])
    # Mean 2, within 0.6, between 1, total 0.6 + 4/3.
    assert found.estimates == pytest.approx([2])
    assert found.standard_errors == pytest.approx([np.sqrt(0.6 + 4 / 3)])
    share = (4 / 3) / (0.6 + 4 / 3)
    assert found.missing_information == pytest.approx([share])
    assert found.degrees == pytest.approx([2 / share**2])
    assert found.lower[0] < found.estimates[0] < found.upper[0]
    small = rubin([[1.0], [2.0], [3.0]], [[[0.5]], [[0.7]], [[0.6]]], complete_df=20)
    observed = 21 / 23 * 20 * (1 - share)
    assert small.degrees == pytest.approx([1 / (share**2 / 2 + 1 / observed)])


def test_imputations_that_agree_are_complete_data() -> None:
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    found = rubin(np.tile([1.0, -3.0], (5, 1)), np.tile(covariance, (5, 1, 1)))
    assert found.covariance == pytest.approx(covariance)
    assert found.missing_information == pytest.approx([0, 0])
    assert found.upper[0] == pytest.approx(1 + 1.959963985 * np.sqrt(2))
    test = d3([7.0, 7.0, 7.0], [7.0, 7.0, 7.0], 2)
    assert test.f == pytest.approx(3.5)
    assert test.residual_df == np.inf
    assert test.p == pytest.approx(chi2.sf(7, 2), rel=1e-6)


def test_d3_by_hand() -> None:
    found = d3([10.0, 12.0, 14.0], [9.0, 10.0, 11.0], 3)
    increase = 4 / (3 * 2) * (12 - 10)
    assert found.f == pytest.approx(10 / (3 * (1 + increase)))
    assert found.residual_df == pytest.approx(4 + (6 - 4) * (1 + (1 - 2 / 6) / increase) ** 2)
    one = d3([10.0, 12.0], [9.0, 10.0], 1)
    assert one.residual_df == pytest.approx(1 * 2 * (1 + 1 / (3 * 1.5)) ** 2 / 2)
    assert d3([1.0, 1.0], [-0.5, 0.1], 1).f == 0


@pytest.mark.parametrize(
    ("estimates", "covariances"),
    [([[1.0]], [[[1.0]]]), ([[1.0], [2.0]], [[1.0], [1.0]]), ([[1.0], [np.nan]], [[[1.0]], [[1.0]]])],
)
def test_malformed_input_is_refused(estimates: list, covariances: list) -> None:
    with pytest.raises(AnalysisError):
        rubin(estimates, covariances)
    with pytest.raises(AnalysisError):
        d3([1.0], [1.0], 1)
