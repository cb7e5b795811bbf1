"""Putting right what verify found, without ever removing the only copy of something good."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hccfeat.errors import MisplacedShardError, StoreError, UnreachableShardError
from hccfeat.files import flush_to_disk, write_text_atomically
from hccfeat.store.build import keep_catalog, publish, remake_catalog, remove_leftovers
from hccfeat.store.checking import TIME_LIMIT, inspect_shards
from hccfeat.store.findings import Finding
from hccfeat.store.inspection import Inspection
from hccfeat.store.lock import WriterLock
from hccfeat.store.names import SHARD_SUFFIX, catalog_path, quarantine_folder, shard_path
from hccfeat.store.quarantine import reasons
from hccfeat.store.verify import CATALOG, Examination, examine, foreign

_EXTRACT = "Run `hccfeat extract` (imported features: `hccfeat import`); it makes what is missing again."


@dataclass
class Repairs:
    """What :func:`repair` did (the remedy says how), what it leaves to people, and what is odd."""

    done: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Aside:
    """A shard that lay at ``relative`` and is at ``place`` now; ``home`` is where it belongs, or None."""

    relative: str
    place: Path
    home: str | None
    problem: str


def repair(study: Path, *, isolated: bool = True, time_limit: float = TIME_LIMIT) -> Repairs:
    """Verify a study and put right what can be.

    Damaged shards move to the folder ``quarantine`` with the reason, swapped and renamed ones to their own places,
    intact ones that the catalog lacks are adopted, and the catalog is made anew where it differs. Nothing is
    removed. While a record is damaged or missing, or a shard cannot be opened, the catalog stays as it is: only it
    still shows the rows. Such a shard stays at its place too.

    Parameters
    ----------
    study : Path
        Study folder.
    isolated, time_limit
        As in :func:`hccfeat.store.verify.verify`.

    Raises
    ------
    StudyBusyError
        If another process writes to the study.
    StoreError
        If there is no catalog and a record is damaged, or records do not fit together.
    """
    study = study.resolve()
    repairs = Repairs()
    lock = WriterLock(study)
    finished = False
    clean = lock.acquire()
    try:
        if not clean:
            remove_leftovers(study)
        try:
            found = examine(study, isolated=isolated, time_limit=time_limit)
        except StoreError as error:
            if error.entity != str(catalog_path(study)):
                raise
            _replace_catalog(study, error, repairs)
            found = examine(study, isolated=isolated, time_limit=time_limit)
        waiting = _waiting(study)
        aside = _set_aside(study, found, repairs)
        _put_back(study, found, [*waiting, *aside], repairs, isolated=isolated, time_limit=time_limit)
        _name_rest(study, found, aside, repairs)
        _remake(study, found, repairs)
        finished = True
    finally:
        lock.release(clean=finished)
    return repairs


def _replace_catalog(study: Path, error: StoreError, repairs: Repairs) -> None:
    """Make a catalog that is missing or cannot be read anew, and keep what there was of it."""
    kept = ""
    if catalog_path(study).is_file():
        kept = f"; {keep_catalog(study).relative_to(study)} keeps the old one"
    remake_catalog(study)
    publish(study)
    repairs.done.append(_done(CATALOG, error.problem, f"Made anew from records and shards{kept}."))


def _waiting(study: Path) -> list[_Aside]:
    """Shards of other images that an earlier repair set aside and was killed before it could move them home."""
    found = []
    for reason, facts in reasons(study):
        place = reason.with_suffix(SHARD_SUFFIX)
        if facts["belongs_to"] and place.is_file():
            found.append(_Aside(facts["path"], place, facts["belongs_to"], facts["problem"]))
    return found


def _set_aside(study: Path, found: Examination, repairs: Repairs) -> list[_Aside]:
    """Move what is damaged or misplaced out of ``features``."""
    aside = []
    for relative, error in sorted(found.damaged.items()):
        # Its record may come back, or it may be readable and intact tomorrow.
        if Path(relative).parts[1] not in found.identities or isinstance(error, UnreachableShardError):
            repairs.left.append(Finding(relative, error.problem, error.remedy))
            continue
        place = _free_place(study, relative)
        home = None
        if isinstance(error, MisplacedShardError):
            home = shard_path(study, error.feature_set, error.image_id).relative_to(study).as_posix()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"path": relative, "problem": error.problem, "belongs_to": home, "moved": now}
        write_text_atomically(place.with_suffix(".json"), json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        _move(study / relative, place)
        aside.append(_Aside(relative, place, home, error.problem))
    return aside


def _put_back(
    study: Path, found: Examination, aside: Sequence[_Aside], repairs: Repairs, *, isolated: bool, time_limit: float
) -> None:
    """Give misplaced shards their own places, where those are free; the rest of what was set aside stays there."""
    homes: dict[Path, _Aside] = {}
    for item in aside:
        home = study / item.home if item.home is not None else None
        if home is not None and not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            _move(item.place, home)
            homes[home] = item
    for home, result in inspect_shards(list(homes), time_limit=time_limit, isolated=isolated):
        item = homes[home]
        if not isinstance(result, Inspection) or foreign(result.info, found.identities) is not None:
            _move(home, item.place)  # it is not of the feature set as registered either
            continue
        found.shards.append(result.info)
        item.place.with_suffix(".json").unlink()
        problem = f"held the vectors of {result.info.image_id}"
        repairs.done.append(_done(item.relative, problem, f"Moved to {result.info.path}."))


def _name_rest(study: Path, found: Examination, aside: Sequence[_Aside], repairs: Repairs) -> None:
    """Say what stays in quarantine, and which shards are missing now."""
    for item in aside:
        if item.place.is_file():
            where = f"Moved to {item.place.relative_to(study).as_posix()}."
            repairs.done.append(_done(item.relative, item.problem, where))
    here = {info.path for info in found.shards}
    wanted = [*(item.relative for item in aside), *(finding.entity for finding in found.missing)]
    repairs.left += [
        Finding(relative, "has no shard now", _EXTRACT) for relative in sorted(wanted) if relative not in here
    ]


def _remake(study: Path, found: Examination, repairs: Repairs) -> None:
    """Bring the catalog in line, if anything differs and no record is lost; name what is left."""
    settled = {*found.damaged, *(finding.entity for finding in [*found.missing, *found.broken, *found.weights])}
    others = [finding for finding in found.findings if finding.entity not in settled]
    other_version = [warning for warning in found.warnings if warning.entity == CATALOG]
    repairs.warnings = [warning for warning in found.warnings if warning not in other_version]
    repairs.left += found.weights
    if found.broken or any(isinstance(error, UnreachableShardError) for error in found.damaged.values()):
        repairs.left += [*found.broken, *others]
        return
    moved = any(finding.entity != CATALOG for finding in repairs.done)
    if len(found.findings) > len(found.weights) or other_version or moved:
        found.shards.sort(key=lambda info: info.path)
        remake_catalog(study, found.records, found.shards)
        publish(study)
        repairs.done += [
            _done(finding.entity, finding.problem, "The catalog was made anew.")
            for finding in [*others, *other_version]
        ]


def _free_place(study: Path, relative: str) -> Path:
    folder = quarantine_folder(study) / Path(relative).parent.relative_to("features")
    stem = Path(relative).name.removesuffix(SHARD_SUFFIX)
    taken = (folder / f"{stem}.{number}{SHARD_SUFFIX}" for number in range(1, 1_000_000))
    return next(path for path in taken if not path.exists() and not path.with_suffix(".json").exists())


def _move(source: Path, target: Path) -> None:
    shutil.move(source, target)  # a folder of features may be a link to another disk
    for folder in {source.parent, target.parent}:
        flush_to_disk(folder)


def _done(entity: str, problem: str, how: str) -> Finding:
    return Finding(entity, problem, how, "repaired")
