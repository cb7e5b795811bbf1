"""The data catalog as typed models: clinical variables, endpoints and cohort descriptions (TOML)."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from hccfeat.config import NAME_PATTERN, Frozen, parse_toml
from hccfeat.errors import ConfigError, InputError
from hccfeat.resources import resource_folder

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
    indicator: bool = Field(False, description="one of the six clinical indicators of P1")
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type != "number" and (self.range or self.allowed or self.cut is not None):
            message = f"range, allowed and cut belong to numbers, not to a {self.type}"
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
    def levels(self) -> tuple[str, ...]:
        """Stored values of a category, in the order of the coding."""
        return tuple(dict.fromkeys(str(value) for value in self.coding.values()))


class _Variables(Frozen):
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
        changes: dict[str, object] = {"coding": {**variable.coding, **self.coding}, "factor": self.factor}
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
    id_column: str = Field("patient_id", description="column of patient ids")
    time_unit: Literal["months", "days"] = Field("months", description="unit of survival times in the table")
    minimum_follow_up_months: float | None = Field(
        None, gt=0, description="patients alive and recurrence-free at a last contact before it leave the endpoints"
    )
    missing: tuple[str, ...] = Field((), description="texts that mean missing here, beside the usual ones")
    columns: dict[str, ColumnMap] = Field(default_factory=dict, description="by variable of the dictionary")
    outcomes: dict[OutcomeName, OutcomeMap] = Field(default_factory=dict, description="by name of the outcome")
    keep: RowRule | None = Field(None, description="rows of this cohort; others are another study's")
    prefer: RowRule | None = Field(None, description="with many rows per patient: the ones to believe")
    redacted: RowRule | None = Field(None, description="patients whose outcomes are withdrawn")
    companions: tuple[Companion, ...] = Field((), description="tab-separated files beside the table")


class Endpoint(Frozen):
    """An endpoint as data: what is predicted, until when, and who leaves (PAPERS 1.5 rows 27, 27b, 30)."""

    label: str
    outcome: OutcomeName = "recurrence"
    death: OutcomeName | None = "os"
    horizon_months: float | None = Field(None, gt=0)
    died_before_horizon: Literal["exclude", "negative"] = "exclude"
    exclusion: str


@dataclass(frozen=True)
class Dictionary:
    """All of the data catalog that concerns patients.

    ``own`` names the cohort descriptions that come from the study's folder.
    """

    variables: dict[str, Variable]
    endpoints: dict[str, Endpoint]
    cohorts: dict[str, CohortDescription]
    own: frozenset[str] = frozenset()

    @property
    def indicators(self) -> tuple[str, ...]:
        """Names of the six clinical indicators of P1, in the dictionary's order."""
        return tuple(name for name, variable in self.variables.items() if variable.indicator)

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint by name.

        Raises
        ------
        InputError
            If the data catalog has none of that name.
        """
        if name not in self.endpoints:
            known = ", ".join(self.endpoints)
            raise InputError(f"endpoint {name}", "is not in the data catalog", f"Known endpoints: {known}.")
        return self.endpoints[name]

    def cohort(self, name: str, table_format: TableFormat | None = None) -> CohortDescription:
        """Return the description of a cohort, by its name, an alias, or the format of its table.

        Parameters
        ----------
        name : str
            Cohort name as on the command line.
        table_format : {"plain", "gdc", "tcga-cdr"}, optional
            Format the user asked for. A name without a description, or one whose shipped description is for
            another format, is read as the format's own description says; plain then means that the
            table uses the dictionary's column names.

        Raises
        ------
        ConfigError
            If the study's own description of the cohort is for another format.
        InputError
            If the cohort's name is not a slug.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise InputError(f"cohort {name!r}", "is no cohort name", "Use lower-case letters, digits, - and _.")
        key = name if name in self.cohorts else self._alias(name)
        found = self.cohorts.get(key) if key else None
        if found and table_format in (None, found.format):
            return found
        if found and key in self.own:
            raise ConfigError(
                f"cohort {name}",
                f"is described as {found.format} in the study, but {table_format} was asked for",
                f"Leave out --format, or correct data_catalog/cohorts/{key}.toml.",
            )
        for description in self.cohorts.values():
            if table_format not in (None, "plain") and description.format == table_format:
                return description
        return CohortDescription(title=name)

    def _alias(self, name: str) -> str | None:
        return next((key for key, description in self.cohorts.items() if name in description.aliases), None)

    def recorded(self, description: CohortDescription) -> dict[str, tuple[str, Variable]]:
        """Return (column, variable as recorded) by variable name for a cohort's table.

        A description without columns means a table with the dictionary's own column names.

        Raises
        ------
        ConfigError
            If the description maps a variable that the dictionary lacks.
        """
        if not description.columns:
            return {name: (name, variable) for name, variable in self.variables.items()}
        unknown = sorted(set(description.columns) - set(self.variables))
        if unknown:
            raise ConfigError(
                f"cohort description {description.title!r}",
                f"maps unknown variables: {', '.join(unknown)}",
                "Add them to data_catalog/variables.toml, or correct the names.",
            )
        return {
            name: (column.column, column.applied_to(self.variables[name]))
            for name, column in description.columns.items()
        }


def load_dictionary(study: Path | None = None) -> Dictionary:
    """Read the data catalog: the shipped one, overlaid by the study's own ``data_catalog/``.

    A variable, endpoint or cohort of the study replaces the shipped one of the same name.

    Parameters
    ----------
    study : Path, optional
        Study folder.

    Raises
    ------
    ConfigError
        If a file is malformed; the file and the key are named.
    """
    shipped = resource_folder("data_catalog")
    folders = [shipped] if study is None else [shipped, study / "data_catalog"]
    variables: dict[str, Variable] = {}
    endpoints: dict[str, Endpoint] = {}
    cohorts: dict[str, CohortDescription] = {}
    own: set[str] = set()
    for folder in folders:
        if (folder / "variables.toml").is_file():
            variables |= parse_toml(folder / "variables.toml", _Variables).variable
        for path in sorted((folder / "endpoints").glob("*.toml")):
            endpoints[path.stem] = parse_toml(path, Endpoint)
        for path in sorted((folder / "cohorts").glob("*.toml")):
            cohorts[path.stem] = parse_toml(path, CohortDescription)
            if folder is not shipped:
                own.add(path.stem)
    return Dictionary(variables, endpoints, cohorts, frozenset(own))
