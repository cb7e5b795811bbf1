"""The catalog and its vectors as a folder of Parquet files, partitioned by folders the way Hive does.

For a catalog that outgrows one machine: Spark, Trino, DuckDB and Polars read the folder as it is.
``docs/parquet-catalog.md`` documents the layout; ``_schema.json`` in the folder documents every column.
"""

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from hccfeat.errors import InputError
from hccfeat.files import flush_to_disk
from hccfeat.store.catalog import open_catalog, query
from hccfeat.store.names import image_table, patient_table
from hccfeat.store.scan import scan_patches

SCHEMA_FILE = "_schema.json"
"""Readers of such folders pass over names that begin with an underscore."""

COMPRESSION: Any = "zstd"
ROWS_PER_FILE = 1_000_000
"""Of patch vectors of length 128: half a gigabyte before compression."""

ROWS_PER_GROUP = 65_536
BOOKKEEPING = ("record", "catalog_fact")
BY_SET = ("shard", "extraction_failure", "feature_set_patient", "image_vector", "patient_vector")
"""Tables in folders by feature set and cohort."""

BY_COHORT = ("patient", "clinical", "outcome", "image", "volume", "split", "rejected_row", "attrition")
"""Tables in folders by cohort; all others are one file each."""


@dataclass
class ParquetExport:
    """What was written: the folder, and the number of rows by table."""

    folder: Path
    tables: dict[str, int] = field(default_factory=dict)


def export_parquet(
    study: Path,
    folder: Path,
    *,
    feature_sets: Sequence[str] = (),
    cohorts: Sequence[str] = (),
    patches: bool = False,
) -> ParquetExport:
    """Write tables and vectors as ``<table>/feature_set=<name>/cohort=<name>/part-00000.parquet``.

    Parameters
    ----------
    study : Path
        Study folder; its published catalog is read.
    folder : Path
        New or empty folder; it appears complete or not at all.
    feature_sets, cohorts : sequence of str
        Only the partitions of these (``pps-1``: with version); all by default.
    patches : bool
        Also ``patch_vector``, the vectors of every patch, which are as large as the shards.

    Returns
    -------
    ParquetExport
        Rows by table.

    Raises
    ------
    InputError
        If the folder is in use, or there is no such feature set or cohort.
    StoreError
        If there is no catalog, or a shard cannot be read.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(str(folder), "exists and is not an empty folder", "Give a new folder.")
    chosen = {
        "feature_set": _chosen(study, "feature_set", feature_sets),
        "cohort": _chosen(study, "cohort", cohorts),
    }
    done = ParquetExport(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        with closing(open_catalog(study)) as connection:
            columns = _columns(connection)
            for table, select in _selects(columns, chosen["feature_set"]).items():
                done.tables[table] = _write_table(connection, table, select, chosen, temporary / table)
        if patches:
            done.tables["patch_vector"] = _write_patches(study, chosen, temporary / "patch_vector")
        described = _described(columns, chosen["feature_set"], patches)
        (temporary / SCHEMA_FILE).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", "utf-8")
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    flush_to_disk(folder.parent)
    return done


def _chosen(study: Path, name: str, wanted: Sequence[str]) -> list[str]:
    known = query(study, f"SELECT {name} FROM {name} ORDER BY {name}")[name].to_list()
    for one in wanted:
        if one not in known:
            there = ", ".join(known) or "none yet"
            raise InputError(f"{name.replace('_', ' ')} {one}", "is not in the study", f"There is {there}.")
    return [one for one in known if not wanted or one in wanted]


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, tuple[str, str]]]:
    """Type and description of every column of every table."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal AND table_oid IN "
        "(SELECT table_oid FROM duckdb_tables() WHERE database_name = current_database()) "
        "ORDER BY table_name, column_index"
    ).fetchall()
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for table, column, kind, comment in rows:
        found.setdefault(table, {})[column] = (kind, comment)
    return found


def _selects(columns: dict[str, dict[str, tuple[str, str]]], feature_sets: list[str]) -> dict[str, str]:
    """One SELECT by exported table; the vector tables of all feature sets become one."""
    selects = {
        table: f'SELECT {_cohort(table, named)}* {_portable(named)} FROM "{table}"'
        for table, named in columns.items()
        if table not in BOOKKEEPING and not table.startswith(("image_vector_", "patient_vector_"))
    }
    for kind, table_of in (("image_vector", image_table), ("patient_vector", patient_table)):
        parts = [
            f"SELECT '{name}' AS feature_set, * {_portable(columns[table_of(name)])} FROM \"{table_of(name)}\""
            for name in feature_sets
        ]
        if parts:
            selects[kind] = " UNION ALL BY NAME ".join(parts)
    return selects


def _cohort(table: str, named: dict[str, tuple[str, str]]) -> str:
    """Column ``cohort`` of a table that is partitioned by it and only has ids, which begin with it."""
    if table not in BY_SET + BY_COHORT or "cohort" in named:
        return ""
    key = "patient_id" if "patient_id" in named else "image_id"
    return f"split_part({key}, '/', 1) AS cohort, "


def _portable(named: dict[str, tuple[str, str]]) -> str:
    """Types that every reader knows: vectors of any length as lists, JSON as text."""
    changed = [
        f'"{name}"::{_exported(kind)} AS "{name}"' for name, (kind, _) in named.items() if kind != _exported(kind)
    ]
    return f"REPLACE ({', '.join(changed)})" if changed else ""


def _exported(kind: str) -> str:
    return "FLOAT[]" if kind.startswith("FLOAT[") else "VARCHAR" if kind == "JSON" else kind


def _write_table(
    connection: duckdb.DuckDBPyConnection, table: str, select: str, chosen: dict[str, list[str]], folder: Path
) -> int:
    """Write one table, one file by partition, rows in a fixed order."""
    by = ["feature_set", "cohort"] if table in BY_SET else ["cohort"] if table in BY_COHORT else []
    listed = ", ".join(by)
    keep = " AND ".join(f"{name} IN (SELECT unnest(?::VARCHAR[]))" for name in by)
    partitions: list[tuple[str, ...]] = [()]
    if by:
        partitions = connection.execute(
            f"SELECT DISTINCT {listed} FROM ({select}) WHERE {keep} ORDER BY {listed}",
            [chosen[name] for name in by],
        ).fetchall()
    rows = 0
    for values in partitions:
        where = f"WHERE {' AND '.join(f'{name} = ?' for name in by)}" if by else ""
        left = f"* EXCLUDE ({listed})" if by else "*"
        found: pa.Table = connection.sql(
            f"SELECT {left} FROM ({select}) {where} ORDER BY ALL", params=list(values)
        ).to_arrow_table()
        place = folder.joinpath(*(f"{name}={value}" for name, value in zip(by, values, strict=True)))
        place.mkdir(parents=True)
        pq.write_table(found, place / "part-00000.parquet", compression=COMPRESSION, row_group_size=ROWS_PER_GROUP)
        rows += found.num_rows
    return rows


def _write_patches(study: Path, chosen: dict[str, list[str]], folder: Path) -> int:
    """Write the patches of images in order of image; memory does not grow with their number."""
    rows = 0
    for feature_set in chosen["feature_set"]:
        for cohort in chosen["cohort"]:
            found = query(
                study,
                "SELECT image_id, patches FROM shard WHERE feature_set = ? AND starts_with(image_id, ?) "
                "AND patches > 0 ORDER BY image_id",
                [feature_set, f"{cohort}/"],
            )
            place = folder / f"feature_set={feature_set}" / f"cohort={cohort}"
            for number, ids in enumerate(_files(found)):
                place.mkdir(parents=True, exist_ok=True)
                scan = scan_patches(study, feature_set, ids)
                scan = scan.select("image_id", "x", "y", pl.col("vector").arr.to_list())
                scan.sink_parquet(
                    place / f"part-{number:05d}.parquet", compression=COMPRESSION, row_group_size=ROWS_PER_GROUP
                )
            rows += int(found["patches"].sum())
    return rows


def _files(found: pl.DataFrame) -> Iterator[list[str]]:
    """Images of each file: whole images, and about ``ROWS_PER_FILE`` patches."""
    number = (found["patches"].cum_sum() - found["patches"]) // ROWS_PER_FILE
    for group in found.with_columns(number.alias("file")).partition_by("file", maintain_order=True):
        yield group["image_id"].to_list()


_ADDED = {
    "feature_set": ("VARCHAR", "name with version, such as pps-1; the folder's name"),
    "cohort": ("VARCHAR", "the folder's name"),
}
_PATCH_VECTOR = {
    "image_id": ("VARCHAR", "<cohort>/<file stem>"),
    "x": ("BIGINT", "left edge of the patch, pixels of level 0"),
    "y": ("BIGINT", "top edge of the patch, pixels of level 0"),
    "vector": ("FLOAT[]", "one value per dimension"),
}


def _described(
    columns: dict[str, dict[str, tuple[str, str]]], feature_sets: list[str], patches: bool
) -> dict[str, Any]:
    """Every exported table with its partitions, columns, types and descriptions."""
    tables = {table: columns[table] for table in _selects(columns, [])}
    if feature_sets:
        tables["image_vector"] = columns[image_table(feature_sets[0])]
        tables["patient_vector"] = columns[patient_table(feature_sets[0])]
    if patches:
        tables["patch_vector"] = _PATCH_VECTOR
    described = {}
    for table, named in sorted(tables.items()):
        by_set = table in (*BY_SET, "patch_vector")
        by = ["feature_set", "cohort"] if by_set else ["cohort"] if table in BY_COHORT else []
        full = {**{name: _ADDED[name] for name in by}, **named}
        described[table] = {
            "partitioned_by": by,
            "columns": {
                name: {"type": _exported(kind), "description": text} for name, (kind, text) in full.items()
            },
        }
    return {"format": "hccfeat-parquet", "format_version": 1, "tables": described}
