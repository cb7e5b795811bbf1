from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.everyone import risks_of_everyone
from hccfeat.analysis.recurrence import analyse
from hccfeat.analysis.treatment import (
    Patients,
    compare_arms,
    compare_predicted,
    judged,
    score_against_time,
    training_cut,
)
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError, LeakageError


def risk_table(**changes: Any) -> pl.DataFrame:
    """Four training patients, one of them treated, and six held out, three of them treated."""
    columns = {
        "patient_id": [f"internal/P{k}" for k in range(10)],
        "cohort": ["internal"] * 10,
        "role": ["train"] * 4 + ["held_out"] * 6,
        "treated": [False, False, False, True, True, True, True, False, False, False],
        "time": [12.0] * 10,
        "event": [False] * 10,
        "y": [1, 0, 0, 1, 0, 1, 0, 1, 0, None],
        "risk": [0.2, 0.4, 0.9, 0.95, 0.1, 0.6, 0.7, 0.3, 0.5, 0.8],
        "fitted": [True, True, True, *[False] * 7],
    }
    return pl.DataFrame(columns | changes)


FOLLOW_UP = pl.DataFrame(
    {
        "patient_id": [f"internal/P{k}" for k in range(10)],
        "time": [10.0, 20, 30, 5, 40, 11, 13, 50, 60, None],
        "event": [True, False, False, True, False, True, True, True, False, None],
    }
)


def people(n: int = 73, treated: int = 16, seed: int = 3, benefit: float = -0.7) -> Patients:
    generator = np.random.default_rng(seed)
    latent, z = generator.normal(size=n), np.arange(n) < treated
    time = generator.exponential(1 / (0.016 * np.exp(latent + benefit * latent * z)))
    censored = generator.uniform(24, 84, n)
    risk = 1 / (1 + np.exp(-latent - 0.5 * generator.normal(size=n)))
    ids = [f"internal/P{k}" for k in range(n)]
    return Patients("held-out patients", ids, np.minimum(time, censored), time <= censored, z, risk, 0.5)


def nobody(n: int) -> Patients:
    return people().take(np.arange(73) < n, "few")


def test_the_cut_is_the_median_of_who_trained_the_network() -> None:
    assert training_cut(risk_table()) == 0.4
    # Seen by the encoder without a label of this endpoint: not fitted on.
    assert training_cut(risk_table(y=[1, None, 0, 1, 0, 1, 0, 1, 0, None])) == pytest.approx(0.55)
    with pytest.raises(AnalysisError, match="no training patients"):
        training_cut(risk_table(fitted=[False] * 10))


def test_the_cut_is_that_of_the_analysis(
    study: Callable[..., EndpointData], quick: type, settings: AnalysisConfig
) -> None:
    data = study()
    untreated = data.patients.filter(~pl.col("treated"))["patient_id"]
    data = replace(data, seen=data.seen & set(untreated))
    result = analyse(data, settings, fit_images=quick)
    risks = risks_of_everyone(data, result)
    expected = next(group.cut for group in result.groups if group.model == "pps_mlp")
    assert training_cut(risks) == pytest.approx(expected, rel=1e-12)
    found = judged(risks, data.patients, "internal", all_treated=True)
    treated = data.patients.filter(pl.col("treated") & (pl.col("cohort") == "internal"))
    assert found.treated.sum() == treated.height > 0


def test_treated_training_patients_judge_and_untreated_ones_do_not() -> None:
    held_out = judged(risk_table(), FOLLOW_UP, "internal", all_treated=False)
    everyone = judged(risk_table(), FOLLOW_UP, "internal", all_treated=True)
    assert held_out.ids == [f"internal/P{k}" for k in (4, 5, 6, 7, 8)]  # P9 has no outcome
    assert everyone.ids == [f"internal/P{k}" for k in (3, 4, 5, 6, 7, 8)]
    assert everyone.months.tolist() == [5, 40, 11, 13, 50, 60]  # not cut at the horizon
    assert everyone.high.tolist() == [True, False, True, True, False, True]
    assert everyone.cut == 0.4


@pytest.mark.parametrize("leak", [3, 5, 8])
def test_whoever_trained_the_network_judges_nothing(leak: int) -> None:
    fitted = [k < 3 or k == leak for k in range(10)]
    with pytest.raises(LeakageError, match="1 of"):
        judged(risk_table(fitted=fitted), FOLLOW_UP, "internal", all_treated=True)
    if leak == 3:  # a treated training patient is no judge among the held-out
        judged(risk_table(fitted=fitted), FOLLOW_UP, "internal", all_treated=False)


def test_arms_are_compared_by_every_test() -> None:
    found = compare_arms(people())
    assert found.groups == ("untreated", "sorafenib")
    assert found.n == (57, 16)
    assert found.test.n == (57, 16)
    assert found.test.p is not None
    assert found.logrank.p is not None
    assert found.hazard.n == 73
    assert [apart.horizon for apart in found.differences] == [12, 24]
    assert found.differences[0].n == (57, 16)
    assert found.curves is not None
    assert [curve.n for curve in found.curves.curves] == [57, 16]


def test_an_endpoint_ends_times_at_its_horizon() -> None:
    patients = people()
    whole, cut = compare_predicted(patients, None), compare_predicted(patients, 12.0)
    assert sum(cut.events) == int((patients.event & (patients.months <= 12)).sum()) < sum(whole.events)
    assert max(values.max() for values in cut.months) == 12
    assert [apart.horizon for apart in cut.differences] == [12]
    assert cut.differences[0].value == pytest.approx(whole.differences[0].value)
    assert cut.groups == ("low risk", "high risk")
    assert cut.n == (int((patients.risk <= 0.5).sum()), int((patients.risk > 0.5).sum()))


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_next_to_nobody_gives_reasons(n: int) -> None:
    few = nobody(n)
    for found in (compare_arms(few), compare_predicted(few, 12.0), compare_predicted(few, None)):
        assert sum(found.n) == n
        assert found.logrank.p is None
        assert found.hazard.reason
        assert (found.test.p is None) == bool(found.test.reason)
        assert (found.curves is None) == (n == 0)
        assert all(apart.lower is None and apart.reason for apart in found.differences)
    score = score_against_time(few, "risk", few.risk, AnalysisConfig(bootstraps=100))
    assert score.correlation.lower is None
    assert score.correlation.reason
    assert score.hazard.reason


def test_no_events_give_reasons() -> None:
    patients = people()
    calm = Patients("calm", patients.ids, patients.months, np.zeros(73, bool), patients.treated, patients.risk, 0.5)
    found = compare_arms(calm)
    assert found.logrank.reason
    assert found.hazard.hr is None
    assert found.differences[0].value == 0.0
    assert found.differences[0].lower is None
    assert score_against_time(calm, "risk", calm.risk, AnalysisConfig(bootstraps=100)).c_index.value is None


def test_a_score_is_correlated_with_time_and_judged_with_censoring() -> None:
    patients = people()
    found = score_against_time(patients, "risk", patients.risk, AnalysisConfig(bootstraps=200))
    assert found.correlation.r == pytest.approx(np.corrcoef(patients.risk, patients.months)[0, 1])
    assert found.correlation.r < 0 < found.line.r2
    assert found.c_index.value > 0.5
    assert found.hazard.hr > 1
    assert found.logrank.p is not None
