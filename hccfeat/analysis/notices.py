"""What a reader must know before reading the numbers: typed conditions found in the patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.models import usable_indicators
from hccfeat.analysis.results import Notice
from hccfeat.stats.survival import FEW_EVENTS

EVENTS_PER_PARAMETER = 10
MOST_MISSING = 0.2


def training_notices(train: Population) -> list[Notice]:
    """Cautions about the patients that models are fitted on."""
    found = []
    events = int(train.y.sum())
    rarer = min(events, len(train) - events)
    parameters = train.indicators.shape[1]
    if parameters and rarer < EVENTS_PER_PARAMETER * parameters:
        found.append(
            Notice(
                "caution",
                "Few events per parameter",
                f"The {len(train)} training patients of cohort {train.cohort} have {events} events, {rarer} in the "
                f"rarer class, for {parameters} indicators; about {EVENTS_PER_PARAMETER} each are asked for.",
            )
        )
    constant = [name for k, name in enumerate(train.indicator_names) if k not in usable_indicators(train)]
    if constant:
        text = f"Constant or unknown among the training patients of cohort {train.cohort}: {', '.join(constant)}."
        found.append(Notice("caution", "Indicators left out of the models", text))
    return found + missing_notices(train)


def missing_notices(patients: Population) -> list[Notice]:
    """A caution naming the indicators that many patients lack."""
    if not len(patients) or not patients.indicator_names:
        return []
    share = np.isnan(patients.indicators).mean(axis=0)
    often = [
        f"{name} {value:.0%}"
        for name, value in zip(patients.indicator_names, share, strict=True)
        if value > MOST_MISSING
    ]
    if not often:
        return []
    who = f"{len(patients)} {patients.split.replace('_', '-')} patients of cohort {patients.cohort}"
    return [Notice("caution", "Indicators often missing", f"Among the {who}: {', '.join(often)}.")]


def judge_notices(patients: Population) -> list[Notice]:
    """Cautions about the patients that models are judged on."""
    who = f"{patients.split.replace('_', '-')} patients of cohort {patients.cohort}"
    if not len(patients):
        return [Notice("caution", "No patients to judge", f"No {who} can be used; there are no numbers for them.")]
    labelled = int(patients.labelled.sum())
    events = int(np.nansum(patients.y))
    if not labelled or events in (0, labelled):
        text = f"The {who} ({labelled} labelled, {events} events) are of one class; there is nothing to tell apart."
        return [Notice("caution", "One class", text), *missing_notices(patients)]
    if min(events, labelled - events) < FEW_EVENTS:
        text = f"The {labelled} {who} have {events} events; every number about them is uncertain."
        return [Notice("caution", "Few events", text), *missing_notices(patients)]
    return missing_notices(patients)


def withheld_notice(patients: Population, withheld: Mapping[str, str]) -> list[Notice]:
    """One caution that lists the hazard ratios that are not given, and why."""
    if not withheld:
        return []
    listed = "; ".join(f"{term}: {reason}" for term, reason in withheld.items())
    return [Notice("caution", f"Hazard ratios withheld in cohort {patients.cohort}", f"{listed}.")]


def attrition_row(data: EndpointData, patients: Population, *, needs_label: bool = True) -> dict[str, Any]:
    """Who of a cohort and split takes part, and why the others do not: a row of ``EndpointResult.attrition``."""
    labelled = patients.labelled
    reasons = dict(patients.left_out)
    if needs_label:
        lost = [patient for patient, known in zip(patients.ids, labelled, strict=True) if not known]
        known = data.patients.filter(data.patients["patient_id"].is_in(lost))
        for reason in known["excluded"].fill_null("no label"):
            reasons[reason] = reasons.get(reason, 0) + 1
    excluded = sum(reasons.values())
    return {
        "cohort": patients.cohort,
        "split": patients.split,
        "patients": len(patients) + sum(patients.left_out.values()),
        "labelled": int(labelled.sum()),
        "events": int(np.nansum(patients.y)),
        "excluded": excluded,
        "reason": "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items())),
    }
