"""Checking that nothing is lost or changed: shards against the catalog, records, and the catalog against both."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hccfeat.errors import StoreError
from hccfeat.progress import progress_bar
from hccfeat.store.build import build_catalog
from hccfeat.store.catalog import query, table_differences
from hccfeat.store.findings import Finding
from hccfeat.store.names import catalog_path, shard_files
from hccfeat.store.records import Record, read_record, record_files
from hccfeat.store.shards import ShardInfo, check_shard

__all__ = ["Finding", "verify"]

_REBUILD = "Run `hccfeat rebuild-catalog`."


def verify(study: Path) -> list[Finding]:
    """Rehash every record and shard and compare them with the published catalog.

    Parameters
    ----------
    study : Path
        Study folder. While another process writes to it, its newest shards and records are reported as not in
        the catalog yet.

    Returns
    -------
    list of Finding
        Empty if the study is sound: every committed shard is in place with the committed content under its own
        name, every shard and record on disk is in the catalog, and a catalog made anew has equal tables.

    Raises
    ------
    StoreError
        If there is no catalog, or it cannot be opened.
    """
    study = study.resolve()
    findings: list[Finding] = []
    records = _check_records(study, findings)
    shards = _check_shards(study, findings)
    if not findings:
        _check_catalog(study, records, shards, findings)
    return findings


def _check_records(study: Path, findings: list[Finding]) -> list[Record]:
    in_catalog = dict(query(study, "SELECT path, digest FROM record").iter_rows())
    records: list[Record] = []
    for _, path in record_files(study):
        relative = path.relative_to(study).as_posix()
        committed = in_catalog.pop(relative, None)
        try:
            record = read_record(path)
        except StoreError as error:
            findings.append(Finding(relative, error.problem, error.remedy))
            continue
        records.append(record)
        if committed is None:
            findings.append(Finding(relative, "is not in the catalog", "Run any writing command; it adopts it."))
        elif committed != record.digest:
            findings.append(
                Finding(relative, "is not the record that was committed", "Restore the file from a backup.")
            )
    gone, remedy = "is in the catalog but not on disk", "Restore the file from a backup."
    findings += [Finding(relative, gone, remedy) for relative in sorted(in_catalog)]
    return records


def _check_shards(study: Path, findings: list[Finding]) -> list[ShardInfo]:
    rows = query(study, "SELECT path, digest, bytes, mtime_ns FROM shard ORDER BY path").to_dicts()
    committed = {row["path"]: row for row in rows}
    identities = dict(query(study, "SELECT feature_set, sha256 FROM feature_set").iter_rows())
    folders = sorted(path.name for path in (study / "features").glob("*") if path.is_dir())
    on_disk = {
        path.relative_to(study).as_posix(): path for folder in folders for path in shard_files(study, folder)
    }
    intact: list[ShardInfo] = []
    with progress_bar("Checking shards", len(on_disk)) as advance:
        for relative, path in on_disk.items():
            row = committed.pop(relative, None)
            try:
                info = check_shard(path)
            except StoreError as error:
                findings.append(Finding(relative, error.problem, error.remedy))
            else:
                problem = _mismatch(info, row, identities)
                if problem:
                    findings.append(Finding(relative, *problem))
                elif row is not None:
                    info = replace(
                        info, mtime_ns=row["mtime_ns"]
                    )  # another time alone (a copied study) is no damage
                intact.append(info)
            advance()
    gone, remedy = "is in the catalog but not on disk", "Run `hccfeat extract` again."
    findings += [Finding(relative, gone, remedy) for relative in committed]
    return intact


def _mismatch(info: ShardInfo, row: dict[str, Any] | None, identities: dict[str, str]) -> tuple[str, str] | None:
    if info.feature_set not in identities:
        return f"belongs to feature set {info.feature_set}, which is not registered", "Delete its folder."
    if info.feature_set_sha256 != identities[info.feature_set]:
        remedy = "Delete it and run `hccfeat extract` again."
        return f"was made by another encoder or recipe than {info.feature_set}", remedy
    if row is None:
        return "is not in the catalog", "Run `hccfeat extract` again; it adopts the shard."
    if row["digest"] != info.digest:
        return "is intact but not the shard that was committed", _REBUILD
    return None


def _check_catalog(study: Path, records: list[Record], shards: list[ShardInfo], findings: list[Finding]) -> None:
    with tempfile.TemporaryDirectory(prefix="hccfeat-verify-") as folder:
        fresh = Path(folder) / "catalog.duckdb"
        build_catalog(study, fresh, records, shards)
        differences = table_differences(catalog_path(study), fresh)
    problem = "differs from what records and shards say"
    findings += [Finding(f"catalog table {difference}", problem, _REBUILD) for difference in differences]
