"""What a reader must know before reading the numbers: typed conditions found in the patients."""

from typing import Any

import numpy as np
import polars as pl

from hccfeat.analysis.conditions import who
from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.models import usable_indicators
from hccfeat.analysis.rating import followed_beyond
from hccfeat.analysis.results import Notice
from hccfeat.cohort.endpoints import SHORT_FOLLOW_UP
from hccfeat.stats.estimate import count
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
                f"The {len(train)} training patients of cohort {train.cohort} have {count(events, 'event')}, "
                f"{rarer} in the rarer class, for {count(parameters, 'indicator')}; about {EVENTS_PER_PARAMETER} "
                "each are asked for.",
                "too_many_parameters",
            )
        )
    constant = [name for k, name in enumerate(train.indicator_names) if k not in usable_indicators(train)]
    if constant:
        text = f"Constant or unknown among the training patients of cohort {train.cohort}: {', '.join(constant)}."
        found.append(Notice("caution", "Indicators left out of the models", text, "collinear"))
    return found + missing_notices(train)


def unrecorded_notices(data: EndpointData) -> list[Notice]:
    """A caution naming the indicators that were asked for but that too few patients have for any model."""
    if not data.unrecorded:
        return []
    learners = data.patients.filter(data.patients["role"].is_in(["train", "all"])).height
    listed = ", ".join(f"{name} ({known} of {learners})" for name, known in data.unrecorded.items())
    text = f"No model reads these indicators, which too few of the patients who train models have: {listed}."
    return [Notice("caution", "Indicators not recorded", text, "missingness")]


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
    text = f"Among the {len(patients)} {who(patients)}: {', '.join(often)} (limit {MOST_MISSING:.0%})."
    return [Notice("caution", "Indicators often missing", text, "missingness")]


def judge_notices(patients: Population, horizon: float | None = None) -> list[Notice]:
    """Cautions about the patients that models are judged on, up to the horizon of the endpoint if it has one."""
    judges = who(patients)
    if not len(patients):
        text = f"No {judges} can be used; there are no numbers for them."
        return [Notice("caution", "No patients to judge", text)]
    found = []
    labelled = int(patients.labelled.sum())
    events = int(np.nansum(patients.y))
    if not labelled or events in (0, labelled):
        known = f"{labelled} labelled, {count(events, 'event')}"
        text = f"The {judges} ({known}) are of one class; nothing can be told apart."
        found.append(Notice("caution", "One class", text, "one_class"))
    elif min(events, labelled - events) < FEW_EVENTS:
        text = f"The {labelled} {judges} have {count(events, 'event')}; every number about them is uncertain."
        found.append(Notice("caution", "Few events", text, "few_events"))
    return found + _beyond(patients, horizon) + missing_notices(patients)


def _beyond(patients: Population, horizon: float | None) -> list[Notice]:
    """A caution where nobody is left at the horizon to be judged against."""
    left = 2 if horizon is None or not patients.followed.any() else followed_beyond(patients, horizon)
    if left >= 2:
        return []
    last = float(patients.months[patients.followed].max())
    text = (
        f"Of the {who(patients)} {left or 'none'} is followed beyond {horizon:g} months (last: {last:.1f}), "
        "so risks by then cannot be judged: no AUC, Brier score, calibration and net benefit at that time."
    )
    return [Notice("caution", "Horizon beyond the follow-up", text, "beyond_follow_up")]


def follow_up_notices(data: EndpointData) -> list[Notice]:
    """A caution by cohort that counts whom its minimum follow-up leaves out: it chooses by what came later."""
    left_out = pl.col("excluded") == SHORT_FOLLOW_UP
    counts = data.patients.group_by("cohort").agg(pl.len(), left_out.sum().alias("left_out")).sort("cohort")
    return [
        Notice(
            "caution",
            "Patients left out by their follow-up",
            f"{dropped} of {total} patients of cohort {cohort} left every analysis because their last contact, "
            "without the event, came before the cohort's minimum follow-up (a rule of the recurrence paper). None "
            "of them had the event, so the others' event rates are too high. Without minimum_follow_up_months in "
            "the cohort's description everybody counts until the last contact.",
        )
        for cohort, total, dropped in counts.iter_rows()
        if dropped
    ]


def outside_notices(data: EndpointData, cohort: str) -> list[Notice]:
    """A caution that counts the patients of the development cohort whom the frozen split does not hold."""
    if not data.outside_split:
        return []
    text = (
        f"{data.outside_split} patients of cohort {cohort} neither train nor judge: when the split was frozen they "
        "had no outcome, or were not there. Another seed in [split] makes a new split."
    )
    return [Notice("caution", "Patients outside the frozen split", text)]


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
