import numpy as np

from hccfeat.analysis.treatment import Patients, compare_arms, score_against_time
from hccfeat.config import AnalysisConfig
from hccfeat.report.treatment_figures import comparison_figure, score_figure


def patients(n: int) -> Patients:
    months = np.arange(1.0, n + 1)
    ids = [f"internal/P{k}" for k in range(n)]
    return Patients("few <patients>", ids, months, months > 2, months > n / 2, months / 10, 0.3)


def test_groups_without_patients_are_drawn_empty() -> None:
    panels = [compare_arms(patients(12)), compare_arms(patients(0))]
    svg = comparison_figure("arms", panels, title="Months by arm", simulated=True)
    assert "SIMULATED DATA" in svg
    assert "n = 6" in svg
    assert "n = 0" in svg
    assert "<patients>" not in svg
    assert svg == comparison_figure("arms", panels, title="Months by arm", simulated=True)
    assert "SIMULATED" not in comparison_figure("arms", panels, title="Months by arm", simulated=False)


def test_a_line_is_drawn_only_where_there_is_one() -> None:
    settings = AnalysisConfig(bootstraps=100)
    one, many = (score_against_time(group, "Risk", group.risk, settings) for group in (patients(1), patients(12)))
    lines = [
        score_figure("score", [found], title="Risk and months", simulated=False).count("stroke: var(--c2")
        for found in (one, many)
    ]
    assert lines == [0, 1]
