import re

import matplotlib as mpl
import numpy as np

from hccfeat.analysis.results import GroupComparison, HazardRatio, RocCurve
from hccfeat.report.canvas import line_look
from hccfeat.report.figures import forest_figure, model_styles, roc_figure, survival_figure
from hccfeat.report.layout import WIDTH
from tests.report.sample_curves import km


def group(n: int, label: str = "high risk") -> GroupComparison:
    rng = np.random.default_rng(5)
    marks = np.array([0.0, 6.0, 12.0])
    curves = tuple(
        km(rng.exponential(scale, n), rng.random(n) < 0.7, name, marks)
        for scale, name in ((30.0, "low risk"), (12.0, label))
    )
    return GroupComparison("pps_mlp", "internal", "held_out", 0.41372, curves, 7.8912, 0.00496)


def test_survival_figure_states_test_cut_events_and_numbers_at_risk() -> None:
    found = group(60)
    svg = survival_figure("km", found, title="T", simulated=False)
    assert "log-rank χ² 7.89, P 0.005; cut at 0.414" in svg
    for curve in found.curves:
        assert f"{curve.label}: {curve.events}/60 events, median" in svg
        for time, number in zip(curve.risk_times, curve.at_risk, strict=True):
            events = curve.step_events[curve.times <= time].sum()
            assert f">{number} ({events})</text>" in svg
    assert "SIMULATED" not in svg
    assert ">SIMULATED DATA</text>" in survival_figure("km", found, title="T", simulated=True)


def test_figures_of_large_cohorts_stay_small() -> None:
    assert len(survival_figure("km", group(5_000), title="T", simulated=False)) < 60_000
    x = np.linspace(0, 1, 100_001)
    curve = RocCurve("m", "c", "held_out", x, x**0.5, 0.6667)
    assert len(roc_figure("roc", [curve], {}, {"m": 0}, title="T", simulated=False)) < 12_000


def test_labels_are_text_not_mathematics_or_markup() -> None:
    svg = survival_figure("km", group(20, "$\\frac{1}{0$<b>"), title="<i>$x^$", simulated=False)
    assert "&lt;i&gt;$x^$" in svg
    assert "<b>" not in svg


def test_forest_marks_missing_and_clipped_ratios() -> None:
    ratios = [
        HazardRatio("1y", "c", "univariable", "a", 1.5, 1.1, 2.0, 0.01, 50, 20, "efron"),
        HazardRatio("1y", "c", "univariable", "b", None, None, None, None, 50, 20, "efron"),
        HazardRatio("1y", "c", "univariable", "c", 90.0, 0.001, 1e6, 0.3, 50, 20, "efron"),
    ]
    rows = [("Univariable", None), *((ratio.term, ratio) for ratio in ratios)]
    svg = forest_figure("forest", rows, title="c", simulated=False)
    assert "1.50 (1.10–2.00)" in svg
    assert ">–</text>" in svg
    assert "90.00 (0.00–1000000.00)" in svg


def test_ids_differ_between_figures_and_all_are_used() -> None:
    first, second = (survival_figure(key, group(30), title="T", simulated=False) for key in ("one", "two"))
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= ids[0]
    assert len(first) == len(second)


def test_drawing_leaves_the_settings_of_others_alone() -> None:
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 30, "axes.grid": False}):
        odd = survival_figure("km", group(30), title="T", simulated=False)
    assert odd == survival_figure("km", group(30), title="T", simulated=False)
    assert dict(mpl.rcParams) == before


def test_models_keep_their_colour() -> None:
    assert model_styles(["a", "b", "a", "c"]) == {"a": 0, "b": 1, "c": 2}
    looks = [str(line_look(i)) for i in range(24)]
    assert len(set(looks)) == 24  # colours return with other dashes
    assert WIDTH * 72 < 390  # about natural size on a phone
