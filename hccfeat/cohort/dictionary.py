"""The data catalog: the shipped files, overlaid by the study's own."""

from dataclasses import dataclass
from pathlib import Path

from hccfeat.cohort.descriptions import CohortDescription, Endpoint, TableFormat, Variable, VariableFile
from hccfeat.config import NAME_PATTERN, parse_toml
from hccfeat.errors import ConfigError, InputError
from hccfeat.resources import resource_folder

__all__ = ["CohortDescription", "Dictionary", "Endpoint", "TableFormat", "Variable", "load_dictionary"]


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
        ConfigError
            If it names a variable or level that the dictionary lacks.
        """
        if name not in self.endpoints:
            known = ", ".join(self.endpoints)
            raise InputError(f"endpoint {name}", "is not in the data catalog", f"Known endpoints: {known}.")
        found = self.endpoints[name]
        self._check_variable(name, found)
        return found

    def _check_variable(self, name: str, endpoint: Endpoint) -> None:
        unknown = sorted(endpoint.hidden - set(self.variables))
        if unknown:
            problem = f"names variables that the dictionary lacks: {', '.join(unknown)}"
        elif endpoint.variable and self.variables[endpoint.variable].type == "category":
            levels = self.variables[endpoint.variable].levels
            wrong = [str(value) for value in endpoint.positive if value not in levels]
            problem = f"calls {', '.join(wrong)} positive, no level of {endpoint.variable}" if wrong else ""
        else:
            problem = ""
        if problem:
            raise ConfigError(f"endpoint {name}", problem, f"Correct data_catalog/endpoints/{name}.toml.")

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

    def predictors(self, description: CohortDescription) -> tuple[str, ...]:
        """Names of the variables that clinical models of a cohort read: its own, or the six indicators.

        Raises
        ------
        ConfigError
            If it names a variable that the dictionary lacks, or a text.
        """
        names = description.predictors or self.indicators
        unfit = [name for name in names if name not in self.variables or self.variables[name].type == "text"]
        if unfit:
            raise ConfigError(
                f"cohort description {description.title!r}",
                f"has predictors that are texts or unknown to the dictionary: {', '.join(unfit)}",
                "Correct predictors, or add the variables to data_catalog/variables.toml.",
            )
        return names

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
            variables |= parse_toml(folder / "variables.toml", VariableFile).variable
        for path in sorted((folder / "endpoints").glob("*.toml")):
            endpoints[path.stem] = parse_toml(path, Endpoint)
        for path in sorted((folder / "cohorts").glob("*.toml")):
            cohorts[path.stem] = parse_toml(path, CohortDescription)
            if folder is not shipped:
                own.add(path.stem)
    return Dictionary(variables, endpoints, cohorts, frozenset(own))
