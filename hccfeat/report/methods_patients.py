"""Sentences of the methods about patients: who trains and judges, missing values, treatment."""

from hccfeat.analysis.results import EndpointResult, StudyReport
from hccfeat.analysis.treatment_report import IMMORTAL_TIME, NOT_RANDOMISED, ONE_TEST, RISK_MODELLING
from hccfeat.report.formatting import joined, model_label

_CAUTIONS = (NOT_RANDOMISED, RISK_MODELLING, ONE_TEST, IMMORTAL_TIME)
"""They hold whatever was found; those about the findings stand beside them."""


def judges_text(report: StudyReport) -> str:
    """Return on whom models were fitted and judged; empty where none was."""
    found = {(m.split, m.cohort) for result in report.endpoints for m in result.all_metrics}
    cohorts = {split: sorted(cohort for one, cohort in found if one == split) for split, _ in sorted(found)}
    texts = []
    if "held_out" in cohorts:
        split = report.settings.get("split", {})
        by_site = report.settings.get("analysis", {}).get("folds_by") == "site"
        unit = "by whole sites" if by_site else "by patient"
        known = [("test_fraction", "share held out"), ("seed", "seed")]
        how = ", ".join(f"{words} {split[name]}" for name, words in known if name in split)
        told = f" ({how})" if how else ""
        others = f" and on cohort {joined(cohorts['external'])}" if "external" in cohorts else ""
        texts.append(
            f"Patients of cohort {joined(cohorts['held_out'])} were split once, {unit}{told}; "
            f"every model was fitted on the training part and judged on the held-out part{others}."
        )
    elif found:
        texts.append("The patients whom the models were fitted on also judge them (apparent figures).")
    if "cross_validation" in cohorts:
        texts.append(f"Patients of cohort {joined(cohorts['cross_validation'])} were also cross-validated.")
    return " ".join(texts)


def missing_text(report: StudyReport) -> str:
    """Return how missing indicators were imputed; empty where nothing was."""
    endpoints = [r for r in report.endpoints if any(m.model.endswith("_imputed") for m in r.metrics)]
    if not endpoints:
        return ""
    times = report.settings.get("analysis", {}).get("imputations")
    how_often = f"{times} times " if times is not None else ""
    outcome = _outcomes(endpoints)
    text = (
        f"In models called imputed, missing indicators were imputed {how_often}by draws from a multivariate normal "
        f"distribution of the training patients alone, which includes {outcome}; patients who judge were completed "
        "by the same distribution without their outcome, and predictions were averaged."
    )
    terms = [term.method for r in endpoints for found in r.logistic.values() for term in found]
    if any("Rubin" in one for one in terms) or any("imputed" in h.kind for r in endpoints for h in r.hazard_ratios):
        text += " Coefficients were pooled by Rubin's rules, with t intervals"
        text += ", likelihood ratios by D3." if any("D3" in t.test for r in endpoints for t in r.tests) else "."
    if any("D3" in t.test and t.split in ("held_out", "external") for r in endpoints for t in r.tests):
        text += (
            " Regressions of patients who judge, and the tests of what a risk adds to the clinical one, were "
            "pooled over imputations from these patients' own indicators, risks and outcomes; no prediction uses "
            "them."
        )
    return text


def _outcomes(endpoints: list[EndpointResult]) -> str:
    timed = {result.timed for result in endpoints}
    words = {True: "the event and the Nelson-Aalen estimate of the cumulative hazard", False: "the label"}
    return " or ".join(words[one] for one in sorted(timed, reverse=True))


def treatment_text(report: StudyReport) -> str:
    """Return how treatment was analysed, with the cautions that hold whatever was found; empty where it was not."""
    told = [(result, result.treatment) for result in report.endpoints if result.treatment is not None]
    if not told:
        return ""
    arms = joined(
        dict.fromkeys(
            f"{each.n[0]} untreated and {each.n[1]} treated patients ({each.who} of cohort {each.cohort})"
            for _, each in told
        )
    )
    breslow = any(one.larger.ties == "breslow" for _, each in told for one in each.interactions)
    ties = " with Breslow's ties" if breslow else ""
    models = joined(dict.fromkeys(model_label(each.model) for _, each in told))
    months = joined(f"{each.horizon_months:g} months ({result.label})" for result, each in told)
    propensity = joined(dict.fromkeys(each.overlap.method for _, each in told))
    pooled = next((one.imputed for _, each in told for one in each.interactions if one.imputed), "")
    who = f", in complete cases and, by D3 over {pooled}, in all" if pooled else ""
    return (
        f"Treatment: in {arms}, whose times were not cut at a horizon, the product of treatment and the continuous "
        f"risk of {models} was tested by likelihood ratio in Cox models{ties}, alone and adjusted for what decided "
        f"about treatment{who}; the absolute difference in event-free share at {months} came from Kaplan-Meier "
        "estimates with Greenwood's variances, overall and by thirds of the risk; the arms were compared by "
        f"standardised differences and by their propensities ({propensity}). {' '.join(_CAUTIONS)}"
    )
