"""Checking that nothing is lost or changed: records, shards, weights, and the catalog against all of them."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from hccfeat.errors import StoreError
from hccfeat.files import sha256_of_file
from hccfeat.progress import progress_bar
from hccfeat.store.build import build_catalog, damage
from hccfeat.store.catalog import Ask, asking, table_differences
from hccfeat.store.checking import TIME_LIMIT, inspect_shards
from hccfeat.store.findings import Finding
from hccfeat.store.freeze import frozen_states
from hccfeat.store.inspection import Inspection, oddities
from hccfeat.store.names import catalog_path, shard_files
from hccfeat.store.quarantine import without_shard
from hccfeat.store.records import Record, read_record, record_files
from hccfeat.store.schema import schema_digest
from hccfeat.store.shards import ShardInfo

__all__ = ["CATALOG", "Examination", "Finding", "examine", "verify"]

CATALOG = "catalog.duckdb"
_REBUILD = "Run `hccfeat rebuild-catalog`."
_RESTORE = (
    "Restore the file from a backup; while it lacks, keep catalog.duckdb: it still shows what the record said."
)


@dataclass
class Examination:
    """What was found in a study.

    ``findings`` are everything that is wrong, ``warnings`` what is odd; ``records`` and ``shards`` are intact. Of
    the findings, ``broken`` are those of damaged and missing records, ``missing`` those of shards that are not on
    disk, ``weights`` those of weights that were changed, and ``damaged`` holds the error of each shard
    that cannot stay as it is, by its path in the study.
    ``identities`` are hash and dimension of the registered feature sets.
    """

    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    shards: list[ShardInfo] = field(default_factory=list)
    damaged: dict[str, StoreError] = field(default_factory=dict)
    broken: list[Finding] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    weights: list[Finding] = field(default_factory=list)
    identities: dict[str, tuple[str, int]] = field(default_factory=dict)


def verify(
    study: Path,
    *,
    warnings: list[Finding] | None = None,
    isolated: bool = True,
    time_limit: float = TIME_LIMIT,
) -> list[Finding]:
    """Rehash every record, shard and weights file and compare them with the published catalog.

    Parameters
    ----------
    study : Path
        Study folder. While another process writes to it, its newest shards and records are reported as not in
        the catalog yet.
    warnings : list of Finding, optional
        Oddities are appended here: zero and repeated vectors, unusual norms, images with the same vectors, weights
        that are not there, images whose shard was set aside and not made again, and a catalog of another version.
    isolated : bool
        Whether another process reads the shards, so that a file that crashes HDF5 does no harm.
    time_limit : float
        Seconds that one shard may take there.

    Returns
    -------
    list of Finding
        Empty if the study is sound: every committed shard is in place with the committed content under its own
        name, every shard and record on disk is in the catalog, a catalog made anew has equal tables, and the
        weights of every model are those that were recorded.

    Raises
    ------
    StoreError
        If there is no catalog, or it cannot be opened.
    """
    found = examine(study, isolated=isolated, time_limit=time_limit)
    if warnings is not None:
        warnings += found.warnings
    return found.findings


def examine(study: Path, *, isolated: bool = True, time_limit: float = TIME_LIMIT) -> Examination:
    """Do what :func:`verify` does, and keep what was read."""
    study = study.resolve()
    found = Examination()
    with asking(study) as ask:
        _check_records(study, ask, found)
        inspected = _check_shards(study, ask, found, isolated=isolated, time_limit=time_limit)
        found.warnings += oddities(inspected)
        schema = ask("SELECT value FROM catalog_fact WHERE fact = 'schema'")["value"].to_list()
        current = schema == [schema_digest()]
        if current:
            _check_freezes(ask, found)
        if lacking := without_shard(study, ask):
            found.warnings.append(lacking)
        # Another time alone (a copied study) is no damage.
        times = dict(ask("SELECT path, mtime_ns FROM shard").iter_rows())
        models = ask("SELECT path, sha256 FROM model_file WHERE sha256 IS NOT NULL ORDER BY path").rows()
    if not found.findings:
        shards = [replace(info, mtime_ns=times[info.path]) for info in found.shards]
        _check_catalog(study, found, shards, current=current)
    _check_weights(study, models, found)
    if not current:
        problem = "was made by another version of hccfeat"
        remedy = "Any writing command makes it anew; or run `hccfeat rebuild-catalog`."
        found.warnings.append(Finding(CATALOG, problem, remedy, "warning"))
    return found


def _check_records(study: Path, ask: Ask, found: Examination) -> None:
    in_catalog = dict(ask("SELECT path, digest FROM record").iter_rows())
    for _, path in record_files(study):
        relative = path.relative_to(study).as_posix()
        committed = in_catalog.pop(relative, None)
        try:
            record = read_record(path)
        except StoreError as error:
            found.broken.append(Finding(relative, error.problem, error.remedy))
            continue
        found.records.append(record)
        if committed is None:
            found.findings.append(
                Finding(relative, "is not in the catalog", "Run any writing command; it adopts it.")
            )
        elif committed != record.digest:
            found.broken.append(Finding(relative, "is not the record that was committed", _RESTORE))
    gone = "is in the catalog but not on disk"
    found.broken += [Finding(relative, gone, _RESTORE) for relative in sorted(in_catalog)]
    found.findings += found.broken


def _check_shards(
    study: Path, ask: Ask, found: Examination, *, isolated: bool, time_limit: float
) -> list[Inspection]:
    rows = ask("SELECT path, digest, bytes, mtime_ns FROM shard ORDER BY path").to_dicts()
    committed = {row["path"]: row for row in rows}
    known = ask("SELECT feature_set, sha256, dim FROM feature_set").iter_rows()
    found.identities = {name: (sha256, dim) for name, sha256, dim in known}
    # A record that is not in the catalog yet registers as well: its shards are good.
    for own in (own for record in found.records for own in record.tables.get("feature_set", ())):
        found.identities.setdefault(own["feature_set"], (own["sha256"], own["dim"]))
    folders = sorted(path.name for path in (study / "features").glob("*") if path.is_dir())
    on_disk = [path for folder in folders for path in shard_files(study, folder)]
    inspected: list[Inspection] = []
    with progress_bar("Checking shards", len(on_disk)) as advance:
        for path, result in inspect_shards(on_disk, time_limit=time_limit, isolated=isolated):
            relative = path.relative_to(study).as_posix()
            row = committed.pop(relative, None)
            advance()
            error = result if isinstance(result, StoreError) else foreign(result.info, found.identities)
            if error is not None:
                found.damaged[relative] = error
                found.findings.append(Finding(relative, error.problem, error.remedy))
                continue
            assert isinstance(result, Inspection)
            inspected.append(result)
            found.shards.append(result.info)
            problem = _mismatch(result.info, row)
            if problem:
                found.findings.append(Finding(relative, *problem))
    gone, remedy = "is in the catalog but not on disk", "Run `hccfeat extract` again."
    found.missing = [Finding(relative, gone, remedy) for relative in committed]
    found.findings += found.missing
    return inspected


def foreign(info: ShardInfo, identities: Mapping[str, tuple[str, int]]) -> StoreError | None:
    """Why an intact shard cannot belong to its feature set as that is registered, or None."""
    if info.feature_set not in identities:
        problem = f"belongs to feature set {info.feature_set}, which is not registered"
        return StoreError(info.path, problem, "Restore the record of the feature set, or move its folder away.")
    sha256, dim = identities[info.feature_set]
    if info.feature_set_sha256 != sha256:
        problem = f"was made by another encoder or recipe than {info.feature_set}"
    elif info.mean.shape != (dim,):
        problem = f"has vectors of length {len(info.mean)}, {info.feature_set} has {dim}"
    else:
        return None
    return StoreError(info.path, problem, "Run `hccfeat verify --repair` and then `hccfeat extract`.")


def _mismatch(info: ShardInfo, row: Mapping[str, Any] | None) -> tuple[str, str] | None:
    if row is None:
        return "is not in the catalog", "Run `hccfeat extract` again; it adopts the shard."
    if row["digest"] != info.digest:
        return "is intact but not the shard that was committed", _REBUILD
    return None


def _check_catalog(study: Path, found: Examination, shards: list[ShardInfo], *, current: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="hccfeat-verify-") as folder:
        fresh = Path(folder) / "catalog.duckdb"
        build_catalog(study, fresh, found.records, shards, views=False)
        try:
            differences = table_differences(catalog_path(study), fresh)
        except duckdb.Error as error:
            if not damage(error):
                raise
            found.findings.append(Finding(CATALOG, f"is damaged ({damage(error)})", _REBUILD))
            return
    if not current:
        own = [text for text in differences if text.startswith("catalog_fact:") or text.endswith("columns differ")]
        differences = [text for text in differences if text not in own]
    problem = "differs from what records and shards say"
    found.findings += [Finding(f"catalog table {difference}", problem, _REBUILD) for difference in differences]


def _check_weights(study: Path, models: list[tuple[str, str]], found: Examination) -> None:
    """Weights that were changed are damage; a study may be passed on without them."""
    for relative, sha256 in models:
        again = "`hccfeat analyze` again" if "prognostic" in relative else "`hccfeat extract --train` for new ones"
        remedy = f"Restore the file from a backup, or run {again}."
        try:
            if sha256_of_file(study / relative) != sha256:
                found.weights.append(Finding(relative, "is not the file that was recorded", remedy))
        except FileNotFoundError:
            found.warnings.append(Finding(relative, "is in the catalog but not on disk", remedy, "warning"))
        except OSError as error:
            found.weights.append(Finding(relative, f"cannot be read ({error.strerror or error})", remedy))
    found.findings += found.weights


def _check_freezes(ask: Ask, found: Examination) -> None:
    remedy = "Compare with `hccfeat diff`; a report that cites the freeze shows the earlier state."
    for row in frozen_states(ask):
        if row["state"] != "unchanged":
            problem = f"{row['state']} since it was frozen"
            found.warnings.append(Finding(f"freeze {row['name']}", problem, remedy, "warning"))
