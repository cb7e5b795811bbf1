"""Methods paragraphs: what was done is said with its settings, what was not is not mentioned."""

from dataclasses import replace

import numpy as np

from hccfeat.analysis.hazards import FIRTH_TIES
from hccfeat.analysis.results import (
    CalibrationCurve,
    CohortSurvival,
    DecisionCurve,
    EndpointResult,
    IncidenceCurve,
    LogisticTerm,
    Metric,
    ModelComparison,
    ModelTest,
    Notice,
    ProportionalityTest,
    StudyReport,
)
from hccfeat.report.blocks import Scene
from hccfeat.report.citations import citations
from hccfeat.report.methods import methods_text
from hccfeat.report.methods_results import base_name
from hccfeat.report.treatment_view import treatment
from tests.report.plain import plain
from tests.report.sample import clinical_report, full_report

LINE = np.array([0.01, 0.99])


def text_of(report: StudyReport) -> str:
    return "\n".join(methods_text(report))


def metric(name: str, model: str = "m", split: str = "held_out", method: str = "x; y") -> Metric:
    return Metric("1y", "internal", split, model, name, 0.5, 0.4, 0.6, 73, 25, method)


def with_everything(report: StudyReport) -> StudyReport:
    """The sample report with one of each new result in its first endpoint."""
    result = report.endpoints[0]
    names = ("c_uno", "auc_at", "brier", "brier_scaled", "ibs", "calibration_slope", "ici")
    result.metrics += [metric(name) for name in names]
    result.metrics.append(
        metric(
            "c_index_corrected",
            split="apparent",
            method="optimism bootstrap, every step refitted on 200 resamples of patients (3 without a model or "
            "figure left out); apparent 0.700, optimism 0.020; 5 imputations in each resample",
        )
    )
    result.metrics += [metric("auroc", "clinical_logistic_imputed"), metric("auroc", split="cross_validation")]
    place = ("m", "internal", "held_out")
    result.calibrations.append(CalibrationCurve(*place, 12.0, LINE, LINE, LINE, LINE, 73, 25, "local lines"))
    result.decisions.append(DecisionCurve(*place, 12.0, LINE, LINE, 73, 25, "net benefit of the label"))
    result.proportionality.append(ProportionalityTest("internal", "held_out", "m", "GLOBAL", 1.0, 2, 0.5, "km", 25))
    result.tests.append(ModelTest("internal", "held_out", "m", "likelihood ratio", 4.0, 2, 0.1, 73, 25, "Cox"))
    result.survival.append(CohortSurvival("internal", "held_out", result.groups[0].curves[0], 30.0, 20.0, 40.0))
    result.incidences.append(
        IncidenceCurve(*place, "all", "death without the event", *(LINE,) * 4, 73, 9, "Aalen-Johansen")
    )
    result.comparisons.append(
        ModelComparison(
            *("1y", "internal", "held_out", "pps_mlp", "clinical_logistic", "auroc", 0.1, 0.0, 0.2, 0.04, 0.08),
            *(73, 25, "paired bootstrap; P by DeLong's paired test; Holm over 3 tests"),
        )
    )
    ratio = result.hazard_ratios[0]
    result.hazard_ratios += [
        replace(ratio, kind="multivariable"),
        replace(ratio, ties="breslow, Firth's penalty"),
    ]
    result.logistic["x"] = [LogisticTerm("a", 3.5, 1.5, 33.0, 1.4, 4e3, 0.02, "Firth's penalty, profile interval")]
    result.groups[0] = replace(result.groups[0], test="permutation log-rank, 9999 permutations")
    result.notices.append(Notice("caution", "Too few events", "x", "few_events"))
    settings = report.settings | {"analysis": report.settings["analysis"] | {"imputations": 20, "repeats": 5}}
    return replace(report, settings=settings)


def test_every_new_result_has_its_sentence() -> None:
    text = text_of(with_everything(plain(full_report())))
    for words in (
        "At 12 months (Recurrence within 1 year) the models were judged under censoring by Uno's C",
        "inverse probability of not being censored",
        "ICI, E50, E90",
        "Under censoring the outcome was each patient's Kaplan-Meier pseudo-value",
        "net benefit at threshold probabilities from 0.01 to 0.99",
        "refitted on 200 resamples of patients; 5 imputations in each resample; the optimism is",
        "In cross-validation everything that learns",
        "Holm",
        "reverse Kaplan-Meier",
        "by the permutation log-rank, 9999 permutations (seed 2023)",
        "ties were handled by the Efron method",
        "all terms together were tested by likelihood ratio",
        "For 1 hazard ratio and 1 logistic model, where the data separate",
        "interaction of each term with one minus the Kaplan-Meier curve",
        "Cumulative incidences: death without the event by Aalen-Johansen.",
        "imputed 20 times",
        "which includes the event and the Nelson-Aalen estimate",
        "With fewer than 5 events no P and no hazard ratio is given",
    ):
        assert words in text, words


def test_the_ties_and_the_method_of_an_interaction_are_told() -> None:
    report = full_report()
    result = next(result for result in report.endpoints if result.treatment is not None)
    (one,) = result.treatment.interactions
    for ties, replaced, told, caption in (
        ("efron", "", "in Cox models, alone", "interaction (Cox)"),
        ("breslow", "", "in Cox models with Breslow's ties, alone", "interaction (Cox, Breslow ties)"),
        (
            FIRTH_TIES,
            "no events",
            "For 1 interaction of treatment and risk, where",
            "ratio (Firth, Breslow ties) χ²",
        ),
    ):
        made = replace(one, larger=replace(one.larger, ties=ties), replaced=replaced)
        only = EndpointResult(result.endpoint, result.label, result.horizon_months, "")
        only.treatment = replace(result.treatment, interactions=(made,))
        shown = treatment(only, Scene(0, {}, simulated=False), "e")
        assert caption in shown.parts[0].tables[0]
        assert told in text_of(replace(report, endpoints=[only]))
        if replaced:
            assert {"heinze2001"} <= {work.key for work in citations(replace(report, endpoints=[only]))}
    pooled = replace(one, name="adjusted for afp, imputed", imputed="5 imputations, 4 of 90 patients with a gap")
    only.treatment = replace(result.treatment, interactions=(one, pooled))
    report = replace(report, endpoints=[only])
    assert "in complete cases and, by D3 over 5 imputations, 4 of 90 patients with a gap, in all" in text_of(report)
    assert {"meng1992", "rubin1987", "white2009"} <= {work.key for work in citations(report)}


def test_nothing_that_was_not_done_is_told() -> None:
    text = text_of(plain(clinical_report()))
    for words in (
        "Uno",
        "ICI",
        "net benefit",
        "optimism",
        "Firth",
        "permutation",
        "Rubin",
        "imput",
        "Aalen",
        "Treat",
    ):
        assert words not in text, words


def test_a_number_that_could_not_be_had_leaves_no_sentence() -> None:
    report = plain(clinical_report())
    missing = replace(metric("c_uno"), estimate=None, lower=None, upper=None)
    report.endpoints[0].metrics.append(missing)
    assert "Uno" not in text_of(report)


def test_pooling_is_told_only_where_coefficients_were_pooled() -> None:
    report = with_everything(plain(full_report()))
    assert "Rubin" not in text_of(report)
    result = report.endpoints[0]
    result.hazard_ratios.append(replace(result.hazard_ratios[0], kind="univariable, imputed"))
    result.tests.append(replace(result.tests[0], test="likelihood ratio (D3)", split="apparent"))
    text = text_of(report)
    assert "pooled by Rubin's rules, with t intervals, likelihood ratios by D3." in text
    assert "Regressions of patients who judge" not in text
    result.tests.append(replace(result.tests[0], test="likelihood ratio (D3)", split="external"))
    assert "Regressions of patients who judge" in text_of(report)
    assert "all terms together were tested by likelihood ratio." in text


def test_the_label_takes_the_place_of_times_where_there_are_none() -> None:
    result = EndpointResult("mvi", "MVI", None, "x", timed=False)
    result.metrics.append(metric("auroc", "clinical_logistic_imputed"))
    assert "which includes the label" in text_of(replace(plain(full_report()), endpoints=[result]))


def test_who_trains_and_who_judges() -> None:
    text = text_of(plain(full_report()))
    assert "internal were split once, by patient (share held out 0.2, seed 2023); every model was fitted" in text
    report = plain(full_report())
    sites = replace(report, settings=report.settings | {"analysis": {"folds_by": "site"}})
    assert "internal were split once, by whole sites (share held out" in text_of(sites)
    assert "judged on the held-out part and on cohort external." in text
    apparent = text_of(plain(clinical_report()))
    assert "The patients whom the models were fitted on also judge them" in apparent
    assert "split once" not in apparent


def test_a_setting_without_a_value_is_not_listed() -> None:
    report = plain(full_report())
    text = text_of(replace(report, settings=report.settings | {"external": [], "feature_set": ""}))
    assert "cohort = internal" in text
    assert "external =" not in text
    assert "feature_set =" not in text


def test_guidelines_find_what_was_never_done() -> None:
    text = text_of(plain(full_report()))
    assert "No model was updated or recalibrated" in text
    assert "no class was weighted or resampled" in text
    assert "updated" not in text_of(replace(plain(full_report()), endpoints=[]))


def test_methods_of_curves_are_told_once_whatever_their_months_and_folds() -> None:
    report = plain(full_report())
    place = ("m", "internal", "cross_validation")
    for months, method in (
        (None, "lines of the label"),
        (12.0, "lines at 12 months (x)"),
        (24.0, "lines at 24 months (x); out-of-fold: each patient's"),
    ):
        curve = CalibrationCurve(*place, months, LINE, LINE, LINE, LINE, 73, 25, method)
        report.endpoints[0].calibrations.append(curve)
    assert "calibration curves (lines of the label; lines at these times (x))." in text_of(report)


def test_times_are_named_with_their_endpoints() -> None:
    report = plain(full_report())
    for result in report.endpoints:
        result.metrics.append(replace(metric("auc_at"), endpoint=result.endpoint))
    times = "At 12 months (Recurrence within 1 year) and 24 months (Recurrence within 2 years) the models"
    assert times in text_of(report)


def test_treatment_is_told_once_and_without_its_findings() -> None:
    report = full_report()
    treated = report.endpoints[1]
    text = text_of(replace(report, endpoints=[treated, replace(treated, label="Again")]))
    assert text.count("Treatment was not randomised.") == 1
    assert "at 24 months (Recurrence within 2 years) and 24 months (Again)" in text
    assert "had the event, too few" not in text


def test_an_interval_is_told_once_for_all_months() -> None:
    report = plain(full_report())
    way = "AUC; 95 % interval from the influence function; x"
    report.endpoints[0].metrics += [metric(f"auc_at_{months}", method=way) for months in (12, 24)]
    assert "; AUC, 95 % interval from the influence function." in text_of(report)


def test_a_metric_has_a_name_without_months_and_correction() -> None:
    assert [base_name(n) for n in ("auc_at_12", "brier_scaled_6.5_corrected", "c_index_corrected", "ici")] == [
        *("auc_at", "brier_scaled", "c_index", "ici")
    ]
