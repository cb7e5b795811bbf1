from collections.abc import Callable

import numpy as np
import pytest

from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.hazards import per_sd
from hccfeat.analysis.judging import decisions_without_model, judge, risk_of, risk_times
from hccfeat.analysis.models import FittedModel, classifier
from hccfeat.analysis.results import EndpointResult
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
    assert {(one.kind, one.about) for one in verdict.conditions} == {
        ("collinear", "risk group of flat"),
        ("collinear", "risk per SD of flat"),
    }
    assert verdict.metrics[0].estimate == 0.5


def test_every_curve_of_a_model_goes_into_the_result(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    judged = population(data, "internal", "held_out", "held_out")

    def predict(patients: Population) -> np.ndarray:
        return np.linspace(0.1, 0.9, len(patients))

    verdict = judge(data, classifier("ramp", "d", predict), judged, settings, 0.5)
    result = EndpointResult("1y", "", 12.0, "")
    verdict.into(result)
    assert [curve.months for curve in result.calibrations] == [None, 12.0]
    assert [curve.months for curve in result.decisions] == [None, 12.0]
    assert (result.calibrations[0].n, result.calibrations[1].n) == (
        int(judged.labelled.sum()),
        int(judged.followed.sum()),
    )
    (spread,) = result.distributions
    assert spread.with_event.sum() == int(np.nansum(judged.y))
    assert [row.term for row in result.proportionality] == ["risk group", "risk per SD"]
    assert len(result.metrics) == len({row.metric for row in result.metrics}) == 18
    assert len(result.predictions) == len(judged)
    assert result.groups[0].test == "log-rank"
    assert sum(result.groups[0].expected) == pytest.approx(judged.event[judged.followed].sum())
    defaults = decisions_without_model(data, judged)
    assert [(curve.model, curve.months) for curve in defaults] == [
        ("treat all", None), ("treat none", None), ("treat all", 12.0), ("treat none", 12.0),
    ]  # fmt: skip


def test_a_relative_risk_is_judged_by_discrimination_alone(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    judged = population(data, "internal", "held_out", "held_out")
    model = FittedModel("hazard", "d", lambda patients: np.linspace(-3, 3, len(patients)))
    verdict = judge(data, model, judged, settings, 0.0)
    rows = {row.metric: row for row in verdict.metrics}
    assert {name for name, row in rows.items() if row.estimate is not None} == {
        "auroc", "auprc", "c_index", "c_uno", "auc_at",
    }  # fmt: skip
    assert "no probability" in rows["brier"].method
    assert "no probability" in rows["recall"].method
    assert verdict.calibrations == verdict.decisions == []
    assert verdict.distributions[0].edges[[0, -1]].tolist() == [-3, 3]


def test_numbers_at_risk_are_shown_at_round_times() -> None:
    assert risk_times(np.array([3.0, 12.0]), 12.0).tolist() == [0, 3, 6, 9, 12]
    assert risk_times(np.array([3.0, 40.0]), None).tolist() == [0, 12, 24, 36]
    assert len(risk_times(np.array([400.0]), None)) <= 9


def test_per_sd_of_a_constant_stays_constant() -> None:
    assert per_sd(np.full(5, 0.2)).tolist() == [0.0] * 5
    assert per_sd(np.array([1.0, 2.0, 3.0])).std(ddof=1) == pytest.approx(1.0)
