"""The paper's groups of clinical variables, as data: cut points and names of ``data_catalog/codings/``."""

from pathlib import Path
from typing import Self

import polars as pl
from pydantic import model_validator

from hccfeat.config import Frozen, parse_toml
from hccfeat.errors import AnalysisError
from hccfeat.resources import resource_folder


class Coding(Frozen):
    """A clinical variable in two groups (P1 reading 34b); exactly one rule says who is in group ``yes``."""

    variable: str
    label: str
    yes: str
    no: str
    above: float | None = None
    at_least: float | None = None
    equals: bool | str | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if sum(rule is not None for rule in (self.above, self.at_least, self.equals)) != 1:
            message = f"{self.variable}: give one of above, at_least and equals"
            raise ValueError(message)
        return self

    def coded(self, clinical: pl.DataFrame) -> pl.Series:
        """Give who is in group ``yes``: Boolean, null where the variable is missing or not recorded at all.

        Raises
        ------
        AnalysisError
            If the stored values are not of the kind that the rule compares.
        """
        name = self.variable
        if name not in clinical.columns:
            return pl.repeat(None, clinical.height, dtype=pl.Boolean, eager=True).alias(name)
        column = pl.col(name)
        rule = column == self.equals if self.equals is not None else column >= (self.at_least or 0.0)
        if self.above is not None:
            rule = column > self.above
        try:
            return clinical.select(rule.cast(pl.Boolean).alias(name))[name]
        except pl.exceptions.PolarsError as error:
            raise AnalysisError(
                f"clinical variable {name}",
                f"is {clinical.schema[name]} and cannot be put into the groups {self.yes} and {self.no}",
                "Correct data_catalog/codings/recurrence.toml.",
            ) from error


class CodingFile(Frozen):
    """The file ``codings/recurrence.toml``: the codings of Table 1, and of Tables 4 and S2."""

    table1: tuple[Coding, ...]
    table4: tuple[Coding, ...]


def load_codings(study: Path | None = None, paper: str = "recurrence") -> CodingFile:
    """Read a paper's codings, the study's own file before the shipped one.

    Raises
    ------
    ConfigError
        If the file is malformed.
    """
    folders = [] if study is None else [study / "data_catalog" / "codings"]
    folders.append(resource_folder("data_catalog") / "codings")
    path = next(folder / f"{paper}.toml" for folder in folders if (folder / f"{paper}.toml").is_file())
    return parse_toml(path, CodingFile)
