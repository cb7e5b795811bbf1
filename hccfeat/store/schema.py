"""Tables and views of the catalog, made from the plain SQL of ``sql/schema/`` and ``sql/views/``."""

import hashlib
import re
from collections.abc import Collection, Mapping
from string import Template

import duckdb

from hccfeat.errors import StoreError
from hccfeat.resources import resource_folder
from hccfeat.store.names import check_feature_set_name, image_table, patient_table, safe_name

STORAGE_VERSION = "v1.4.0"
"""On-disk format that DuckDB clients from 1.4 on can open; 2.x would write one that they cannot."""

KEYS: dict[str, tuple[str, ...]] = {
    "cohort": ("cohort",),
    "patient": ("patient_id",),
    "clinical": ("patient_id",),
    "outcome": ("patient_id", "outcome"),
    "image": ("image_id",),
    "volume": ("image_id", "phase"),
    "attrition": ("cohort", "step_number"),
    "split": ("split", "patient_id"),
    "feature_set": ("feature_set",),
    "feature_set_patient": ("feature_set", "patient_id", "role"),
    "extraction_failure": ("feature_set", "image_id"),
    "run": ("run_id",),
    "prediction": ("run_id", "endpoint", "cohort", "split", "model", "patient_id"),
    "model_file": ("model",),
    "frozen": ("name",),
}
"""Columns that identify a row; a second row with the same values is refused."""

RECORD_TABLES = frozenset({*KEYS, "rejected_row", "metric", "subgroup_metric", "hazard_ratio", "removal"})
"""Tables that records may fill; the others follow from shards and records."""

COLUMN_TYPES = ("DOUBLE", "BOOLEAN", "BIGINT", "VARCHAR")
USUAL_VARIABLES = {
    "age": "DOUBLE",
    "sex": "VARCHAR",
    "hbsag": "BOOLEAN",
    "alt": "DOUBLE",
    "afp": "DOUBLE",
    "tumour_size": "DOUBLE",
    "bclc": "VARCHAR",
    "vascular_invasion": "BOOLEAN",
    "mvi_grade": "VARCHAR",
}
"""Clinical columns that view ``patient_clinical`` always has, so that a worked query runs on every study."""

OUTCOMES = ("recurrence", "os", "dss", "dfi", "pfi")
"""Values of ``outcome.outcome`` that view ``patient_outcome`` shows side by side."""

PLACEHOLDER_DIMS = {"pps": 128, "mri": 1024}
"""Feature sets that queries may name before they exist, with the papers' lengths of their vectors."""

_UNDESCRIBED = "clinical variable that data_catalog/variables.toml does not describe"
_NOT_RECORDED = "not in the tables of this study: NULL"
_READS = re.compile(r'\b(?:FROM|JOIN) \(*"?(\w+)"?')
_COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]*")


def schema_digest() -> str:
    """Hash of every schema and view file: another value means that the catalog must be made again."""
    digest = hashlib.sha256()
    for folder in ("schema", "views"):
        for path in sorted((resource_folder("sql") / folder).glob("*.sql")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the empty tables of a new catalog; :func:`refresh_views` makes its views."""
    for path in sorted((resource_folder("sql") / "schema").glob("[0-9]*.sql")):
        connection.execute(path.read_text(encoding="utf-8"))
    connection.execute("INSERT INTO catalog_fact VALUES ('schema', ?)", [schema_digest()])


def create_vector_tables(connection: duckdb.DuckDBPyConnection, feature_set: str, dim: int) -> None:
    """Make the two tables of vectors of a feature set.

    Raises
    ------
    StoreError
        If the name is not usable, or another feature set's tables have that name.
    """
    check_feature_set_name(feature_set)
    if image_table(feature_set) in columns_by_table(connection):
        problem = f"gives table {image_table(feature_set)}, which another feature set has"
        raise StoreError(f"feature set {feature_set}", problem, "Choose a name that differs in more than - and _.")
    text = (resource_folder("sql") / "schema" / "vectors.sql").read_text(encoding="utf-8")
    connection.execute(
        Template(text).substitute(name=safe_name(feature_set), dim=int(dim), feature_set=feature_set)
    )


def add_clinical_columns(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str], descriptions: Mapping[str, str] | None = None
) -> bool:
    """Give table ``clinical`` the columns and descriptions that it lacks; return whether there were any.

    Raises
    ------
    StoreError
        If a name or type is not usable, or the column is there with another type.
    """
    present = table_columns(connection, "clinical")
    comments = column_comments(connection).get("clinical", {})
    changed = False
    for name, kind in columns.items():
        if not _COLUMN_NAME.fullmatch(name) or name in ("patient_id", "cohort") or kind not in COLUMN_TYPES:
            remedy = f"Use lower-case letters, digits and _, and one of {', '.join(COLUMN_TYPES)}."
            raise StoreError(f"clinical column {name!r}", f"cannot be a column of type {kind!r}", remedy)
        if present.get(name, kind) != kind:
            remedy = "Give the variable the same type in every cohort (data_catalog/variables.toml)."
            raise StoreError(f"clinical column {name}", f"is {present[name]} already, not {kind}", remedy)
        if name not in present:
            connection.execute(f'ALTER TABLE clinical ADD COLUMN "{name}" {kind}')
            changed = True
        text = (descriptions or {}).get(name) or comments.get(name) or _UNDESCRIBED
        if text != comments.get(name):
            _comment(connection, "clinical", name, text)
            changed = True
    return changed


def refresh_views(connection: duckdb.DuckDBPyConnection, bases: Collection[str] | None = None) -> None:
    """Make the analyst views anew, for the clinical columns and feature sets that there are now.

    With ``bases`` only those of the vectors of feature sets of these names: a new version changes no others.
    """
    changed = None if bases is None else {safe_name(base) for base in bases}
    folder = resource_folder("sql") / "views"
    tables = columns_by_table(connection)
    for path in sorted(folder.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        if "$base" in text:
            for values in _newest_vectors(connection, tables):
                if changed is None or values["base"] in changed:
                    connection.execute(Template(text).substitute(values))
        elif changed is None:
            connection.execute(Template(text).safe_substitute(columns=_clinical_columns(tables["clinical"])))
    _describe_views(connection)


def column_comments(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str | None]]:
    """Comment of every column of every table and view of the catalog, in column order."""
    found: dict[str, dict[str, str | None]] = {}
    rows = connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    for table, column, comment in rows:
        found.setdefault(table, {})[column] = comment
    return found


def _describe_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Give every column of a view that has no comment the one of that name in what the view reads."""
    comments = column_comments(connection)
    views = connection.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"
    ).fetchall()
    reads = {name: [word for word in _READS.findall(sql) if word in comments] for name, sql in views}

    def inherited(name: str, column: str) -> str | None:
        own = comments[name].get(column)
        return own or next((text for source in reads.get(name, []) if (text := inherited(source, column))), None)

    for name, _ in views:
        for column, comment in comments[name].items():
            if comment is None:
                _comment(connection, name, column, inherited(name, column) or _NOT_RECORDED)


def _comment(connection: duckdb.DuckDBPyConnection, table: str, column: str, text: str) -> None:
    quoted = text.replace("'", "''")
    connection.execute(f'COMMENT ON COLUMN "{table}"."{column}" IS \'{quoted}\'')


def table_columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Column types of one table, in column order."""
    rows = connection.execute("SELECT name, type FROM pragma_table_info(?)", [table]).fetchall()
    return dict(rows)


def columns_by_table(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Column types of every table of the catalog, in column order."""
    found: dict[str, dict[str, str]] = {}
    rows = connection.execute(
        "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c "
        "JOIN duckdb_tables() AS t ON t.table_oid = c.table_oid AND t.database_name = c.database_name "
        "WHERE c.database_name = current_database() ORDER BY c.table_name, c.column_index"
    ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def _clinical_columns(present: Mapping[str, str]) -> str:
    # Treatment also is a column of table patient, and outcomes have a table: those count.
    elsewhere = {"patient_id", "treatment"} | {
        f"{name}_{part}" for name in OUTCOMES for part in ("months", "event")
    }
    own = [f'    c."{name}",' for name in present if name not in elsewhere]
    absent = [f"    NULL::{kind} AS {name}," for name, kind in USUAL_VARIABLES.items() if name not in present]
    return "\n".join(own + absent)


def _newest_vectors(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str]]:
    newest = connection.execute("SELECT base, feature_set FROM newest_feature_set ORDER BY base").fetchall()
    views = []
    for base, feature_set in newest:
        check_feature_set_name(base)
        name = safe_name(base)
        if f"image_{name}" in tables or f"patient_{name}" in tables:
            raise StoreError(
                f"feature set {base}", f"gives view image_{name}, which is a table", "Choose another name."
            )
        views.append(
            {
                "base": name,
                "feature_set": f"'{feature_set}'",
                "image": f'"{image_table(feature_set)}"',
                "patient": f'"{patient_table(feature_set)}"',
            }
        )
    present = {view["base"] for view in views}
    return views + [_no_vectors(base, dim) for base, dim in PLACEHOLDER_DIMS.items() if base not in present]


def _no_vectors(base: str, dim: int) -> dict[str, str]:
    vector = f"NULL::FLOAT[{dim}]"
    common = "NULL::VARCHAR AS patient_id, NULL::VARCHAR AS cohort, NULL::BIGINT AS patches"
    return {
        "base": base,
        "feature_set": "NULL::VARCHAR",
        "image": f"(SELECT NULL::VARCHAR AS image_id, {common}, {vector} AS mean, {vector} AS sd WHERE false)",
        "patient": f"(SELECT {common}, NULL::BIGINT AS images, {vector} AS mean WHERE false)",
    }
