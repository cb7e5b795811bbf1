import numpy as np

from hccfeat.analysis.prognosis import PrecisionRecall
from hccfeat.report.prognosis_figures import ScoreRow, precision_recall_figure, scores_figure
from hccfeat.stats.estimate import Estimate

NASTY = '<b>"&'


def test_scores_without_a_number_are_named_with_a_dash() -> None:
    rows = [
        ScoreRow(NASTY, Estimate(0.7, 0.6, 0.8, 10, 5, ""), (0.6, 0.7, 0.75), emphasis=True),
        ScoreRow("nothing", Estimate(None, None, None, 0, 0, "not estimated")),
        ScoreRow("no interval", Estimate(0.25, None, None, 4, 2, "")),
    ]
    first = scores_figure("k1", rows, title=NASTY, axis="AUROC", chance=0.5, simulated=True)
    assert "0.70 (0.60–0.80)" in first
    assert "nothing: –" in first
    assert NASTY not in first
    assert "SIMULATED DATA" in first
    assert first == scores_figure("k1", rows, title=NASTY, axis="AUROC", chance=0.5, simulated=True)
    assert "SIMULATED" not in scores_figure("k1", rows, title="t", axis="AUROC", chance=0.5, simulated=False)


def test_precision_recall_shows_the_area_with_its_interval() -> None:
    curve = PrecisionRecall("one year", np.array([0.0, 0.5, 1.0]), np.array([1.0, 1.0, 0.4]), 0.4)
    drawn = precision_recall_figure(
        "k2", [(curve, Estimate(0.7, 0.5, 0.9, 10, 4, ""))], title="PPS", simulated=False
    )
    assert "one year  0.70 (0.50–0.90)" in drawn
    assert "SIMULATED" not in drawn
