"""Typed models of the files in ``data_catalog/``: variables, cohort descriptions and endpoints."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from hccfeat.config import Frozen

TableFormat = Literal["plain", "gdc", "tcga-cdr"]
OutcomeName = Literal["recurrence", "os", "dss", "dfi", "pfi"]
VariableType = Literal["number", "flag", "category", "text"]
Code = bool | float | str

FORMATS: tuple[TableFormat, ...] = ("plain", "gdc", "tcga-cdr")
OUTCOMES: tuple[OutcomeName, ...] = ("recurrence", "os", "dss", "dfi", "pfi")
SQL_TYPES: dict[VariableType, str] = {
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "category": "VARCHAR",
    "text": "VARCHAR",
}
_VARIABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RESERVED = frozenset({"patient_id", "cohort", "simulated"})


class OtherUnit(Frozen):
    """Numbers of a table that can only be meant in another unit than the column's others."""

    above: float = Field(description="a number of the table above this is in the other unit")
    unit: str = Field(description="the other unit, as the list of conversions names it")
    factor: float = Field(gt=0, description="such a number times this is in the dictionary's unit")


class Derivation(Frozen):
    """How a variable follows from others; the code that computes it knows it by the variable's name."""

    inputs: tuple[str, ...] = Field(
        min_length=1, description="variables it is computed from, each in its unit here"
    )
    formula: str = Field(description="in words or symbols")
    source: str = Field(description="where formula and cut points come from")


class Variable(Frozen):
    """One clinical variable: what a value means and which values are believed.

    ``coding`` maps the text of a table (case ignored) to the stored value; ``cut`` is the value above
    which a patient belongs to the upper group in tables of counts.
    """

    label: str
    type: VariableType
    unit: str = ""
    range: tuple[float, float] | None = Field(None, description="lowest and highest believed value")
    allowed: tuple[float, ...] | None = Field(None, description="the only numbers possible, for groups and stages")
    coding: dict[str, Code] = Field(default_factory=dict, description="text in the table = stored value")
    cut: float | None = Field(None, description="upper group: above this value")
    factor: float = Field(1.0, gt=0, description="the table's numbers times this are in the unit")
    other_unit: OtherUnit | None = Field(None, description="numbers that are converted otherwise, and listed")
    indicator: bool = Field(False, description="one of the six clinical indicators of P1")
    derived: Derivation | None = Field(None, description="computed at ingest where a table has its inputs")
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.derived and (self.type != "number" or self.indicator):
            message = "a derived variable is a number and none of the six indicators"
            raise ValueError(message)
        if self.type != "number" and (self.range or self.allowed or self.cut is not None or self.other_unit):
            message = f"range, allowed, cut and other_unit belong to numbers, not to a {self.type}"
            raise ValueError(message)
        if self.range and not self.range[0] < self.range[1]:
            message = "range is [lowest, highest]"
            raise ValueError(message)
        expected = {"number": float, "flag": bool, "category": str, "text": str}[self.type]
        if any(type(value) is not expected for value in self.coding.values()):
            message = f"every coding of a {self.type} gives a {expected.__name__}"
            raise ValueError(message)
        if self.type == "category" and not self.coding:
            message = "a category needs a coding"
            raise ValueError(message)
        return self

    @property
    def sql_type(self) -> str:
        """Type of the column in the catalog: DOUBLE, BOOLEAN or VARCHAR."""
        return SQL_TYPES[self.type]

    @property
    def printed_unit(self) -> str:
        """Unit to print; stages and numbers without a unit have none."""
        return "" if self.unit == "ordinal" else self.unit

    @property
    def meaning(self) -> str:
        """The description, and where the value comes from if it is derived."""
        if self.derived is None:
            return self.description
        of = ", ".join(self.derived.inputs)
        return f"{self.description} Derived from {of}: {self.derived.formula} ({self.derived.source}).".strip()

    @property
    def levels(self) -> tuple[str, ...]:
        """Stored values of a category, in the order of the coding."""
        return tuple(dict.fromkeys(str(value) for value in self.coding.values()))


class VariableFile(Frozen):
    """The file ``variables.toml``."""

    variable: dict[str, Variable]

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in self.variable:
            if not _VARIABLE_NAME.fullmatch(name) or name in _RESERVED:
                message = f"variable {name}: use lower-case letters, digits and _, and none of {sorted(_RESERVED)}"
                raise ValueError(message)
        return self


class ColumnMap(Frozen):
    """Where a cohort's table holds a variable, and what differs from the dictionary there."""

    column: str
    optional: bool = Field(False, description="the table may lack the column")
    unit: str | None = Field(None, description="unit here, if the numbers are not converted")
    factor: float = Field(1.0, gt=0, description="the table's numbers times this are in the dictionary's unit")
    other_unit: OtherUnit | None = Field(None, description="numbers that are converted otherwise, and listed")
    range: tuple[float, float] | None = Field(None, description="lowest and highest believed value here")
    allowed: tuple[float, ...] | None = Field(None, description="the only numbers possible here")
    coding: dict[str, Code] = Field(default_factory=dict, description="own texts; the dictionary's stay known")
    cut: float | None = Field(None, description="upper group: above this value")
    note: str = Field("", description="for readers of the data dictionary and the report")

    def applied_to(self, variable: Variable) -> Variable:
        """Return the variable as this cohort records it.

        A new ``allowed`` or ``range`` replaces both of the dictionary's, because a source that records
        groups says nothing about the measured range.
        """
        changes: dict[str, object] = {
            "coding": {**variable.coding, **self.coding},
            "factor": self.factor,
            "other_unit": self.other_unit,
        }
        if self.allowed is not None or self.range is not None:
            changes |= {"allowed": self.allowed, "range": self.range, "cut": self.cut}
        if self.cut is not None:
            changes["cut"] = self.cut
        if self.unit is not None:
            changes["unit"] = self.unit
        return Variable.model_validate(variable.model_dump() | changes)


class OutcomeMap(Frozen):
    """Where a cohort's table holds an outcome; ``same_as`` copies another outcome of the cohort."""

    event: str = Field("", description="column of the event flag")
    time: str = Field("", description="column of the time")
    time_if_event: str | None = Field(None, description="time column of patients with the event, if it differs")
    coding: dict[str, bool] = Field(default_factory=dict, description="event texts other than 0 and 1")
    same_as: OutcomeName | None = Field(None, description="copy this other outcome instead")
    note: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.same_as) == bool(self.event and self.time):
            message = "give event and time, or same_as"
            raise ValueError(message)
        return self


class RowRule(Frozen):
    """Rows whose ``column`` holds one of ``values``."""

    column: str
    values: tuple[str, ...]


class Companion(Frozen):
    """A second file that lies beside the clinical table and adds columns by the patient id."""

    file: str
    id_column: str


class CohortDescription(Frozen):
    """How to read one cohort's clinical table."""

    title: str = Field("", description="for the report")
    source: str = Field("", description="where the data come from")
    note: str = Field("", description="what a reader of the report must know")
    aliases: tuple[str, ...] = Field((), description="other cohort names that mean this description")
    format: TableFormat = "plain"
    simulated: bool = Field(False, description="the data are not real")
    header: tuple[str, ...] = Field((), description="names of the columns of a table without a header line")
    row_ids: bool = Field(False, description="no column of patient ids: the number of the row is the id")
    id_column: str = Field("patient_id", description="column of patient ids")
    time_unit: Literal["months", "days"] = Field("months", description="unit of survival times in the table")
    minimum_follow_up_months: float | None = Field(
        None, gt=0, description="patients alive and recurrence-free at a last contact before it leave the endpoints"
    )
    missing: tuple[str, ...] = Field((), description="texts that mean missing here, beside the usual ones")
    columns: dict[str, ColumnMap] = Field(default_factory=dict, description="by variable of the dictionary")
    outcomes: dict[OutcomeName, OutcomeMap] = Field(default_factory=dict, description="by name of the outcome")
    predictors: tuple[str, ...] = Field(
        (), description="variables that clinical models of this cohort read; absent: the six indicators"
    )
    keep: RowRule | None = Field(None, description="rows of this cohort; others are another study's")
    prefer: RowRule | None = Field(None, description="with many rows per patient: the ones to believe")
    redacted: RowRule | None = Field(None, description="patients whose outcomes are withdrawn")
    companions: tuple[Companion, ...] = Field((), description="tab-separated files beside the table")

    @model_validator(mode="after")
    def _header_fits(self) -> Self:
        if self.header and (self.format != "plain" or len(set(self.header)) < len(self.header)):
            message = "header belongs to the plain format and names every column once"
            raise ValueError(message)
        return self


class Endpoint(Frozen):
    """An endpoint as data: what is predicted, until when, and who leaves (P1 readings 27, 27b, 30).

    Either an outcome in time, or a clinical ``variable`` whose levels ``positive`` are the event (P2: the grade of
    microvascular invasion); the latter has no time.
    """

    label: str = Field(description="for the report")
    outcome: OutcomeName = Field("recurrence", description="outcome in time")
    death: OutcomeName | None = Field("os", description="outcome that tells who died")
    horizon_months: float | None = Field(None, gt=0, description="absent: status at last follow-up")
    died_before_horizon: Literal["exclude", "negative"] = Field("exclude", description="who died before it")
    variable: str | None = Field(None, description="clinical variable that is predicted instead of an outcome")
    positive: tuple[Code, ...] = Field((), description="stored values of the variable that are the event")
    without: tuple[str, ...] = Field((), description="indicators and items that would give the answer away")
    exclusion: str = Field(description="the rule in words")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.variable) != bool(self.positive):
            message = "variable and positive belong together"
            raise ValueError(message)
        if self.variable and self.horizon_months is not None:
            message = "a variable has no horizon_months"
            raise ValueError(message)
        return self

    @property
    def timed(self) -> bool:
        """Whether the endpoint is an outcome with a follow-up time."""
        return self.variable is None

    @property
    def hidden(self) -> frozenset[str]:
        """Variables that no model of this endpoint may read."""
        return frozenset(self.without) | ({self.variable} if self.variable else set())
