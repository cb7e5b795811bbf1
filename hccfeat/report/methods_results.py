"""Sentences of the methods about judging: each is there only if the report holds what it is about."""

import re
from collections.abc import Iterable

from hccfeat.analysis.comparisons import declaration
from hccfeat.analysis.results import EndpointResult, Metric, StudyReport
from hccfeat.report.formatting import joined, metric_label, with_printed_names
from hccfeat.stats.estimate import count

_BASE = re.compile(r"(_[0-9.]+)?(_corrected)?$")
_MONTHS = re.compile(r"_([0-9.]+)(?:_corrected)?$")
_AT_MONTHS = re.compile(r"at [0-9.]+ months")
_TRANSFORMS = {"km": "one minus the Kaplan-Meier curve", "identity": "time", "log": "the logarithm of time"}
FIRTH = "Firth"


def judging_text(report: StudyReport) -> str:
    """Return how performance was judged: over time, calibration, net benefit, corrections and comparisons."""
    parts = (_over_time, _calibration, _net_benefit, _optimism, _folds, _comparisons, _subgroups)
    return " ".join(text for part in parts if (text := part(report)))


def survival_text(report: StudyReport) -> str:
    """Return how times to the event were described and compared."""
    parts = (_follow_up, _groups, _hazards, _firth, _proportionality, _competing)
    return " ".join(text for part in parts if (text := part(report)))


def base_name(metric: str) -> str:
    """Return a metric's name without its months and without ``_corrected``."""
    return _BASE.sub("", metric)


def _known(report: StudyReport) -> list[Metric]:
    return [m for result in report.endpoints for m in result.metrics if m.estimate is not None]


def _names(report: StudyReport) -> set[str]:
    return {base_name(metric.metric) for metric in _known(report)}


def _times(report: StudyReport) -> str:
    """Return the months at which risks are judged, with the endpoints where these differ in them."""
    found: dict[str, list[str]] = {}
    for result in report.endpoints:
        months = joined(f"{one:g}" for one in _months(result))
        found.setdefault(months, []).append(result.label)
    if len(found) > 1:
        return joined(f"{months} months ({joined(labels)})" for months, labels in found.items() if months)
    return f"{months} months" if (months := next(iter(found), "")) else "the judging times"


def _months(result: EndpointResult) -> list[float]:
    found = {curve.months for curve in result.calibrations} | {curve.months for curve in result.decisions}
    known = [m.metric for m in result.metrics if m.estimate is not None]
    found |= {float(match[1]) for name in known if (match := _MONTHS.search(name))}
    found |= {result.horizon_months} if "auc_at" in map(base_name, known) else set()
    return sorted(months for months in found if months is not None)


def _over_time(report: StudyReport) -> str:
    names = _names(report)
    kinds = {
        "c_uno": "Uno's C up to the last of an endpoint's times",
        "auc_at": "the time-dependent AUC",
        "brier": "the Brier score",
        "brier_scaled": "its scaled form (one minus its ratio to that of a model without covariates)",
        "ibs": "the Brier score averaged up to the last of an endpoint's times",
    }
    censored = "auc_at" in names
    used = [text for name, text in kinds.items() if name in names and (censored or not name.startswith("brier"))]
    if not used:
        return ""
    return (
        f"At {_times(report)} the models were judged under censoring by {joined(used)}. Patients were weighted by "
        "the inverse probability of not being censored, from the Kaplan-Meier estimate of the judged patients' own "
        "censoring; standard errors are those of influence functions."
    )


def _calibration(report: StudyReport) -> str:
    names = _names(report)
    parts = []
    if names & {"calibration_slope", "calibration_intercept"}:
        parts.append(
            "slope of the logistic regression of the outcome on the predicted logit, and its intercept with the "
            "slope held at 1"
        )
    if names & {"ici", "e50", "e90"}:
        parts.append(
            "mean, median and 90th percentile (ICI, E50, E90) of the distance between the predicted risk and a "
            "lowess curve"
        )
    curves = _ways(curve.method for result in report.endpoints for curve in result.calibrations)
    if curves:
        parts.append(f"calibration curves ({'; '.join(curves)})")
    if not parts:
        return ""
    censored = any(curve.months is not None for result in report.endpoints for curve in result.calibrations)
    told = " Under censoring the outcome was each patient's Kaplan-Meier pseudo-value." if censored else ""
    return f"Calibration was judged by {'; '.join(parts)}.{told}"


def _net_benefit(report: StudyReport) -> str:
    curves = [curve for result in report.endpoints for curve in result.decisions if len(curve.thresholds)]
    if not curves:
        return ""
    low = min(float(curve.thresholds.min()) for curve in curves)
    high = max(float(curve.thresholds.max()) for curve in curves)
    methods = "; ".join(_ways(curve.method for curve in curves))
    return (
        f"Decision curves give the net benefit at threshold probabilities from {low:g} to {high:g}, beside "
        f"treating everybody and nobody ({methods})."
    )


def _optimism(report: StudyReport) -> str:
    corrected = [metric for metric in _known(report) if metric.metric.endswith("_corrected")]
    if not corrected:
        return ""
    parts = [part.strip() for metric in corrected for part in metric.method.split(";")]
    ways = distinct(part for part in parts if "bootstrap" in part)
    imputed = distinct(part for part in parts if part.endswith("imputations in each resample"))
    how = "; ".join([*_without_counts(ways), *imputed])
    return (
        f"Apparent figures were corrected by the {how}; the optimism is the mean difference between a "
        "resample's model on the resample and on all patients, and intervals are those of the resamples' apparent "
        "figures, shifted by the optimism."
    )


def _without_counts(ways: Iterable[str]) -> list[str]:
    return distinct(re.sub(r" \(\d+ without [^)]*\)", "", way) for way in ways)


def _folds(report: StudyReport) -> str:
    found = [m for m in _known(report) if m.split == "cross_validation"]
    if not found:
        return ""
    settings = report.settings.get("analysis", {})
    repeats = settings.get("repeats") if report.feature_set is None else None
    again = f", dealt {repeats} times," if isinstance(repeats, int) and repeats > 1 else ""
    sites = " of sites" if settings.get("folds_by") == "site" else ""
    curves = [curve for result in report.endpoints for curve in result.calibrations]
    mean = ", averaged over the repeats" if again else ""
    drawn = (
        " Its calibration and decision curves and distributions of risk show probabilities, each patient's by "
        f"models fitted without that patient (out-of-fold){mean}."
    )
    return (
        f"In cross-validation everything that learns was fitted again in each fold{sites}{again} and judged on the "
        "patients left out; figures were computed inside a fold and averaged, so that no concordance or AUROC "
        "compares risks of different folds."
        + (drawn if any(curve.split == "cross_validation" for curve in curves) else "")
    )


def _comparisons(report: StudyReport) -> str:
    return with_printed_names(declaration([row for result in report.endpoints for row in result.comparisons]))


def _subgroups(report: StudyReport) -> str:
    rows = [row for result in report.endpoints for row in result.subgroups]
    if not rows:
        return ""
    items = joined(sorted({report.labels.get(row.item, row.item) for row in rows}))
    names = joined(sorted({metric_label(row.metric) for row in rows}))
    return (
        f"Models were also judged ({names}) within groups of patients by {items}; differences between groups were "
        "not tested."
    )


def _follow_up(report: StudyReport) -> str:
    survival = [one for result in report.endpoints for one in result.survival]
    curves = [one.curve for one in survival] + [c for r in report.endpoints for g in r.groups for c in g.curves]
    parts = []
    if survival:
        parts.append("Median follow-up is that of the reverse Kaplan-Meier estimate, not cut at a horizon.")
    until = sorted(
        {c.restricted_to for c in curves if c.restricted_mean is not None and c.restricted_to is not None}
    )
    if until:
        months = joined(f"{one:.4g}" for one in until)
        parts.append(f"Restricted mean event-free times are areas under the curves up to {months} months.")
    return " ".join(parts)


def _groups(report: StudyReport) -> str:
    groups = [group for result in report.endpoints for group in result.groups]
    if not groups:
        return ""
    tested = " and the log-rank test" if any(group.logrank_p is not None for group in groups) else ""
    text = (
        "Risk groups were cut at the median risk of the training patients and compared by Kaplan-Meier curves with "
        f"95 % bands on the log-log scale{tested}"
    )
    tests = (re.sub(r"all \d+ ", "all ", group.test) for group in groups)
    permuted = distinct(test for test in tests if test.startswith("permutation"))
    if permuted:
        seed = _seed(report)
        text += f"; where a group had no events or expected fewer than 5, by the {joined(permuted)}{seed}"
    if any(group.split == "cross_validation" for group in groups):
        text += "; in cross-validation the cut is that of the other folds' patients, and there is no P"
    if any(group.split == "apparent" and group.logrank_p is None for group in groups):
        text += "; groups of the patients who made the model have no P"
    return f"{text}."


def _seed(report: StudyReport) -> str:
    seed = report.settings.get("analysis", {}).get("seed")
    return "" if seed is None else f" (seed {seed})"


def _hazards(report: StudyReport) -> str:
    ratios = [ratio for result in report.endpoints for ratio in result.hazard_ratios if ratio.hr is not None]
    plain = distinct(ratio.ties.capitalize() for ratio in ratios if FIRTH not in ratio.ties)
    if not plain:
        return ""
    text = (
        "Hazard ratios came from Cox models with Wald 95 % intervals; "
        f"ties were handled by the {joined(plain)} method."
    )
    if any(ratio.kind.startswith("multivariable") for ratio in ratios):
        tests = distinct(test.test for r in report.endpoints for test in r.tests if "D3" not in test.test)
        told = f"; all terms together were tested by {joined(tests)}" if tests else ""
        text += f" Multivariable models hold all indicators of complete cases{told}."
    return text


def _firth(report: StudyReport) -> str:
    ratios = [
        r for result in report.endpoints for r in result.hazard_ratios if r.hr is not None and FIRTH in r.ties
    ]
    logistic = [
        name
        for result in report.endpoints
        for name, terms in result.logistic.items()
        if any(FIRTH in term.method for term in terms)
    ]
    found = [count(len(ratios), "hazard ratio")] * bool(ratios)
    found += [count(len(logistic), "logistic model")] * bool(logistic)
    treated = [result.treatment for result in report.endpoints if result.treatment is not None]
    products = [one for findings in treated for one in findings.interactions if one.replaced]
    found += [
        count(len(products), "interaction of treatment and risk", "interactions of treatment and risk")
    ] * bool(products)
    if not found:
        return ""
    ties = "; ties of these hazard ratios were handled by Breslow's method" if ratios or products else ""
    return (
        f"For {joined(found)}, where the data separate or a level has no events, Firth's penalised likelihood was "
        f"used, with profile-likelihood intervals and penalised likelihood-ratio P{ties}."
    )


def _proportionality(report: StudyReport) -> str:
    transforms = distinct(row.transform for result in report.endpoints for row in result.proportionality)
    if not transforms:
        return ""
    against = joined(_TRANSFORMS.get(name, name) for name in transforms)
    return f"Proportional hazards were tested by the score test of an interaction of each term with {against}."


def _competing(report: StudyReport) -> str:
    curves = [curve for result in report.endpoints for curve in result.incidences]
    if not curves:
        return ""
    ways = distinct(curve.method for curve in curves)
    told = [f"{joined(distinct(c.cause for c in curves if c.method == way))} by {way}" for way in ways]
    return f"Cumulative incidences: {'; '.join(told)}."


def _ways(methods: Iterable[str]) -> list[str]:
    """Return each method once, whatever its months, and whether its probabilities are out-of-fold."""
    return distinct(_AT_MONTHS.sub("at these times", method.partition("; out-of-fold")[0]) for method in methods)


def distinct(values: Iterable[str]) -> list[str]:
    """Return each text once, empty ones left out, in the order in which they come."""
    return [value for value in dict.fromkeys(values) if value]
