"""Applying records and shards to an open catalog; every function runs inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from hccfeat.errors import StoreError
from hccfeat.store.names import image_table, patient_table
from hccfeat.store.records import Record
from hccfeat.store.schema import (
    KEYS,
    RECORD_TABLES,
    add_clinical_columns,
    create_vector_tables,
    refresh_views,
    table_columns,
)
from hccfeat.store.shards import ShardInfo
from hccfeat.store.vectors import realign_vectors, write_image_vectors

SKIPPED_COLUMNS = {
    1: "skipped_background",
    2: "skipped_read_error",
    3: "skipped_blank",
    4: "skipped_blurred",
    5: "skipped_not_sampled",
}
"""Column of table ``shard`` that counts each status of a skipped patch."""

_FROM_ATTRIBUTES = (
    "status", "reason", "stain_h_r", "stain_h_g", "stain_h_b", "stain_e_r", "stain_e_g", "stain_e_b",
    "stain_accepted", "tissue_fraction", "mean_red", "mean_green", "mean_blue",
)  # fmt: skip
_THESE_IMAGES = "WHERE feature_set = ? AND image_id IN (SELECT unnest(?::VARCHAR[]))"
_ARROW_TYPES = {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


def apply_record(connection: duckdb.DuckDBPyConnection, record: Record, study: Path, *, views: bool = True) -> None:
    """Apply a record: remove what it replaces, insert its rows, bring generated tables and views along.

    ``views=False`` leaves :func:`hccfeat.store.schema.refresh_views` to a caller that applies many records.

    Raises
    ------
    StoreError
        If it names an unknown table or column, a value does not fit its column, or a key comes twice.
    """
    touched = set(record.tables) | set(record.replaces)
    unknown = touched - RECORD_TABLES
    if unknown:
        raise StoreError(f"record {record.name}", f"fills unknown table {sorted(unknown)[0]}", "Update hccfeat.")
    if "feature_set" in record.replaces:
        raise StoreError(f"record {record.name}", "replaces a feature set", "Register a new version instead.")
    added = add_clinical_columns(
        connection, record.about.get("clinical_columns", {}), record.about.get("clinical_descriptions")
    )
    for table, values in record.replaces.items():
        _delete_rows(connection, table, values)
    for table, rows in record.tables.items():
        if table == "extraction_failure":
            _forget_failures(connection, rows)
        insert_rows(connection, table, rows)
        _check_key(connection, table)
    registered = record.tables.get("feature_set", [])
    for row in registered:
        create_vector_tables(connection, row["feature_set"], row["dim"])
    if views and (added or registered):
        refresh_views(connection, None if added else {row["base"] for row in registered})
    if "image" in touched:
        realign_vectors(connection)
    if "extraction_failure" in touched:
        _clear_failures(connection)
    for row in record.tables.get("removal", []):
        if row["kind"] == "features":
            _forget_shards(connection, row["name"])
    connection.execute(
        "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)",
        [
            record.sequence,
            record.kind,
            record.name,
            record.created,
            record.path.relative_to(study).as_posix(),
            record.digest,
        ],
    )


def apply_shards(connection: duckdb.DuckDBPyConnection, infos: Sequence[ShardInfo]) -> None:
    """Commit shards of known feature sets: their rows, image vectors, and the patients' means.

    A shard that is there already is replaced. Of the shards present, only ids are looked through (some ten
    nanoseconds each).

    Raises
    ------
    StoreError
        If a feature set is unknown, or vectors have another dimension than it.
    """
    by_set: dict[str, dict[str, ShardInfo]] = {}
    for info in infos:
        by_set.setdefault(info.feature_set, {})[info.image_id] = info
    for feature_set, shards in by_set.items():
        _check_identity(connection, feature_set, shards)
        ids = sorted(shards)
        these = [feature_set, ids]
        known = connection.execute(f"SELECT image_id FROM shard {_THESE_IMAGES}", these).fetchall()
        if known:
            connection.execute(f"DELETE FROM shard {_THESE_IMAGES}", these)
        connection.execute(f"DELETE FROM extraction_failure {_THESE_IMAGES}", these)
        insert_rows(connection, "shard", [_shard_row(shards[image_id]) for image_id in ids])
        replaced = [row[0] for row in known]
        write_image_vectors(connection, feature_set, [shards[image_id] for image_id in ids], replaced)


def insert_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows by column name; columns that no row names become NULL.

    Raises
    ------
    StoreError
        If a column is unknown, or a value does not fit its type.
    """
    if not rows:
        return
    columns = table_columns(connection, table)
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays = {}
    for name in names:
        if name not in columns:
            remedy = f"The columns are {', '.join(columns)}."
            raise StoreError(f"{table}.{name}", "is no column of the catalog", remedy)
        values = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(values, type=_ARROW_TYPES.get(columns[name], pa.string()))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise StoreError(
                f"{table}.{name}", f"holds a value that is no {columns[name]} ({error})", "Correct it."
            ) from error
    connection.register("incoming", pa.table(arrays))
    listed = ", ".join(f'"{name}"' for name in names)
    try:
        connection.execute(f'INSERT INTO "{table}" ({listed}) SELECT {listed} FROM incoming')
    except (duckdb.ConstraintException, duckdb.ConversionException) as error:
        raise StoreError(f"table {table}", f"refuses a row ({error})", "Correct the value.") from error
    connection.unregister("incoming")


def _delete_rows(connection: duckdb.DuckDBPyConnection, table: str, values: Mapping[str, str]) -> None:
    columns = table_columns(connection, table)
    conditions, parameters = [], []
    for column, value in values.items():
        if column in columns:
            conditions.append(f'"{column}" = ?')
            parameters.append(value)
        elif column == "cohort" and "patient_id" in columns:
            conditions.append("starts_with(patient_id, ?)")
            parameters.append(f"{value}/")
        else:
            raise StoreError(f"{table}.{column}", "is no column of the catalog", "Replace by another column.")
    if not conditions:
        raise StoreError(f"table {table}", "would be emptied", "Name the column and value to replace.")
    connection.execute(f'DELETE FROM "{table}" WHERE {" AND ".join(conditions)}', parameters)


def _check_key(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    if table not in KEYS:
        return
    key = ", ".join(KEYS[table])
    row = connection.execute(f'SELECT {key} FROM "{table}" GROUP BY ALL HAVING count(*) > 1 LIMIT 1').fetchone()
    if row is not None:
        values = ", ".join(f"{column} {value}" for column, value in zip(KEYS[table], row, strict=True))
        raise StoreError(f"table {table}", f"already has a row for {values}", "Replace it, or use another name.")


def _check_identity(
    connection: duckdb.DuckDBPyConnection, feature_set: str, shards: Mapping[str, ShardInfo]
) -> None:
    row = connection.execute("SELECT dim, sha256 FROM feature_set WHERE feature_set = ?", [feature_set]).fetchone()
    if row is None:
        raise StoreError(f"feature set {feature_set}", "is not registered", "Register it with a record first.")
    for image_id, info in shards.items():
        if info.feature_set_sha256 != row[1]:
            problem = f"was made by another encoder or recipe than {feature_set}"
            raise StoreError(f"shard of {image_id}", problem, "Delete it and run `hccfeat extract` again.")
        if info.mean.shape != (row[0],):
            problem = f"has vectors of length {len(info.mean)}, {feature_set} has {row[0]}"
            raise StoreError(f"shard of {image_id}", problem, "Delete it and run `hccfeat extract` again.")


def _shard_row(info: ShardInfo) -> dict[str, Any]:
    found = {name: info.attributes.get(name) for name in _FROM_ATTRIBUTES}
    if found["stain_accepted"] is not None:
        found["stain_accepted"] = bool(found["stain_accepted"])
    for name, value in found.items():
        if isinstance(value, float) and not np.isfinite(value):
            found[name] = None
        elif isinstance(value, int) and not isinstance(value, bool):
            found[name] = float(value)
    return {
        "feature_set": info.feature_set,
        "image_id": info.image_id,
        "path": info.path,
        "bytes": info.bytes,
        "mtime_ns": info.mtime_ns,
        "digest": info.digest,
        "patches": info.patches,
        "skipped": info.skipped,
        **{column: info.skipped_by_status.get(code, 0) for code, column in SKIPPED_COLUMNS.items()},
        **found,
    }


def _forget_failures(connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    # The latest reason counts.
    for row in rows:
        connection.execute(
            "DELETE FROM extraction_failure WHERE feature_set = ? AND image_id = ?",
            [row["feature_set"], row["image_id"]],
        )


def _forget_shards(connection: duckdb.DuckDBPyConnection, feature_set: str) -> None:
    # What was removed on request; a rebuild has nothing here, for it adopts shards after all records.
    connection.execute("DELETE FROM shard WHERE feature_set = ?", [feature_set])
    for table in (image_table(feature_set), patient_table(feature_set)):
        connection.execute(f'DELETE FROM "{table}"')


def _clear_failures(connection: duckdb.DuckDBPyConnection) -> None:
    # An image with a shard has not failed, whichever came first: a rebuild applies records before shards.
    connection.execute(
        "DELETE FROM extraction_failure AS e WHERE EXISTS "
        "(SELECT 1 FROM shard AS s WHERE s.feature_set = e.feature_set AND s.image_id = e.image_id)"
    )
