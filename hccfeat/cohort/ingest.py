"""Checking a clinical table against the data catalog."""

import csv
import io
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.cohort.derived import derive
from hccfeat.cohort.descriptions import CohortDescription, Variable
from hccfeat.cohort.dictionary import Dictionary
from hccfeat.cohort.outcomes import OutcomeCount, outcome_maps, outcome_steps, read_outcomes
from hccfeat.cohort.tables import ROW, RawTable, Rejection, Step
from hccfeat.cohort.values import conversion, is_missing, parse_value
from hccfeat.errors import InputError
from hccfeat.files import sha256_of_file, write_text_atomically

TREATMENT = "treatment"
OTHER = "other"
SIMULATED = "simulated"
REJECTED_COLUMNS = ("cohort", "source_file", "row_number", "column_name", "reason")


@dataclass(frozen=True)
class ClinicalTable:
    """A checked cohort as rows of the catalog's tables.

    Attributes
    ----------
    cohort : dict
        (cohort, title, format, simulated, source_file, source_sha256, note).
    patients : list of dict
        (patient_id, cohort, treatment).
    clinical : list of dict
        patient_id and one key per column of ``clinical_columns``; missing values are None, never NaN.
    clinical_columns : dict
        SQL type by column, those of ``derived`` among them.
    outcomes : list of dict
        (patient_id, outcome, months, event).
    rejected : list of dict
        (cohort, source_file, row_number, column_name, reason); column_name "" is a whole row. Values that were
        kept in another form than the table's are listed too, and say so.
    attrition : list of dict
        (cohort, step_number, step, n, excluded, reason).
    outcome_counts : list of OutcomeCount
        Patients and events before and after the rule on times.
    unused_columns : list of str
        Columns of the file that nothing was taken from.
    derived : list of str
        Variables that the table does not hold and that were computed from others.
    """

    cohort: dict[str, Any]
    patients: list[dict[str, Any]]
    clinical: list[dict[str, Any]]
    clinical_columns: dict[str, str]
    outcomes: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    attrition: list[dict[str, Any]]
    outcome_counts: list[OutcomeCount] = field(default_factory=list)
    unused_columns: list[str] = field(default_factory=list)
    derived: list[str] = field(default_factory=list)

    @property
    def patient_ids(self) -> set[str]:
        """Ids of the accepted patients, ``<cohort>/<id in the table>``."""
        return {row["patient_id"] for row in self.patients}


def validate(raw: RawTable, description: CohortDescription, dictionary: Dictionary, cohort: str) -> ClinicalTable:
    """Check a table and turn it into rows of the catalog.

    Rules: a row without a usable patient id, and every row of a patient that has several, is rejected
    whole. A clinical value that is no number, outside its range, or of an unknown code becomes missing,
    with a reason (an unknown treatment becomes "other"). A number that the cohort's description reads in another
    unit is converted, and listed with the rejected ones as kept. Variables that follow from others are computed
    (:func:`hccfeat.cohort.derived.derive`). An outcome that breaks the rule of
    :func:`hccfeat.cohort.outcomes.read_outcomes` is left out, with a reason; the patient stays. Blank cells
    and the usual texts for "missing" are no errors.

    Parameters
    ----------
    raw : RawTable
        From :func:`hccfeat.cohort.readers.read_table`.
    description : CohortDescription
        From :meth:`hccfeat.cohort.dictionary.Dictionary.cohort`.
    dictionary : Dictionary
        Variables with type, range and coding.
    cohort : str
        Name of the cohort.

    Raises
    ------
    InputError
        If no patient is left, or the table lacks the id column or half an outcome.
    """
    if description.id_column not in raw.columns:
        raise InputError(
            str(raw.path),
            f"has no column {description.id_column} (columns: {', '.join(raw.columns[:12])})",
            "Rename the column of patient ids, or describe the table in data_catalog/cohorts of the study.",
        )
    rejected = list(raw.rejected)
    rows, steps = _accepted(raw, description, rejected)
    ids = [f"{cohort}/{_patient(row, description)}" for row in rows]
    recorded = {name: pair for name, pair in dictionary.recorded(description).items() if pair[0] in raw.columns}
    clinical = _clinical(rows, ids, recorded, description, rejected)
    taken = {name: variable for name, (_, variable) in recorded.items()}
    derived, no_result = derive(clinical, taken, dictionary.variables)
    rejected += [Rejection(rows[place][ROW], name, reason) for place, name, reason in no_result]
    outcomes, refused, counts = read_outcomes(rows, ids, raw, description)
    rejected += refused
    steps += outcome_steps(counts, len(rows))
    treatments = [row.pop(TREATMENT, None) for row in clinical]
    columns = {name: variable.sql_type for name, variable in taken.items() if name != TREATMENT}
    columns |= {name: dictionary.variables[name].sql_type for name in derived}
    return ClinicalTable(
        cohort=_cohort_row(raw, description, cohort, rows, [dictionary.variables[name] for name in derived]),
        patients=[
            {"patient_id": patient, "cohort": cohort, "treatment": treatment}
            for patient, treatment in zip(ids, treatments, strict=True)
        ],
        clinical=clinical,
        clinical_columns=columns,
        outcomes=outcomes,
        rejected=[_rejected_row(item, raw, cohort) for item in rejected],
        attrition=[
            {"cohort": cohort, "step_number": number, **vars(step)}
            for number, step in enumerate([*raw.steps, *steps], start=1)
        ],
        outcome_counts=counts,
        unused_columns=_unused(raw, description, recorded),
        derived=derived,
    )


def write_rejected(path: Path, rejected: list[dict[str, Any]]) -> None:
    """Publish the rejected rows as CSV (cohort, source_file, row_number, column_name, reason).

    Cells that a spreadsheet would run as a formula are quoted with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REJECTED_COLUMNS)
    for row in rejected:
        cells = [str(row[name]) for name in REJECTED_COLUMNS]
        writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell for cell in cells])
    write_text_atomically(path, text.getvalue())


def _patient(row: dict[str, Any], description: CohortDescription) -> str:
    return unicodedata.normalize("NFC", row[description.id_column].strip())


def _accepted(
    raw: RawTable, description: CohortDescription, rejected: list[Rejection]
) -> tuple[list[dict[str, Any]], list[Step]]:
    """Rows with a patient id that no other row has, and the attrition of getting there."""
    rows = raw.frame.to_dicts()
    column, also = description.id_column, frozenset(text.lower() for text in description.missing)
    named = []
    for row in rows:
        reason = _id_problem(row[column], also)
        if reason:
            rejected.append(Rejection(row[ROW], column, reason))
        else:
            named.append(row)
    where: dict[str, list[int]] = {}
    for row in named:
        where.setdefault(_patient(row, description), []).append(row[ROW])
    single = []
    for row in named:
        others = where[_patient(row, description)]
        if len(others) == 1:
            single.append(row)
        else:
            listed = ", ".join(str(number) for number in others)
            rejected.append(Rejection(row[ROW], "", f"the same patient has several rows ({listed})"))
    steps = [
        Step("rows with a patient id", len(named), len(rows) - len(named), "no usable patient id"),
        Step.of("patients", len(single), len(named) - len(single), "the same patient in several rows"),
    ]
    if not single:
        reasons = Counter(item.reason.split(" (")[0] for item in rejected).most_common(2)
        shown = "; ".join(f"{reason} ({number} rows)" for reason, number in reasons)
        raise InputError(str(raw.path), f"leaves no usable patient: {shown}", "Correct the table.")
    return single, [steps[0], steps[1]] if len(named) < len(rows) else [steps[1]]


def _id_problem(text: str, also: frozenset[str]) -> str:
    if is_missing(text, also):
        return "has no patient id"
    if any(character in "/\\" or not character.isprintable() for character in text):
        return "patient id holds a slash or a control character"
    return "patient id is longer than 128 characters" if len(text) > 128 else ""


def _clinical(
    rows: list[dict[str, Any]],
    ids: list[str],
    recorded: dict[str, tuple[str, Variable]],
    description: CohortDescription,
    rejected: list[Rejection],
) -> list[dict[str, Any]]:
    also = frozenset(text.lower() for text in description.missing)
    found = []
    for patient, row in zip(ids, rows, strict=True):
        values: dict[str, Any] = {"patient_id": patient}
        for name, (column, variable) in recorded.items():
            values[name] = None
            if is_missing(row[column], also):
                continue
            try:
                values[name] = parse_value(row[column], variable)
            except ValueError as error:
                reason = f"{variable.label} {error}"
                if name == TREATMENT:
                    # Missing would count as untreated, and put a treated patient among the untreated.
                    values[name], reason = OTHER, f"{reason}; kept as {OTHER!r}, which is not untreated"
                rejected.append(Rejection(row[ROW], column, reason))
            else:
                if converted := conversion(row[column], variable):
                    rejected.append(Rejection(row[ROW], column, f"{variable.label} {converted}"))
        found.append(values)
    return found


def _cohort_row(
    raw: RawTable,
    description: CohortDescription,
    cohort: str,
    rows: list[dict[str, Any]],
    derived: list[Variable],
) -> dict[str, Any]:
    simulated = description.simulated or any(row.get(SIMULATED) in ("1", "1.0", "true", "True") for row in rows)
    beside = [f"{path.name} (sha256 {sha256_of_file(path)[:16]})" for path in raw.companions]
    notes = [
        description.note,
        *(f"{name}: {c.note}" for name, c in description.columns.items() if c.note),
        *(f"{name}: {o.note}" for name, o in description.outcomes.items() if o.note),
        f"Also read: {', '.join(beside)}." if beside else "",
        f"Derived here, not in the table: {', '.join(variable.label for variable in derived)}." if derived else "",
    ]
    return {
        "cohort": cohort,
        "title": description.title or cohort,
        "format": description.format,
        "simulated": simulated,
        "source_file": raw.path.name,
        "source_sha256": sha256_of_file(raw.path),
        "note": " ".join(note for note in notes if note),
    }


def _rejected_row(item: Rejection, raw: RawTable, cohort: str) -> dict[str, Any]:
    values = (cohort, raw.path.name, item.row, item.column, item.reason)
    return dict(zip(REJECTED_COLUMNS, values, strict=True))


def _unused(raw: RawTable, description: CohortDescription, recorded: dict[str, tuple[str, Variable]]) -> list[str]:
    used = {description.id_column, SIMULATED, *(column for column, _ in recorded.values())}
    for source in outcome_maps(raw, description).values():
        used |= {source.event, source.time, source.time_if_event or ""}
    rules = (description.keep, description.prefer, description.redacted)
    used |= {rule.column for rule in rules if rule}
    return [name for name in raw.columns if name not in used]
