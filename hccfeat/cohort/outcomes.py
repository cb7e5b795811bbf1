"""Outcomes of one patient, from the cells of a clinical table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hccfeat.cohort.descriptions import OUTCOMES, CohortDescription, OutcomeMap, OutcomeName
from hccfeat.cohort.tables import RawTable, Rejection, Step
from hccfeat.cohort.values import EVENTS, is_missing, parse_flag, parse_number
from hccfeat.errors import InputError
from hccfeat.units import Days, days_to_months

MAX_MONTHS = 480.0
"""Longer follow-up after surgery is taken for a mistake of unit."""


@dataclass
class OutcomeCount:
    """How many patients have an outcome before and after the rule on times and withdrawn patients."""

    outcome: OutcomeName
    recorded: int = 0
    recorded_events: int = 0
    usable: int = 0
    usable_events: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str) -> str:
        """Count a reason and return it."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        return reason


@dataclass(frozen=True)
class _Rules:
    unit: str
    missing: frozenset[str]
    redacted: tuple[str, tuple[str, ...]] | None


def outcome_maps(raw: RawTable, description: CohortDescription) -> dict[OutcomeName, OutcomeMap]:
    """Return the outcomes that a table holds.

    As described; without a description of outcomes, the pairs ``<outcome>_event`` and ``<outcome>_months``
    (``<outcome>_days`` where the cohort's time unit is days).

    Raises
    ------
    InputError
        If the table has one of such a pair without the other.
    """
    if description.outcomes:
        return dict(description.outcomes)
    maps: dict[OutcomeName, OutcomeMap] = {}
    for outcome in OUTCOMES:
        time, event = f"{outcome}_{description.time_unit}", f"{outcome}_event"
        present = [name for name in (time, event) if name in raw.columns]
        if len(present) == 1:
            absent = time if present[0] == event else event
            raise InputError(
                str(raw.path), f"has {present[0]} without {absent}", "Add the column, or leave out both."
            )
        if present:
            maps[outcome] = OutcomeMap(event=event, time=time)
    return maps


def read_outcomes(
    rows: list[dict[str, Any]],
    ids: list[str],
    raw: RawTable,
    description: CohortDescription,
) -> tuple[list[dict[str, Any]], list[Rejection], list[OutcomeCount]]:
    """Read every outcome of every patient.

    The stated rule: an outcome is usable if its event is 0 or 1 (or a text the cohort codes), its time is a
    number above zero and at most 480 months, and the patient is not withdrawn (redacted). Anything else
    drops that outcome of that patient, with a reason; the patient stays. Event and time both missing, or
    the event missing, is "not recorded" and no error.

    Parameters
    ----------
    rows : list of dict
        Accepted rows of the table, as texts.
    ids : list of str
        Their patient ids, in the same order.
    raw : RawTable
        The table, for its name and columns.
    description : CohortDescription
        Time unit, columns, codes.

    Returns
    -------
    outcomes : list of dict
        (patient_id, outcome, months, event).
    rejected : list of Rejection
    counts : list of OutcomeCount

    Raises
    ------
    InputError
        If most times of an outcome are too long for their unit.
    """
    maps = outcome_maps(raw, description)
    redacted = description.redacted
    rules = _Rules(
        description.time_unit,
        frozenset(text.lower() for text in description.missing),
        (redacted.column, redacted.values) if redacted else None,
    )
    found: list[dict[str, Any]] = []
    rejected: list[Rejection] = []
    counts: list[OutcomeCount] = []
    for outcome, source in maps.items():
        if source.same_as:
            continue
        count = OutcomeCount(outcome)
        for patient, row in zip(ids, rows, strict=True):
            value, refusal = _one(row, source, rules, count)
            if refusal:
                rejected.append(refusal)
            elif value:
                found.append({"patient_id": patient, "outcome": outcome, "months": value[0], "event": value[1]})
        _check_unit(raw, source, count, description.time_unit)
        counts.append(count)
    for outcome, source in maps.items():
        if source.same_as:
            found += [row | {"outcome": outcome} for row in found if row["outcome"] == source.same_as]
    return found, rejected, counts


def outcome_steps(counts: list[OutcomeCount], patients: int) -> list[Step]:
    """Attrition steps of the outcomes: recorded, then usable, with the events of each."""
    steps: list[Step] = []
    for count in counts:
        steps.append(
            Step.of(
                f"{count.outcome}: event and time recorded ({count.recorded_events} events)",
                count.recorded,
                patients - count.recorded,
                "event or time not recorded or not readable",
            )
        )
        reasons = "; ".join(f"{reason}: {number}" for reason, number in sorted(count.reasons.items()))
        steps.append(
            Step(
                f"{count.outcome}: usable ({count.usable_events} events)",
                count.usable,
                count.recorded - count.usable,
                reasons,
            )
        )
    return steps


def _one(
    row: Mapping[str, Any], source: OutcomeMap, rules: _Rules, count: OutcomeCount
) -> tuple[tuple[float, bool] | None, Rejection | None]:
    number = int(row["row_number"])
    if is_missing(row[source.event], rules.missing):
        return None, None
    coding = {key.lower(): value for key, value in source.coding.items()} or EVENTS
    try:
        event = parse_flag(row[source.event], coding)
    except ValueError as error:
        return None, Rejection(number, source.event, f"event flag {error}")
    column = source.time_if_event if event and source.time_if_event else source.time
    if is_missing(row[column], rules.missing):
        return None, Rejection(number, column, "status recorded without a time")
    try:
        time = parse_number(row[column])
    except ValueError as error:
        return None, Rejection(number, column, f"survival time {error}")
    months = float(days_to_months(Days(time))) if rules.unit == "days" else time
    count.recorded += 1
    count.recorded_events += event
    reason = ""
    if rules.redacted and row[rules.redacted[0]] in rules.redacted[1]:
        column, reason = rules.redacted[0], "patient withdrawn by the source (redacted)"
    elif months < 0:
        reason = "survival time is negative"
    elif months == 0:
        reason = "survival time is zero: no follow-up"
    elif months > MAX_MONTHS:
        reason = f"survival time above {MAX_MONTHS:g} months (another unit?)"
    if reason:
        return None, Rejection(number, column, count.reject(reason))
    count.usable += 1
    count.usable_events += event
    return (months, event), None


def _check_unit(raw: RawTable, source: OutcomeMap, count: OutcomeCount, unit: str) -> None:
    too_long = sum(number for reason, number in count.reasons.items() if "another unit" in reason)
    if 2 * too_long > count.recorded:
        raise InputError(
            str(raw.path),
            f"column {source.time}: {too_long} of {count.recorded} times are above {MAX_MONTHS:g} months when "
            f"read as {unit}",
            'If they are days, set time_unit = "days" in the cohort\'s description, or convert them.',
        )
