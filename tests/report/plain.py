"""The sample reports without what later statistics add: labels, curves by risk group and hazard ratios alone."""

from dataclasses import replace

from hccfeat.analysis.results import EndpointResult, StudyReport

METRICS = ("auroc", "auprc", "accuracy", "precision", "recall", "f1", "c_index")
KINDS = ("univariable", "risk")


def plain(report: StudyReport) -> StudyReport:
    """The report with every endpoint reduced to its metrics at the label, groups, ratios and coefficients."""
    return replace(report, endpoints=[_plain(result) for result in report.endpoints])


def _plain(result: EndpointResult) -> EndpointResult:
    kept = EndpointResult(
        result.endpoint, result.label, result.horizon_months, result.exclusion_rule, timed=result.timed
    )
    kept.metrics = [m for m in result.metrics if m.metric in METRICS]
    kept.hazard_ratios = [r for r in result.hazard_ratios if r.kind.startswith(KINDS) and "Firth" not in r.ties]
    kept.groups = [
        replace(g, test="", curves=tuple(replace(c, restricted_mean=None) for c in g.curves)) for g in result.groups
    ]
    kept.rocs, kept.attrition = result.rocs, result.attrition
    kept.logistic = {
        name: [replace(term, method="Wald") for term in terms] for name, terms in result.logistic.items()
    }
    kept.notices = [replace(n, kind=None) for n in result.notices]
    return kept
