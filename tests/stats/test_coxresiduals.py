import numpy as np
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.coxresiduals import baseline_hazard, predicted_risk, schoenfeld_residuals
from tests.stats.test_coxmodel import survival_data


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_residuals_add_up_to_zero(ties: str) -> None:
    fit = cox_model(*survival_data(1), ties)
    assert schoenfeld_residuals(fit).sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-6)
    assert schoenfeld_residuals(fit).shape == (fit.events, 3)


def test_the_baseline_is_breslows_sum_over_those_at_risk() -> None:
    time, event, x = survival_data(2, n=40)
    fit = cox_model(time, event, x, "breslow")
    risk = np.exp((x - x.mean(axis=0)) @ fit.coefficients)
    times, hazard = baseline_hazard(fit)
    expected = np.cumsum([((time == when) & event).sum() / risk[time >= when].sum() for when in times])
    assert hazard == pytest.approx(expected, rel=1e-9)
    found = predicted_risk(fit, x[:3], [times[0] - 0.5, times[2]])
    assert found[:, 0] == pytest.approx(np.zeros(3))
    assert found[:, 1] == pytest.approx(1 - np.exp(-expected[2] * risk[:3]), rel=1e-9)


def test_efrons_baseline_lies_above_breslows_with_ties() -> None:
    time, event, x = survival_data(3)
    one, two = (cox_model(time, event, 1e-9 * x, ties) for ties in ("breslow", "efron"))
    assert (baseline_hazard(two)[1] >= baseline_hazard(one)[1] - 1e-12).all()
    assert baseline_hazard(two)[1][-1] > baseline_hazard(one)[1][-1] * 1.01


def test_no_risk_beyond_the_follow_up_or_of_other_columns() -> None:
    time, event, x = survival_data(6)
    fit = cox_model(time, event, x)
    with pytest.raises(AnalysisError, match="beyond the last follow-up"):
        predicted_risk(fit, x, [time.max() + 1])
    with pytest.raises(AnalysisError, match="columns"):
        predicted_risk(fit, x[:, :2], [1.0])
