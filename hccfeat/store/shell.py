"""The SQL shell without a terminal: lines in, text out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from hccfeat.errors import QueryError
from hccfeat.store.completion import COMMANDS, Completer
from hccfeat.store.describe import catalog_contents, describe_table
from hccfeat.store.export import as_text, kind_of, rows_of, write_frame
from hccfeat.store.session import Session
from hccfeat.store.statements import named_queries, split_statements


@dataclass
class Shell:
    """One conversation with a study's catalog, in one session. Every statement sees the newest published catalog.

    Attributes
    ----------
    study : Path
        Study folder.
    timeout_s : float, optional
        Seconds after which a query is stopped.
    memory : int, optional
        Bytes that a query may take.
    layout : str
        How results are printed: ``table``, ``csv`` or ``json``.
    rows : int
        Rows of a table that are printed; of longer ones the first and last half.
    timing : bool
        Whether each result is followed by its seconds.
    """

    study: Path
    timeout_s: float | None = None
    memory: int | None = None
    layout: str = "table"
    rows: int = 100
    timing: bool = False
    pending: str = ""
    latest: pl.DataFrame | None = None
    finished: bool = False

    def __post_init__(self) -> None:
        self._session = Session(self.study)

    def feed(self, line: str) -> Iterator[str]:
        """Take one line; give a text for each command or statement that it completes.

        Raises
        ------
        QueryError
            If a command or statement is refused or fails; the shell goes on with the next line.
        """
        text = line.strip()
        if not self.pending.strip():
            if text.startswith("."):
                yield self._command(text)
                return
            if text.rstrip(";").replace("-", "_") in named_queries():
                yield self._answer(text.rstrip(";"))
                return
        self.pending += line.rstrip("\n") + "\n"
        if _is_complete(self.pending):
            yield from self.finish()

    def finish(self) -> Iterator[str]:
        """Run what is pending, as at the end of the input; the last ``;`` may be missing."""
        text, self.pending = self.pending, ""
        for statement in split_statements(text):
            yield self._answer(statement.query)

    def run(self, text: str) -> Iterator[str]:
        """Take a whole text, as from a file; the first statement that fails ends it.

        Raises
        ------
        QueryError
            If a statement is refused or fails, or there is none.
        """
        if not text.strip():
            raise QueryError("hccfeat sql", "got no statement", "Give one, or pipe statements in.")
        for line in text.splitlines():
            yield from self.feed(line)
            if self.finished:
                return
        yield from self.finish()

    def completer(self) -> Completer:
        """The words of the study."""
        return Completer(self.study)

    def _answer(self, statement: str) -> str:
        started = time.perf_counter()
        self.latest = self._session.sql(statement, timeout_s=self.timeout_s, memory=self.memory)
        seconds = time.perf_counter() - started
        text = as_text(self.latest, self.layout, rows=self.rows)
        return f"{text}{seconds:.3f} s\n" if self.timing else text

    def _command(self, line: str) -> str:
        name, _, argument = line.partition(" ")
        argument = argument.strip()
        if name == ".tables":
            tables, _columns = catalog_contents(self.study)
            return as_text(tables.filter(pl.col("name").str.contains(argument.lower(), literal=True)), rows=1000)
        if name == ".describe":
            return self._describe(argument)
        if name == ".queries":
            worked = named_queries()
            return as_text(pl.DataFrame({"name": list(worked), "question": list(worked.values())}))
        if name == ".export":
            return self._export(argument)
        if name == ".timing":
            self.timing = argument.lower() == "on" if argument else not self.timing
            return f"Timing is {'on' if self.timing else 'off'}.\n"
        if name in (".quit", ".exit"):
            self.finished = True
            return ""
        if name == ".help":
            return as_text(pl.DataFrame({"command": list(COMMANDS), "what it does": list(COMMANDS.values())}))
        raise QueryError(f"command {name}", "is unknown", f"Commands: {', '.join(COMMANDS)}.")

    def _describe(self, name: str) -> str:
        if not name:
            raise QueryError(".describe", "needs the name of a table", "See the names with .tables.")
        description, columns = describe_table(self.study, name.rstrip(";"))
        return f"{name.rstrip(';')}: {description}\n{as_text(columns, rows=1000, letters=2000)}"

    def _export(self, name: str) -> str:
        if not name:
            raise QueryError(".export", "needs a file", "Write for example .export result.csv.")
        if self.latest is None:
            raise QueryError(".export", "has no result to write yet", "Run a query first.")
        quoted = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
        path = Path(name[1:-1] if quoted else name).expanduser()
        write_frame(self.latest, kind_of(path), path)
        return f"{rows_of(self.latest)} in {path}\n"


def _is_complete(text: str) -> bool:
    """Whether the text ends with a ``;`` that is neither in a string nor in a comment."""
    tokens = [start for start, kind in duckdb.tokenize(text) if kind.name != "comment"]
    return bool(tokens) and text[tokens[-1] :].startswith(";")
