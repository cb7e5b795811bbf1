"""Rules that decide from a report whether part of a guideline's item is answered: one small function each."""

from collections.abc import Mapping
from typing import Any

from hccfeat.analysis.results import EndpointResult, Metric, StudyReport
from hccfeat.cohort.sites import SITE
from hccfeat.report.anchors import block_id
from hccfeat.report.guidelines.marker_rules import MARKER_RULES
from hccfeat.report.guidelines.parts import Part, Rule, each_endpoint, part
from hccfeat.report.guidelines.treatment_rules import TREATMENT_RULES

DISCRIMINATION = ("auroc", "c_index")
INCOMPLETE = ("lack", "missing", "complete case", "imput")
"""Words by which the method of a model says what became of missing values."""


def is_timed(result: EndpointResult) -> bool:
    """Tell whether an endpoint has survival times."""
    return result.timed


def setting(report: StudyReport, name: str) -> Any:
    """Return a setting of the analysis, None where it is not known."""
    analysis = report.settings.get("analysis")
    return analysis.get(name) if isinstance(analysis, Mapping) else None


def judged(report: StudyReport) -> list[Metric]:
    """Return the metrics of patients whom the models have not seen."""
    return [m for result in report.endpoints for m in result.all_metrics if m.split != "apparent"]


def corrected(report: StudyReport) -> bool:
    """Tell whether some number was corrected for the optimism of the apparent one."""
    return any(m.metric.endswith("_corrected") for result in report.endpoints for m in result.all_metrics)


def titled(report: StudyReport) -> Part:
    """The study has a title that is not its short name."""
    return part(report.title and report.title != report.study, "main", "the study file gives no title")


def summary_shown(report: StudyReport) -> Part:
    """The table of models by metrics is on top of the page."""
    return part(any(result.metrics for result in report.endpoints), "summary", "no model was judged")


def cohorts_described(report: StudyReport) -> Part:
    """Every cohort says in the data catalog what it is."""
    bare = [str(row.get("cohort")) for row in report.cohorts if not (row.get("title") and row.get("note"))]
    if not report.cohorts or len(bare) == len(report.cohorts):
        return Part("missing", "", "the data catalog describes no cohort")
    lacking = f"the data catalog says nothing about {', '.join(bare)}"
    return Part("partial", "cohorts", lacking) if bare else Part("reported", "cohorts")


def exclusions_counted(report: StudyReport) -> Part:
    """Who was left out at ingest is counted."""
    return part(report.attrition, "cohorts", "no steps of attrition are known")


def treatment_handled(report: StudyReport) -> Part:
    """Treatment is analysed, or the attrition says how many treated patients were left out."""
    for i, result in enumerate(report.endpoints):
        if result.treatment is not None:
            return Part("reported", block_id(i, result.endpoint, "treatment"))
    for i, result in enumerate(report.endpoints):
        if any("treated" in str(row.get("reason")) for row in result.attrition):
            return Part("reported", block_id(i, result.endpoint, "attrition"))
    return Part("missing", "", "nothing is known about treatment")


def preparation_listed(report: StudyReport) -> Part:
    """The recipe of the image features is given, or there are none and the checks at ingest are."""
    if report.feature_set is not None:
        return part(report.feature_set.get("recipe"), "features", "the recipe of the image features is not known")
    return exclusions_counted(report)


def outcome_defined(report: StudyReport) -> Part:
    """Every endpoint states its rule."""
    return each_endpoint(report, "", lambda result: result.exclusion_rule, "no rule of the outcome")


def baseline_shown(report: StudyReport) -> Part:
    """Characteristics of the patients are tabulated."""
    return part(report.baseline, "baseline", "there is no table of baseline characteristics")


def predictors_listed(report: StudyReport) -> Part:
    """All variables are in the table of baseline characteristics, image features in their own section."""
    return part(
        report.baseline or report.feature_set, "baseline" if report.baseline else "features", "none is listed"
    )


def missing_counted(report: StudyReport) -> Part:
    """The table of baseline characteristics counts missing values; without such a row nothing is missing."""
    return part(report.baseline, "baseline", "missing values are not counted")


def missing_handled(report: StudyReport) -> Part:
    """Some model says what it does about missing values."""
    found = [m.method for result in report.endpoints for m in result.all_metrics]
    said = any(word in method for method in found for word in INCOMPLETE)
    return part(said, "methods", "no model says what it does about missing values")


def events_counted(report: StudyReport) -> Part:
    """Patients and events of each group are counted for every endpoint."""
    return each_endpoint(
        report, "attrition", lambda result: result.attrition, "patients and events are not counted"
    )


def follow_up_given(report: StudyReport) -> Part:
    """Median follow-up is given for every endpoint with times."""
    return each_endpoint(
        report,
        "follow_up",
        lambda result: any(one.follow_up is not None or one.note for one in result.survival),
        "no median follow-up",
        asked=is_timed,
        unasked="the outcome is a finding without a time, so there is no follow-up",
    )


def split_described(report: StudyReport) -> Part:
    """It is said who trains and who judges."""
    if judged(report) or corrected(report):
        return Part("reported", "methods")
    return part(summary_shown(report).status == "reported", "summary", "no model was judged")


def models_described(report: StudyReport) -> Part:
    """Every model has its settings in the methods."""
    models: dict[str, bool] = {}
    for result in report.endpoints:
        for metric in result.all_metrics:
            models[metric.model] = models.get(metric.model, False) or ";" in metric.method
    bare = [model for model, known in models.items() if not known]
    if not models or len(bare) == len(models):
        return Part("missing", "", "no model is described")
    return Part("partial", "methods", f"{', '.join(bare)} not described") if bare else Part("reported", "methods")


def internally_validated(report: StudyReport) -> Part:
    """Performance comes from held-out patients or folds, or is corrected for optimism."""
    inside = {"held_out", "cross_validation"}
    found = any(metric.split in inside for metric in judged(report)) or corrected(report)
    return part(found, "methods", "the models are judged only on the patients they were fitted on")


def judged_unseen(report: StudyReport) -> Part:
    """Performance is that of patients whom the models have not seen, or is corrected for optimism."""
    if judged(report):
        return Part("reported", "summary")
    if corrected(report):
        return Part("partial", "summary", "figures are corrected for optimism, but no other patient was judged")
    return Part(
        "missing", "", "the figures are apparent: the models are judged on the patients they were fitted on"
    )


def places_told_apart(report: StudyReport) -> Part:
    """Several cohorts are judged, each on its own, or folds are made of sites, or sites are judged as groups."""
    found = judged(report)
    by_site = setting(report, "folds_by") == "site" and any(m.split == "cross_validation" for m in found)
    several = len({metric.cohort for metric in found}) > 1
    centres = any(row.item == SITE for result in report.endpoints for row in result.subgroups)
    return part(several or by_site or centres, "summary", "one cohort is judged, as a whole")


def discrimination_given(report: StudyReport) -> Part:
    """AUROC or C-index of every endpoint."""
    return each_endpoint(
        report,
        "discrimination",
        lambda result: any(m.metric in DISCRIMINATION and m.estimate is not None for m in result.all_metrics),
        "no AUROC and no C-index",
    )


def calibration_given(report: StudyReport) -> Part:
    """A calibration curve of every endpoint."""
    return each_endpoint(report, "calibration", lambda result: result.calibrations, "no calibration")


def utility_given(report: StudyReport) -> Part:
    """Net benefit of every endpoint."""
    return each_endpoint(report, "decision", lambda result: result.decisions, "no net benefit")


def models_compared(report: StudyReport) -> Part:
    """Models are compared on the same patients; with a single model the question does not arise."""
    if len({m.model for result in report.endpoints for m in result.all_metrics}) == 1:
        return Part("reported", "summary", "a single model was judged")
    if not any(result.comparisons for result in report.endpoints) and any(r.modalities for r in report.endpoints):
        return each_endpoint(report, "modalities", lambda result: result.modalities, "no comparison of modalities")
    return each_endpoint(report, "comparison", lambda result: result.comparisons, "no comparison of models")


def intervals_given(report: StudyReport) -> Part:
    """Every AUROC and C-index that there is has its interval."""
    found = [m for r in report.endpoints for m in r.all_metrics if m.metric in DISCRIMINATION]
    known = [m for m in found if m.estimate is not None]
    without = [m for m in known if m.lower is None or m.upper is None]
    if not known or len(without) == len(known):
        return Part("missing", "", "no interval is given")
    lacking = f"{len(without)} of {len(known)} AUROC and C-index have no interval"
    return Part("partial", "summary", lacking) if without else Part("reported", "summary")


def subgroups_judged(report: StudyReport) -> Part:
    """Models are judged within the groups of patients that the study file names."""
    lacking = "no model is judged within groups of patients ([analysis] subgroups of the study file names none)"
    asked = setting(report, "subgroups")
    return each_endpoint(
        report, "subgroups", lambda result: result.subgroups, "no group judged" if asked else lacking
    )


def declared_not_done(report: StudyReport) -> Part:
    """The methods say that no model was updated and no class weighted."""
    return part(report.endpoints, "methods", "nothing was analysed")


def software_listed(report: StudyReport) -> Part:
    """Versions of the software are given."""
    return part(report.versions, "methods", "no version of the software is known")


def output_described(report: StudyReport) -> Part:
    """The threshold on the risk is among the settings."""
    known = setting(report, "threshold") is not None
    return part(known, "methods", "the threshold of the risk is not known")


def judges_compared(report: StudyReport) -> Part:
    """The table of baseline characteristics has a column for those who train and one for those who judge."""
    groups = {key for row in report.baseline for key in row} - {"variable", "level"}
    splits = {metric.split for metric in judged(report)}
    if not splits:
        return Part("missing", "", "the patients who train are also those who judge")
    if splits == {"cross_validation"}:
        return part(groups, "baseline", "the same patients train and judge, in different folds, and are not shown")
    return part(len(groups) > 1, "baseline", "those who judge are not shown beside those who train")


def model_specified(report: StudyReport) -> Part:
    """Coefficients of a model are given."""
    if not any(result.logistic for result in report.endpoints) and any(r.artefacts for r in report.endpoints):
        return Part("partial", "methods", "the fitted network is kept in the study folder, not in the report")
    return each_endpoint(report, "logistic", lambda result: any(result.logistic.values()), "no coefficients")


def cautions_listed(report: StudyReport) -> Part:
    """What was found to be weak is listed; a report without any caution says so."""
    notices = [notice for result in report.endpoints for notice in result.notices]
    found = any(notice.level != "info" for notice in notices)
    return Part("reported", "conditions" if notices else "summary", "" if found else "no caution arose")


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(titled, summary_shown, cohorts_described, exclusions_counted, treatment_handled, preparation_listed),
        *(outcome_defined, baseline_shown, predictors_listed, missing_counted, missing_handled, events_counted),
        *(follow_up_given, split_described, models_described, internally_validated, judged_unseen),
        *(places_told_apart, discrimination_given, calibration_given, utility_given, models_compared),
        *(intervals_given, subgroups_judged, declared_not_done, software_listed, output_described),
        *(judges_compared, model_specified, cautions_listed),
        *MARKER_RULES,
        *TREATMENT_RULES,
    )
}
"""Rules by name, as the files of ``data_catalog/guidelines/`` use them."""
