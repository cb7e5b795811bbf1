"""Which statements an analyst's session takes, the worked queries, and DuckDB's errors in our words."""

import re

import duckdb
import polars as pl

from hccfeat.errors import QueryError
from hccfeat.resources import resource_folder

READS_ONLY = (
    "The session is read-only: use SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN."
)
_TO_FILE = "Write results with --format and --out, or `.export FILE` in the shell."
_SETTINGS = "Settings and databases are fixed; the command line has --timeout and --memory."
_OTHER_DATA = "Join other files outside: `hccfeat sql --out FILE`, or open catalog.duckdb in a DuckDB of your own."
_REMEDIES = {
    "COPY": _TO_FILE, "EXPORT": _TO_FILE, "COPY_DATABASE": _TO_FILE,
    "ATTACH": _OTHER_DATA, "DETACH": _OTHER_DATA, "LOAD": _OTHER_DATA, "UPDATE_EXTENSIONS": _OTHER_DATA,
    "SET": _SETTINGS, "VARIABLE_SET": _SETTINGS, "PRAGMA": f"{READS_ONLY} {_SETTINGS}",
}  # fmt: skip
_SHARD_ERROR = re.compile(r"StoreError: (?P<path>.+?\.h5): (?P<problem>.+)\. (?P<remedy>[A-Z].+\.)", re.DOTALL)
"""A scan's own error, as DuckDB's text ends with it."""

_SECRETS = re.compile(r"\bwhich_secret\b|\bduckdb_secrets\b|unredacted secrets")

_WORKED_QUERY = re.compile(r"[a-z0-9_-]+")

_ADVICE: list[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = [
    (duckdb.ParserException, "Check the spelling near that word."),
    (duckdb.CatalogException, "See the tables with SHOW TABLES."),
    (duckdb.BinderException, "See the columns of a table with DESCRIBE <table>."),
    (duckdb.ConversionException, "Cast with TRY_CAST, which gives NULL where it cannot."),
    (
        (duckdb.OutOfMemoryException, MemoryError),
        "Select fewer columns or rows, leave vectors out where you can, or allow more with --memory.",
    ),
    (duckdb.TransactionException, READS_ONLY),
    (duckdb.NotImplementedException, READS_ONLY),
    (
        (pl.exceptions.PolarsError, pl.exceptions.PanicException),
        "Cast the column to a number, text, date or list of these.",
    ),
]


def reading_statement(sql: str) -> str:
    """Text of the one statement that ``sql`` holds or, as the name of a worked query, stands for.

    Raises
    ------
    QueryError
        If it is none, several, or does anything but read.
    """
    text = named_query(sql) if _WORKED_QUERY.fullmatch(sql.strip()) else sql
    statements = split_statements(text)
    if len(statements) != 1:
        problem = "is empty" if not statements else f"holds {len(statements)} statements"
        raise QueryError("query", problem, "Give exactly one statement.")
    kind = _kind(statements[0])
    if kind == "EXPLAIN":
        inner = _explained(text)
        kind = _kind(split_statements(inner)[0]) if inner else kind
    if kind not in ("SELECT", "MULTI") or (kind == "MULTI" and not re.search(r"\bpivot", text, re.IGNORECASE)):
        remedy = _REMEDIES.get(kind, READS_ONLY)
        raise QueryError("query", f"is a statement of type {kind}, which is not allowed", remedy)
    return text


def split_statements(sql: str) -> "list[duckdb.Statement]":
    """Statements of a text, without the empty ones.

    Raises
    ------
    QueryError
        If the text is no SQL.
    """
    try:
        return list(duckdb.extract_statements(sql))
    except duckdb.Error as error:
        raise friendly(error) from error


def named_query(name: str) -> str:
    """Text of a worked query of ``sql/queries/``.

    Raises
    ------
    QueryError
        If there is none of that name.
    """
    known = named_queries()
    key = name.strip().replace("-", "_")
    if key not in known:
        raise QueryError(f"worked query {name!r}", "does not exist", f"Worked queries: {', '.join(known)}.")
    return (resource_folder("sql") / "queries" / f"{key}.sql").read_text(encoding="utf-8")


def named_queries() -> dict[str, str]:
    """Names of the worked queries, each with the question it answers (its first comment line)."""
    found = {}
    for path in sorted((resource_folder("sql") / "queries").glob("*.sql")):
        found[path.stem] = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("--").strip()
    return found


def _kind(statement: "duckdb.Statement") -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # a type that DuckDB's Python package has no name for, such as UPDATE EXTENSIONS
        return "UNKNOWN"


def _explained(sql: str) -> str:
    """What an EXPLAIN explains. DuckDB's own tokens decide, so that comments, nested ones too, hide nothing."""
    tokens = [(start, kind.name) for start, kind in duckdb.tokenize(sql) if kind.name != "comment"]
    words = [
        sql[start:end].strip() for (start, _), (end, _) in zip(tokens, [*tokens[1:], (len(sql), "")], strict=True)
    ]
    first = [re.split(r"[^A-Za-z_]", word, maxsplit=1)[0].lower() or word[:1] for word in words]
    at = 1
    if first[at : at + 1] == ["analyze"]:
        at += 1
    if first[at : at + 1] == ["("] and words[at + 1 : at + 2] and first[at + 1] in ("analyze", "format"):
        while at < len(words) and not words[at].startswith(")"):
            at += 1
        at += 1
    return sql[tokens[at][0] :] if at < len(tokens) else ""


def friendly(error: BaseException) -> QueryError:
    """Say in one line what DuckDB or Polars refused, and what to do."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    problem = re.sub(r"^[A-Za-z ]+ Error: ", "", lines[0]) if lines else type(error).__name__
    near = next((line for line in lines[1:] if line.lower().startswith(("did you mean", "candidate"))), "")
    if near:
        problem = f"{problem.rstrip('.!')} ({near.rstrip('.')})"
    if shard := _SHARD_ERROR.search(text):
        return QueryError(f"shard {shard['path']}", shard["problem"], shard["remedy"])
    if isinstance(error, duckdb.PermissionException) or _SECRETS.search(problem):
        problem = "reaches outside the catalog: files, network and extensions are closed to it"
        return QueryError("query", problem, _OTHER_DATA)
    if "configuration has been locked" in text:
        return QueryError("query", "changes a setting, which is not allowed", _SETTINGS)
    if "extension" in text and isinstance(error, duckdb.CatalogException):
        return QueryError("query", problem.rstrip(".!"), f"Extensions are closed to it. {_OTHER_DATA}")
    if isinstance(error, pl.exceptions.PanicException):
        problem = "gives values that no result can hold"
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        problem = "needs more memory than it may have"
    if "interrupted" in text.lower():
        return QueryError("query", "was interrupted", "Run it again, or narrow it.")
    if any(words in text for words in ("read-only mode", "single SELECT statement", "FORCE CHECKPOINT")):
        return QueryError("query", "does more than read, which is not allowed", READS_ONLY)
    if "Function with name" in text and isinstance(error, duckdb.CatalogException):
        remedy = "See what there is with SELECT DISTINCT function_name FROM duckdb_functions()."
        return QueryError("query", problem.rstrip(".!"), remedy)
    if re.search(r"Table with name \S*[/.]", text) and isinstance(error, duckdb.CatalogException):
        return QueryError("query", f"{problem}; files are closed to it", _OTHER_DATA)
    remedy = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "Correct the statement.")
    return QueryError("query", problem.rstrip(".!"), remedy)
