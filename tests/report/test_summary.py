import re

from hccfeat.analysis.results import EndpointResult, Metric
from hccfeat.report.blocks import Scene, sections
from hccfeat.report.performance_view import attrition, over_time
from hccfeat.report.summary import summary_table

SCENE = Scene(0, {}, simulated=False, threshold=0.5)


def result(horizon: float | None, split: str, method: str, *names: str) -> EndpointResult:
    found = EndpointResult("x", "X", horizon, "rule")
    for name in names:
        found.metrics.append(
            Metric("x", "here", split, "cox_clinical", name, 0.6, 0.5, 0.7, 20, 9, method)  # type: ignore[arg-type]
        )
    return found


def heads(found: EndpointResult) -> list[str]:
    return re.findall(r"<th scope=\"col\"[^>]*>(?:<abbr[^>]*>)?([^<]+)", summary_table(found, "t", SCENE))


def test_without_a_horizon_what_sees_the_follow_up_comes_first() -> None:
    names = ("auroc", "net_benefit", "c_index", "auc_at_12", "auc_at_24", "brier")
    first = ["Model", "n", "Events"]
    bar = "0 · 0.5 · 1"
    assert heads(result(None, "held_out", "m", *names))[:7] == [
        *(*first, "C-index", bar, "AUC at 12 months", "AUC at 24 months")
    ]
    assert heads(result(24.0, "held_out", "m", "auroc", "auc_at", "net_benefit")) == [
        *(*first, "AUROC", bar, "AUC at 24 months", "Net benefit at 0.5")
    ]


def test_folds_and_the_slope_of_a_log_hazard_are_named() -> None:
    shown = summary_table(
        result(12.0, "cross_validation", "mean of 24 of 25 folds in 5 repeats", "auroc"), "t", SCENE
    )
    assert ">Folds</abbr>" in shown
    assert "<td>24</td>" in shown
    names = ("calibration_slope_corrected", "brier_12_corrected")
    assert "log hazard</span>" in summary_table(result(None, "apparent", "m", *names), "t", SCENE)
    assert "log hazard</span>" not in summary_table(result(12.0, "apparent", "m", names[0]), "t", SCENE)


def test_help_and_captions_are_about_this_endpoint() -> None:
    found = result(None, "held_out", "m", "ici_12", "ici_24")
    found.metrics = [Metric(**{**vars(m), "lower": None, "upper": None}) for m in found.metrics]
    found.attrition.append({"cohort": "here", "split": "held_out", "patients": 20})
    labelled = attrition(found, SCENE, "k")
    assert labelled is not None
    assert list(labelled.help) == sections()["attrition"]["without_horizon"]["help"]
    drawn = over_time(found, SCENE, "k")
    assert drawn is not None
    assert drawn.parts[0].figures[0].caption == "X: ICI over time, here, held out."
