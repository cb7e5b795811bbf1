"""What the catalog holds, in words: its tables and columns with their descriptions."""

import difflib
from pathlib import Path

import polars as pl

from hccfeat.errors import QueryError
from hccfeat.store.catalog import open_catalog
from hccfeat.store.names import safe_name
from hccfeat.store.schema import PLACEHOLDER_DIMS

_TABLES = """
    SELECT table_name AS name, 'table' AS kind, estimated_size AS rows, comment AS description
    FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal
    UNION ALL
    SELECT view_name, 'view', NULL, comment
    FROM duckdb_views() WHERE database_name = current_database() AND NOT internal
    ORDER BY name
"""
_COLUMNS = """
    SELECT table_name AS name, column_name AS "column", data_type AS type, comment AS description
    FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal
    ORDER BY table_name, column_index
"""
_PATCH_COLUMNS = {
    "image_id": ("VARCHAR", "a row of table image"),
    "patient_id": ("VARCHAR", "NULL if the image is no longer in table image"),
    "cohort": ("VARCHAR", "cohort of the image"),
    "x": ("BIGINT", "left edge of the patch, pixels of level 0"),
    "y": ("BIGINT", "top edge of the patch, pixels of level 0"),
    "vector": ("FLOAT[{dim}]", "the patch's vector"),
}


def catalog_contents(study: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables and views of a study, and their columns; the tables of patches, which read shards, are among them.

    Parameters
    ----------
    study : Path
        Study folder.

    Returns
    -------
    tables : polars.DataFrame
        ``name``, ``kind``, ``rows`` (NULL where only a query tells), ``description``.
    columns : polars.DataFrame
        ``name`` of the table, ``column``, ``type``, ``description``.

    Raises
    ------
    StoreError
        If there is no catalog.
    """
    connection = open_catalog(study)
    try:
        tables, columns = connection.sql(_TABLES).pl(), connection.sql(_COLUMNS).pl()
        sets = connection.execute("SELECT feature_set, feature_set, dim FROM feature_set ORDER BY ALL").fetchall()
        newest = connection.execute("SELECT base, feature_set, dim FROM newest_feature_set ORDER BY ALL").fetchall()
    finally:
        connection.close()
    made = {base for base, _, _ in newest}
    none = [(base, "no feature set yet", dim) for base, dim in PLACEHOLDER_DIMS.items() if base not in made]
    patches = [(f"patch_{safe_name(name)}", feature_set, dim) for name, feature_set, dim in [*newest, *none, *sets]]
    more = {
        "name": [name for name, _, _ in patches],
        "kind": ["shards"] * len(patches),
        "rows": [None] * len(patches),
        "description": [f"Patch-level vectors of {feature_set}, read as needed" for _, feature_set, _ in patches],
    }
    rows = [
        (name, column, kind.format(dim=dim), text)
        for name, _, dim in patches
        for column, (kind, text) in _PATCH_COLUMNS.items()
    ]
    return (
        pl.concat([tables, pl.DataFrame(more, schema=tables.schema)]),
        pl.concat([columns, pl.DataFrame(rows, schema=columns.schema, orient="row")]),
    )


def describe_table(study: Path, name: str) -> tuple[str, pl.DataFrame]:
    """Description of one table or view, and its columns with type and description.

    Raises
    ------
    QueryError
        If there is none of that name.
    """
    tables, columns = catalog_contents(study)
    wanted = name.lower()
    found = tables.filter(pl.col("name") == wanted)
    if found.is_empty():
        near = difflib.get_close_matches(wanted, tables["name"].to_list(), n=3)
        remedy = f"Did you mean {', '.join(near)}?" if near else "See the tables with .tables or SHOW TABLES."
        raise QueryError(f"table {name}", "does not exist", remedy)
    return str(found["description"][0]), columns.filter(pl.col("name") == wanted).drop("name")
