"""What may be removed from a study, and removing it on request; decision 18 says why so."""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hccfeat.errors import StoreError
from hccfeat.store.catalog import Ask, asking
from hccfeat.store.committer import Committer
from hccfeat.store.names import quarantine_folder

KINDS = {
    "leftovers": "half-written files of killed processes",
    "caches": "prepared patches and volumes, and checkpoints of trainings: made again when needed",
    "quarantine": "damaged shards and old catalogs that were set aside",
    "results": "reports of runs that a newer run of the same question replaces",
    "features": "shards of feature sets that a newer version replaces",
}
"""What ``gc`` can remove."""

_REPORTS = frozenset(("analyze", "predict", "reproduce"))
"""Commands whose runs use the features that they name; the others made them."""

_STALE_SECONDS = 600.0
_CACHES = {
    "patches": "prepared patches",
    "volumes": "prepared volumes",
    "training": "checkpoints: a training that was stopped begins anew",
}


@dataclass(frozen=True)
class Removable:
    """One thing that may go: its kind, name, reason, number of files, their bytes, and the paths to remove."""

    kind: str
    name: str
    reason: str
    files: int
    bytes: int
    paths: tuple[Path, ...]


def removable(study: Path, kinds: Iterable[str] = tuple(KINDS)) -> list[Removable]:
    """List what ``gc`` of these kinds removes, and remove nothing.

    Raises
    ------
    StoreError
        If a kind is unknown.
    """
    study = study.resolve()
    with asking(study) as ask:
        return _list(study, _checked(kinds), ask)


def remove(study: Path, kinds: Iterable[str]) -> list[Removable]:
    """Remove what :func:`removable` lists; return it.

    Of results and features a record says what was removed, and readers get a catalog without it first. The records,
    the numbers of the runs and the weights of the encoders stay.

    Raises
    ------
    StudyBusyError
        If another process writes to the study.
    StoreError
        If a kind is unknown.
    """
    study = study.resolve()
    chosen = _checked(kinds)
    with Committer(study) as committer:
        found = _list(study, chosen, committer.query)
        for item in found:
            if item.kind in ("results", "features"):
                _record(committer, item)
        committer.publish()
        try:
            _take_away(study, [path for item in found for path in item.paths])
        except BaseException:
            for item in found:
                if item.kind == "features":
                    committer.adopt_found(item.name)  # as the next writer does after a kill
            raise
    return found


def _take_away(study: Path, paths: Sequence[Path]) -> None:
    """Remove files and folders; a folder is gone at once, and after a kill the rest of it is a leftover."""
    trash = study / ".hccfeat" / "trash"
    for number, path in enumerate(paths):
        if path.is_dir():
            trash.mkdir(exist_ok=True)
            path.rename(trash / f"{time.time_ns()}-{number}")
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(trash, ignore_errors=True)


def _checked(kinds: Iterable[str]) -> list[str]:
    chosen = list(dict.fromkeys(kinds))
    for kind in chosen:
        if kind not in KINDS:
            raise StoreError(f"gc {kind}", "is nothing that can be removed", f"Use one of {', '.join(KINDS)}.")
    return chosen


def _list(study: Path, kinds: Sequence[str], ask: Ask) -> list[Removable]:
    found: list[Removable] = []
    if "leftovers" in kinds:
        found += _leftovers(study)
    if "caches" in kinds:
        found += [
            _item("caches", path.relative_to(study).as_posix(), reason, [path])
            for name, reason in _CACHES.items()
            for path in _folders(study / ".hccfeat" / name)
        ]
    if "quarantine" in kinds:
        found += [
            _item("quarantine", path.name, "set aside; the JSON files of shards say why", [path])
            for path in sorted(quarantine_folder(study).glob("*"))
        ]
    runs = _runs(ask)
    if "results" in kinds:
        found += [
            _item("results", run["run_id"], f"replaced by {run['newest']}", [study / "results" / run["run_id"]])
            for run in runs
            if run["newest"] and (study / "results" / run["run_id"]).is_dir()
        ]
    if "features" in kinds:
        kept = [run for run in runs if run["command"] in _REPORTS and not run["newest"]]
        in_use = {name for run in kept for name in run["feature_sets"]}
        validated = {base for run in kept if run["cross_validate"] for base in run["bases"]}
        found += [
            _item("features", name, f"{newer} has all its images", [study / "features" / name])
            for name, newer, base, fold in _superseded(ask)
            if name not in in_use and (fold is None or base not in validated)
            if (study / "features" / name).is_dir()
        ]
    return [item for item in found if item.files]


def _leftovers(study: Path) -> list[Removable]:
    old = time.time() - _STALE_SECONDS
    paths = [path for path in study.rglob(".*.tmp*") if path.is_file() and path.stat().st_mtime < old]
    paths += _folders(study / ".hccfeat" / "trash")
    return [_item("leftovers", "half-written files", "a process was killed", paths)] if paths else []


def _runs(ask: Ask) -> list[dict[str, Any]]:
    """Every run with what it used (``feature_sets``, their ``bases``, ``cross_validate``) and ``newest``.

    That is the run that replaces it, or an empty text.
    A run is replaced by a newer one of the same command and settings, versions of feature sets apart. One that
    used a frozen feature set is never replaced.
    """
    frozen = set(ask("SELECT feature_set FROM frozen")["feature_set"])
    rows = ask("SELECT run_id, command, settings FROM run ORDER BY started, run_id").to_dicts()
    newest: dict[str, str] = {}
    for row in rows:
        settings = json.loads(row["settings"] or "{}")
        used = [settings.pop("feature_set", None), *settings.pop("compared_with", [])]
        row["feature_sets"] = [name for name in used if name]
        row["bases"] = [name.rpartition("-")[0] for name in row["feature_sets"]]
        row["cross_validate"] = bool(settings.get("cross_validate"))
        row["question"] = json.dumps([row["command"], row["bases"], settings], sort_keys=True)
        newest[row["question"]] = row["run_id"]
    for row in rows:
        last = newest[row["question"]]
        row["newest"] = "" if last == row["run_id"] or frozen & set(row["feature_sets"]) else last
    return rows


def _superseded(ask: Ask) -> list[tuple[str, str, str, int | None]]:
    """Feature sets that are not frozen with the newest version of the same name, which has all their images.

    Base and fold come third and fourth.
    """
    return ask(
        "WITH newest AS (SELECT base, fold, max(version) AS version FROM feature_set GROUP BY base, fold) "
        "SELECT f.feature_set, g.feature_set AS newer, f.base, f.fold FROM feature_set AS f "
        "JOIN newest AS n ON n.base = f.base AND n.fold IS NOT DISTINCT FROM f.fold AND n.version > f.version "
        "JOIN feature_set AS g ON g.base = n.base AND g.fold IS NOT DISTINCT FROM n.fold AND g.version = n.version "
        "WHERE NOT EXISTS (SELECT 1 FROM frozen AS z WHERE z.feature_set = f.feature_set) "
        "AND NOT EXISTS (SELECT 1 FROM shard AS s WHERE s.feature_set = f.feature_set AND NOT EXISTS "
        "(SELECT 1 FROM shard AS t WHERE t.feature_set = g.feature_set AND t.image_id = s.image_id)) "
        "ORDER BY f.feature_set"
    ).rows()


def _record(committer: Committer, item: Removable) -> None:
    row = {
        "kind": item.kind,
        "name": item.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": item.files,
        "bytes": item.bytes,
    }
    replaces = {"extraction_failure": {"feature_set": item.name}} if item.kind == "features" else None
    committer.record("runs", f"gc-{item.name}", {"removal": [row]}, replaces=replaces)


def _folders(parent: Path) -> list[Path]:
    # A link leads out of the study: whoever made it decides.
    return sorted(path for path in parent.glob("*") if path.is_dir() and not path.is_symlink())


def _item(kind: str, name: str, reason: str, paths: Sequence[Path]) -> Removable:
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return Removable(kind, name, reason, len(files), size, tuple(paths))
