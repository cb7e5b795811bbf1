"""A cohort that has only a clinical table: what its own patients say, named apparent."""

import numpy as np

from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.models import CLINICAL, FittedModel
from hccfeat.analysis.results import LogisticTerm
from hccfeat.errors import AnalysisError
from hccfeat.stats.logistic import LogisticFit, logistic


def complete_cases(patients: Population) -> Population:
    """Labelled patients who have every indicator."""
    return patients.take(patients.labelled & ~np.isnan(patients.indicators).any(axis=1))


def fit_apparent(data: EndpointData, patients: Population) -> tuple[FittedModel, LogisticFit, Population]:
    """Unpenalised logistic regression on the raw indicators of complete cases, as R's glm.

    Returns
    -------
    (FittedModel, LogisticFit, Population)
        The model, its coefficients, and the complete cases it was fitted on.

    Raises
    ------
    AnalysisError
        If no patient has a label, one class is missing, or no finite estimate exists.
    """
    if not patients.labelled.any():
        raise AnalysisError(
            f"cohort {patients.cohort}",
            f"no patient has a label for endpoint {data.endpoint}",
            "Ingest its outcomes.",
        )
    _check_classes(patients)
    if not patients.indicator_names:
        raise AnalysisError(f"cohort {patients.cohort}", "has no indicators", "Map them in its cohort description.")
    cases = complete_cases(patients)
    if not len(cases):
        raise AnalysisError(
            f"cohort {patients.cohort}", "no patient has every indicator", "Declare fewer indicators."
        )
    fit = logistic(cases.indicators, cases.y, patients.indicator_names)
    lost = int(patients.labelled.sum()) - len(cases)
    model = FittedModel(
        CLINICAL,
        f"unpenalised logistic regression on {len(patients.indicator_names)} raw indicators, fitted and judged on "
        f"the same {len(cases)} complete cases ({lost} labelled patients lack an indicator)",
        lambda judged: fit.predict(judged.indicators),
    )
    return model, fit, cases


def logistic_terms(fit: LogisticFit) -> list[LogisticTerm]:
    """Coefficients with odds ratios and Wald intervals, the intercept first."""
    rows = []
    for term, coefficient, error, p, (lower, upper) in zip(
        fit.terms, fit.coefficients, fit.standard_errors, fit.p, fit.intervals(), strict=True
    ):
        odds = [float(np.exp(value)) for value in (coefficient, lower, upper)]
        rows.append(LogisticTerm(term, float(coefficient), float(error), odds[0], odds[1], odds[2], float(p)))
    return rows


def _check_classes(patients: Population) -> None:
    known = patients.y[patients.labelled]
    if not known.any() or known.all():
        which = "no patient has the event" if not known.any() else "every patient has the event"
        raise AnalysisError(f"cohort {patients.cohort}", which, "Choose another endpoint.")
