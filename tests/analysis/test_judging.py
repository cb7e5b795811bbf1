from collections.abc import Callable

import numpy as np
import pytest

from hccfeat.analysis.data import EndpointData, population
from hccfeat.analysis.hazards import per_sd
from hccfeat.analysis.judging import judge, risk_of, risk_times
from hccfeat.analysis.models import FittedModel
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError

Study = Callable[..., EndpointData]


@pytest.mark.parametrize("risk", [np.nan, np.inf])
def test_a_model_that_gives_no_number_is_an_error(study: Study, risk: float) -> None:
    judged = population(study(), "internal", "held_out", "held_out")
    with pytest.raises(AnalysisError, match="model broken"):
        risk_of(FittedModel("broken", "", lambda patients: np.full(len(patients), risk)), judged)
    with pytest.raises(AnalysisError, match="model broken"):
        risk_of(FittedModel("broken", "", lambda _: np.zeros(3)), judged)


def test_one_risk_for_all_gives_one_group_and_no_hazard_ratio(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    judged = population(data, "internal", "held_out", "held_out")
    verdict = judge(
        data, FittedModel("flat", "", lambda patients: np.full(len(patients), 0.3)), judged, settings, 0.3
    )
    (group,) = verdict.groups
    assert [curve.label for curve in group.curves] == ["low risk"]
    assert "no patient in the high risk group" in group.note
    assert {row.hr for row in verdict.hazard_ratios} == {None}
    assert set(verdict.withheld) == {"risk group of flat", "risk per SD of flat"}
    assert verdict.metrics[0].estimate == 0.5


def test_numbers_at_risk_are_shown_at_round_times() -> None:
    assert risk_times(np.array([3.0, 12.0]), 12.0).tolist() == [0, 3, 6, 9, 12]
    assert risk_times(np.array([3.0, 40.0]), None).tolist() == [0, 12, 24, 36]
    assert len(risk_times(np.array([400.0]), None)) <= 9


def test_per_sd_of_a_constant_stays_constant() -> None:
    assert per_sd(np.full(5, 0.2)).tolist() == [0.0] * 5
    assert per_sd(np.array([1.0, 2.0, 3.0])).std(ddof=1) == pytest.approx(1.0)
