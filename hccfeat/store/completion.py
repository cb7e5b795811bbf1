"""Completion of SQL for a study: keywords, tables, columns and the shell's own commands."""

import re
from pathlib import Path

from hccfeat.store.describe import catalog_contents
from hccfeat.store.statements import named_queries

_WORDS = """
    ALL AND ANTI AS ASC ASOF BETWEEN BY CASE CAST CROSS DESC DESCRIBE DISTINCT ELSE END EXCEPT EXCLUDE EXISTS
    EXPLAIN FILTER FROM FULL GROUP HAVING ILIKE IN INNER INTERSECT IS JOIN LEFT LIKE LIMIT NOT NULL NULLS
    OFFSET ON OR ORDER OUTER OVER PARTITION PIVOT QUALIFY RIGHT SELECT SEMI SHOW SUMMARIZE TABLES THEN
    TRY_CAST UNION UNPIVOT USING VALUES WHEN WHERE WINDOW WITH array_cosine_similarity array_distance
    array_inner_product avg coalesce corr count list max median min quantile_cont round stddev_samp sum unnest
"""
KEYWORDS = tuple(_WORDS.split())
COMMANDS = {
    ".tables": "Tables and views with their descriptions; .tables WORD shows those that contain it",
    ".describe": "Columns of a table with their descriptions: .describe patient_clinical",
    ".queries": "Worked queries; the name of one runs it",
    ".export": "Write the latest result: .export result.csv (also .parquet, .xlsx, .json)",
    ".timing": "Show how long each query takes, or no longer",
    ".help": "This list",
    ".quit": "Leave (also Ctrl-D)",
}
_AFTER_TABLE_WORD = re.compile(r"\b(from|join|describe|summarize)\s+[\w]*$", re.IGNORECASE)
_ALIAS = re.compile(r"\b(?:from|join|,)\s+\"?(\w+)\"?\s+(?:as\s+)?(\w+)", re.IGNORECASE)


class Completer:
    """Knows the words of one study.

    Parameters
    ----------
    study : Path
        Study folder; its catalog is read once.
    """

    def __init__(self, study: Path) -> None:
        tables, columns = catalog_contents(study)
        self.tables: list[str] = sorted(tables["name"].to_list())
        self.columns: dict[str, list[str]] = {name: [] for name in self.tables}
        for name, column in columns.select("name", "column").iter_rows():
            self.columns[name].append(column)
        self.queries = list(named_queries())

    def complete(self, text: str) -> list[str]:
        """Words that the last word of ``text`` may become; ``text`` is everything typed of the statement so far."""
        word = re.search(r"[\w.]*$", text)
        start = word.group() if word else ""
        if text.lstrip().startswith("."):
            return self._command(text.lstrip(), start)
        if "." in start:
            return self._of_table(text, start)
        if _AFTER_TABLE_WORD.search(text):
            return _matching(self.tables, start)
        known = [name for name in self.tables if re.search(rf"\b{name}\b", text[: len(text) - len(start)])]
        columns = sorted({column for name in known or self.tables for column in self.columns[name]})
        if text.strip() == start:
            return _matching([*KEYWORDS, *self.queries], start)
        return _matching([*columns, *self.tables, *KEYWORDS], start)

    def _command(self, text: str, start: str) -> list[str]:
        if " " not in text:
            return _matching(COMMANDS, text)
        return _matching(self.tables, start) if text.startswith((".describe ", ".tables ")) else []

    def _of_table(self, text: str, start: str) -> list[str]:
        name, _, column = start.rpartition(".")
        aliases = {alias.lower(): table.lower() for table, alias in _ALIAS.findall(text)}
        table = aliases.get(name.lower(), name.lower())
        columns = self.columns.get(table) or sorted({name for names in self.columns.values() for name in names})
        return [f"{name}.{found}" for found in _matching(columns, column)]


def _matching(words: "list[str] | dict[str, str]", start: str) -> list[str]:
    if not start:
        return list(words)
    return list(dict.fromkeys(word for word in words if word.lower().startswith(start.lower())))
