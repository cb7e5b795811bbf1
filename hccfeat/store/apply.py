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
    columns_by_table,
    create_vector_tables,
    refresh_views,
)
from hccfeat.store.shards import ShardInfo

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
_ARROW_TYPES = {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


def apply_record(connection: duckdb.DuckDBPyConnection, record: Record, study: Path) -> None:
    """Apply a record: remove what it replaces, insert its rows, bring generated tables and views along.

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
    tables = columns_by_table(connection)
    for table, values in record.replaces.items():
        _delete_rows(connection, table, values, tables[table])
    for table, rows in record.tables.items():
        if table == "extraction_failure":
            _forget_failures(connection, rows)
        insert_rows(connection, table, rows, tables[table])
        _check_key(connection, table)
    for row in record.tables.get("feature_set", []):
        create_vector_tables(connection, row["feature_set"], row["dim"])
    if added or "feature_set" in record.tables:
        refresh_views(connection)
    if "image" in touched:
        _realign_vectors(connection)
    if "extraction_failure" in touched:
        _clear_failures(connection)
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

    A shard that is there already is replaced. The cost depends on the shards given, not on those present.

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
        for table in ("shard", "extraction_failure"):
            connection.execute(
                f"DELETE FROM {table} WHERE feature_set = ? AND image_id IN (SELECT unnest(?::VARCHAR[]))",
                [feature_set, ids],
            )
        columns = columns_by_table(connection)
        insert_rows(connection, "shard", [_shard_row(shards[image_id]) for image_id in ids], columns["shard"])
        _write_image_vectors(connection, feature_set, [shards[image_id] for image_id in ids])


def insert_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
) -> None:
    """Insert rows by column name; columns that no row names become NULL.

    Raises
    ------
    StoreError
        If a column is unknown, or a value does not fit its type.
    """
    if not rows:
        return
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
            raise StoreError(f"{table}.{name}", f"holds a value that is no {columns[name]} ({error})", "Correct it.") from error
    connection.register("incoming", pa.table(arrays))
    listed = ", ".join(f'"{name}"' for name in names)
    try:
        connection.execute(f'INSERT INTO "{table}" ({listed}) SELECT {listed} FROM incoming')
    except (duckdb.ConstraintException, duckdb.ConversionException) as error:
        raise StoreError(f"table {table}", f"refuses a row ({error})", "Correct the value.") from error
    finally:
        connection.unregister("incoming")


def _delete_rows(
    connection: duckdb.DuckDBPyConnection, table: str, values: Mapping[str, str], columns: Mapping[str, str]
) -> None:
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


def _check_identity(connection: duckdb.DuckDBPyConnection, feature_set: str, shards: Mapping[str, ShardInfo]) -> None:
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


def _write_image_vectors(
    connection: duckdb.DuckDBPyConnection, feature_set: str, shards: Sequence[ShardInfo]
) -> None:
    table = image_table(feature_set)
    ids = [info.image_id for info in shards]
    affected = _patients(connection, table, ids)
    connection.execute(f'DELETE FROM "{table}" WHERE image_id IN (SELECT unnest(?::VARCHAR[]))', [ids])
    shards = [info for info in shards if info.patches]
    if shards:
        incoming = pa.table(
            {
                "image_id": [info.image_id for info in shards],
                "patches": [info.patches for info in shards],
                "mean": _fixed_size(np.stack([info.mean for info in shards])),
                "sd": _fixed_size(np.stack([info.sd for info in shards])),
            }
        )
        connection.register("incoming", incoming)
        connection.execute(
            f'INSERT INTO "{table}" SELECT n.image_id, i.patient_id, split_part(n.image_id, \'/\', 1), n.patches, '
            "n.mean, n.sd FROM incoming AS n LEFT JOIN image AS i ON i.image_id = n.image_id"
        )
        connection.unregister("incoming")
    _refresh_patients(connection, feature_set, affected | _patients(connection, table, ids))


def _patients(connection: duckdb.DuckDBPyConnection, table: str, image_ids: Sequence[str]) -> set[str]:
    rows = connection.execute(
        f'SELECT DISTINCT patient_id FROM "{table}" WHERE patient_id IS NOT NULL '
        "AND image_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(image_ids)],
    ).fetchall()
    return {row[0] for row in rows}


def _refresh_patients(connection: duckdb.DuckDBPyConnection, feature_set: str, patients: set[str]) -> None:
    """Recompute the means of some patients: float64 over image means in order of id, so that the order of
    commits leaves no trace.
    """
    if not patients:
        return
    table, ids = patient_table(feature_set), sorted(patients)
    connection.execute(f'DELETE FROM "{table}" WHERE patient_id IN (SELECT unnest(?::VARCHAR[]))', [ids])
    images = connection.sql(
        f'SELECT patient_id, cohort, patches, mean FROM "{image_table(feature_set)}" '
        "WHERE patient_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY patient_id, image_id",
        params=[ids],
    ).to_arrow_table()
    if images.num_rows == 0:
        return
    names = np.asarray(images["patient_id"].to_pylist())
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    counts = np.diff(np.r_[starts, len(names)])
    vectors = images["mean"].combine_chunks().flatten().to_numpy().reshape(len(names), -1).astype(np.float64)
    means = np.add.reduceat(vectors, starts, axis=0) / counts[:, None]
    incoming = pa.table(
        {
            "patient_id": [str(name) for name in names[starts]],
            "cohort": images["cohort"].take(starts),
            "images": counts.astype(np.int64),
            "patches": np.add.reduceat(images["patches"].to_numpy(), starts),
            "mean": _fixed_size(means.astype(np.float32)),
        }
    )
    connection.register("incoming", incoming)
    connection.execute(f'INSERT INTO "{table}" SELECT patient_id, cohort, images, patches, mean FROM incoming')
    connection.unregister("incoming")


def _realign_vectors(connection: duckdb.DuckDBPyConnection) -> None:
    """Give image vectors the patient that table ``image`` names now, and follow with the patients' means."""
    for (feature_set,) in connection.execute("SELECT feature_set FROM feature_set").fetchall():
        table = image_table(feature_set)
        moved = connection.execute(
            f'SELECT v.image_id, v.patient_id, i.patient_id FROM "{table}" AS v '
            "LEFT JOIN image AS i ON i.image_id = v.image_id WHERE v.patient_id IS DISTINCT FROM i.patient_id"
        ).fetchall()
        if not moved:
            continue
        connection.execute(
            f'UPDATE "{table}" SET patient_id = (SELECT i.patient_id FROM image AS i WHERE i.image_id = "{table}".image_id) '
            "WHERE image_id IN (SELECT unnest(?::VARCHAR[]))",
            [[row[0] for row in moved]],
        )
        affected = {patient for row in moved for patient in row[1:] if patient is not None}
        _refresh_patients(connection, feature_set, affected)


def _forget_failures(connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    # The latest reason counts.
    for row in rows:
        connection.execute(
            "DELETE FROM extraction_failure WHERE feature_set = ? AND image_id = ?",
            [row["feature_set"], row["image_id"]],
        )


def _clear_failures(connection: duckdb.DuckDBPyConnection) -> None:
    # An image with a shard has not failed, whichever came first: a rebuild applies records before shards.
    connection.execute(
        "DELETE FROM extraction_failure AS e WHERE EXISTS "
        "(SELECT 1 FROM shard AS s WHERE s.feature_set = e.feature_set AND s.image_id = e.image_id)"
    )


def _fixed_size(vectors: np.ndarray) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])
