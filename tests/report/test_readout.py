import html
import json
import re
from typing import Any

import numpy as np
import pytest

from hccfeat.analysis.results import CalibrationCurve, DecisionCurve, Metric, RiskDistribution
from hccfeat.report.curve_figures import calibration_figure, decision_figure, distribution_figure, over_time_figure
from hccfeat.report.figures import survival_figure
from hccfeat.report.forest_figures import DifferenceRow, difference_figure
from hccfeat.report.survival_figures import logrank_text
from tests.report.test_figures import group

PLACE = ("internal", "held_out")


def plot_of(svg: str) -> dict[str, Any]:
    found = re.search(r"data-plot='([^']*)'", svg)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def numbers(text: str) -> list[float]:
    return [float("nan") if one == "-" else float(one) for one in text.split(" ")]


def test_the_numbers_read_out_are_those_of_the_curve() -> None:
    curves = group(60).curves
    svg = survival_figure("km", group(60), title="T", simulated=False)
    plot = plot_of(svg)
    (panel,) = plot["p"]
    assert (plot["k"], plot["pc"], plot["d"]) == ("step", 1, 1)
    for one, curve in zip(panel["s"], curves, strict=True):
        assert one["n"] == curve.label
        assert numbers(one["x"]) == pytest.approx(curve.times, abs=5e-5)
        assert numbers(one["y"]) == pytest.approx(curve.survival, abs=5e-5)
        at_risk, events = one["e"]
        assert (at_risk[0], at_risk[2], events[0], events[2]) == ("at risk", 1, "events", 0)
        assert numbers(at_risk[1]) == curve.step_at_risk.tolist()
        assert numbers(events[1])[-1] == curve.events
    # The axes' box lies in the drawing, and both curves and bands are marked for the switches.
    width, height = (float(size) for size in re.findall(r"viewBox=.0 0 (\d+) (\d+)", svg)[0])
    left, top, right, bottom = panel["b"]
    assert 0 < left < right < width
    assert 0 < top < bottom < height
    assert {re.findall(r'data-s="(\d)"', svg)[i] for i in range(4)} == {"0", "1"}
    assert svg.count('data-band="1"') == 2


def test_names_in_the_read_out_stay_text() -> None:
    svg = survival_figure("km", group(20, 'a"><script>'), title="T", simulated=False)
    assert "<script" not in svg
    assert plot_of(svg)["p"][0]["s"][1]["n"] == 'a"><script>'


def test_a_permutation_test_is_named() -> None:
    from dataclasses import replace

    found = replace(group(20), logrank_chisq=None, test="permutation log-rank, 10,000 draws")
    assert logrank_text(found) == "permutation log-rank, 10,000 draws, P 0.005; cut at 0.414"


def test_calibration_and_decision_curves() -> None:
    x = np.linspace(0.1, 0.6, 5)
    curve = CalibrationCurve("a", *PLACE, 12.0, x, x + 0.05, x - 0.02, x + 0.1, 70, 30, "how")
    svg = calibration_figure("c", [curve], {"a": 3}, title="T", simulated=True)
    series = plot_of(svg)["p"][0]["s"][0]
    assert (series["m"], series["n"]) == (3, "a")
    assert numbers(series["hi"]) == pytest.approx(x + 0.1, abs=5e-5)
    assert "a (30/70)" in svg
    assert ">SIMULATED DATA</text>" in svg
    t = np.array([0.1, 0.2, 0.3])
    decisions = [
        DecisionCurve(model, *PLACE, None, t, value, 70, 30, "how")
        for model, value in (("treat all", 0.3 - t), ("a", 0.35 - t), ("treat none", 0 * t))
    ]
    plot = plot_of(decision_figure("d", decisions, {"a": 0}, title="T", simulated=False))
    assert [one["n"] for one in plot["p"][0]["s"]] == ["a", "Treat all", "Treat none"]
    assert ["m" in one for one in plot["p"][0]["s"]] == [True, False, False]
    assert numbers(plot["p"][0]["s"][1]["y"]) == pytest.approx(0.3 - t, abs=5e-5)


def test_distributions_keep_counts_by_outcome() -> None:
    counts = np.array([1, 0, 4]), np.array([5, 2, 0])
    found = [RiskDistribution(name, *PLACE, np.array([0.0, 0.2, 0.5, 1.0]), *counts) for name in ("a", "b")]
    svg = distribution_figure("r", found, {"a": 0, "b": 1}, title="T", simulated=False)
    plot = plot_of(svg)
    assert [panel["t"] for panel in plot["p"]] == ["a", "b"]
    assert plot["p"][0]["s"][0]["x"] == "0 .2 .5 1"
    assert plot["p"][1]["s"][0] | {"c": 0} == {"n": "with event", "c": 0, "y": "1 0 4", "m": 1}  # x as before
    assert 'data-s="3"' in svg
    assert "a: 5 with event, 7 without event" in svg


def test_metrics_over_time_leave_gaps_where_there_is_no_number() -> None:
    rows = [
        Metric("1y", "c", "held_out", "a", f"auc_at_{months}", value, None, None, 9, 4, "how")
        for months, value in ((6, 0.7), (12, None), (18, 0.6))
    ]
    shown = [row for row in rows if row.estimate is not None]
    plot = plot_of(over_time_figure("t", shown, {"a": 0}, title="T", axis="AUC", simulated=False))
    assert plot["p"][0]["s"][0]["x"] == "6 18"
    assert plot["p"][0]["s"][0]["lo"] == "- -"


def test_differences_print_value_and_p() -> None:
    rows = [DifferenceRow("a − b", 0.05, -0.02, 0.12, "0.160"), DifferenceRow("a − c", None, None, None)]
    svg = difference_figure("f", rows, title="T", axis="Difference in AUROC", heads=("d", "P"), simulated=False)
    assert "0.050 (-0.020 to 0.120)" in svg
    assert ">0.160</text>" in svg
    assert "a − c: –" in svg
