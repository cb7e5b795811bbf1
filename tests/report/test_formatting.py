import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hccfeat.report.formatting import (
    MetricName,
    fixed,
    flat_facts,
    interval,
    joined,
    metric_label,
    metric_parts,
    metric_rank,
    model_label,
    p_value,
    p_words,
    public_facts,
    ratio,
    ratio_p_label,
    significant,
    with_interval,
    with_printed_names,
)
from hccfeat.stats.estimate import count


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((1.06004, "1.060"), (0.99964, "0.9996"), (0.99996, "1.000"), (12.3456, "12.35"), (1234.5, "1234")),
        *((0.0, "0"), (123456.0, "123456"), (1.5e9, "1.500e+09"), (-0.55123, "-0.5512"), (2e-7, "2.000e-07")),
        *((None, "–"), (float("nan"), "–"), (float("inf"), "∞"), (float("-inf"), "-∞")),
    ],
)
def test_four_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@given(st.floats(1e-12, 1e12) | st.floats(-1e12, -1e-12))
def test_significant_digits_are_close_to_the_value(value: float) -> None:
    assert float(significant(value)) == pytest.approx(value, rel=5.1e-4)


def test_ratios_close_to_one_show_how_far_they_are() -> None:
    shown = [ratio(value) for value in (2.14159, 1.00057, 0.99914, 1.0049, 1.0, 1.0000001, 0.5, math.inf, None)]
    assert shown == ["2.142", "1.00057", "0.99914", "1.0049", "1.000", "1.000", "0.5000", "∞", "–"]


def test_intervals_and_p_values() -> None:
    assert with_interval(0.7123, 0.6, 0.8) == "0.71 (0.60–0.80)"
    assert with_interval(0.7123, None, 0.8) == "0.71"
    assert interval(-1.0, 2.0, 1) == "-1.0 to 2.0"
    assert interval(0.0, float("inf"), 1) == "0.0–∞"
    assert [p_value(p) for p in (0.00099, 0.001, 0.0499, None)] == ["<0.001", "0.001", "0.050", "–"]
    assert fixed(None) == "–"
    assert fixed(-0.0004) == "0.000"


def test_names_have_printed_forms_and_unknown_ones_stay() -> None:
    assert [metric_label(m) for m in ("auprc", "c_index", "brier_score")] == ["AUPR", "C-index", "brier score"]
    assert metric_label("auc_at_12_corrected") == "AUC at 12 months"
    assert [metric_label(m, 24.0, 0.3) for m in ("auc_at", "auc_at_12", "auroc", "net_benefit_12")] == [
        *("AUC at 24 months", "AUC at 12 months", "AUROC", "Net benefit at 0.3 at 12 months")
    ]
    assert metric_parts("brier_scaled_4.5") == MetricName("brier_scaled", 4.5, corrected=False)
    assert metric_parts("f1") == MetricName("f1", None, corrected=False)
    assert sorted(["net_benefit", "auc_at_12", "auroc", "auc_at_6"], key=metric_rank) == [
        *("auroc", "auc_at_6", "auc_at_12", "net_benefit"),
    ]
    assert [model_label(m) for m in ("pps_mlp", "my_net")] == ["PPS-MLP", "my_net"]
    assert (count(1, "image"), count(1200, "image")) == ("1 image", "1,200 images")
    assert [joined(words) for words in ([], ["a"], ["a", "b", "c"])] == [
        "",
        "a",
        "a, b and c",
    ]


def test_facts_never_list_patients() -> None:
    facts = public_facts({"patients_trained": ["a", "b"], "folds": {"seen": {"x"}}, "vectors": [[1, 2], [3, 4]]})
    assert facts == {"patients_trained": 2, "folds": {"seen": 1}, "vectors": [[1, 2], [3, 4]]}
    assert flat_facts({"b": {"x": None, "y": True}, "a": 0.1}) == [("a", "0.1"), ("b.x", "none"), ("b.y", "yes")]


def test_a_text_gets_printed_names_and_common_words_stay() -> None:
    labels = {"afp": "AFP", "age": "Age", "vascular_invasion": "Vascular invasion"}
    labels |= {"treatment": "Adjuvant treatment"}
    text = "xgboost_cox, xgboost, cox_clinical_imputed: afp, age, vascular_invasion, safp, treatment"
    shown = "XGBoost, Cox, XGBoost, Cox, indicators, imputed: AFP, age, Vascular invasion, safp, treatment"
    assert with_printed_names(text, labels) == shown


def test_what_a_p_is_of_and_that_there_is_none() -> None:
    firth = "breslow, Firth's penalty"
    assert [ratio_p_label(fits) for fits in ([], ["efron"], [firth], ["efron", firth])] == [
        *("P (Wald)", "P (Wald)", "P (likelihood ratio)", "P (Wald; Firth: likelihood ratio)")
    ]
    assert [p_words(p) for p in (0.0301, 1e-9, None)] == ["P 0.030", "P <0.001", "no P"]
