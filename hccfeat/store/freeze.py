"""Freezes: a cohort, its split and a feature set under a name that a report cites."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.config import NAME_PATTERN
from hccfeat.errors import StoreError
from hccfeat.files import sha256_of
from hccfeat.store.catalog import Ask, asking, query
from hccfeat.store.committer import Committer
from hccfeat.store.versions import find_feature_set

_COHORT = {
    "patient": "SELECT * FROM patient WHERE cohort = ? ORDER BY patient_id",
    "clinical": "SELECT * FROM clinical WHERE starts_with(patient_id, ? || '/') ORDER BY patient_id",
    "outcome": "SELECT * FROM outcome WHERE starts_with(patient_id, ? || '/') ORDER BY patient_id, outcome",
    "image": "SELECT image_id, patient_id, status, quick_sha256 FROM image WHERE cohort = ? ORDER BY image_id",
}
_SHARDS = (
    "SELECT s.image_id, s.digest FROM shard AS s JOIN image AS i ON i.image_id = s.image_id "
    "WHERE s.feature_set = ? AND i.cohort = ? ORDER BY s.image_id"
)


def freeze(study: Path, name: str, *, cohort: str, feature_set: str, split: str | None = None) -> dict[str, Any]:
    """Freeze a cohort, its split and a feature set: ``gc`` then leaves the feature set and its reports alone.

    Parameters
    ----------
    study : Path
        Study folder.
    name : str
        Of the freeze: lower-case letters, digits, - and _.
    cohort : str
        The cohort.
    feature_set : str
        With version (``pps-1``); a name without one means its newest.
    split : str, optional
        Needed only where the cohort has several splits.

    Returns
    -------
    dict
        The row of table ``frozen``: names, counts, and hashes of what is frozen.

    Raises
    ------
    StoreError
        If the name is taken or not usable, or the cohort, split or feature set does not exist or holds nothing.
    StudyBusyError
        If another process writes to the study.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise StoreError(f"freeze {name!r}", "is not a usable name", "Use lower-case letters, digits, - and _.")
    with Committer(study) as committer:
        if committer.query("SELECT 1 FROM frozen WHERE name = ?", [name]).height:
            remedy = f"Use another name, or give it up with `hccfeat freeze {name} --release`."
            raise StoreError(f"freeze {name}", "exists already", remedy)
        row = {
            "name": name,
            "cohort": cohort,
            "split": _split(committer.query, cohort, split),
            "feature_set": _feature_set(committer.query, feature_set),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        row |= _measure(committer.query, row)
        for what in ("patients", "images"):
            if not row[what]:
                problem = f"would hold no {what} of cohort {cohort} in {row['feature_set']}"
                raise StoreError(f"freeze {name}", problem, "See `hccfeat status` for what there is.")
        committer.record("freezes", name, {"frozen": [row]})
    return row


def release(study: Path, name: str) -> None:
    """Give a freeze up; its record stays as history.

    Raises
    ------
    StoreError
        If there is no such freeze.
    StudyBusyError
        If another process writes to the study.
    """
    with Committer(study) as committer:
        if committer.query("SELECT 1 FROM frozen WHERE name = ?", [name]).is_empty():
            raise StoreError(f"freeze {name}", "does not exist", "`hccfeat freeze` lists those that do.")
        committer.record("freezes", f"{name}-released", {}, replaces={"frozen": {"name": name}})


def freezes(study: Path) -> list[dict[str, Any]]:
    """Every freeze of a study: its row of table ``frozen`` and ``state`` (``unchanged``, or what changed since)."""
    with asking(study) as ask:
        return frozen_states(ask)


def frozen_states(ask: Ask) -> list[dict[str, Any]]:
    """Do what :func:`freezes` does, on an open catalog."""
    found = []
    for row in ask("SELECT * FROM frozen ORDER BY name").to_dicts():
        now = _measure(ask, row)
        parts = ("cohort", "split", "features")
        changed = [part for part in parts if now[f"{part}_sha256"] != row[f"{part}_sha256"]]
        found.append({**row, "state": f"changed: {', '.join(changed)}" if changed else "unchanged"})
    return found


def freezes_of(study: Path, feature_set: str) -> list[str]:
    """Names of the freezes that hold a feature set (with version), for a report that cites them."""
    return query(study, "SELECT name FROM frozen WHERE feature_set = ? ORDER BY name", [feature_set])[
        "name"
    ].to_list()


def _measure(ask: Ask, row: dict[str, Any]) -> dict[str, Any]:
    """Counts and hashes of what a freeze names, as it is now."""
    # A variable that another cohort brought is a column of NULL here: what is missing does not count.
    tables = {table: _rows(ask(sql, [row["cohort"]])) for table, sql in _COHORT.items()}
    members = _rows(ask("SELECT * FROM split WHERE split = ? ORDER BY patient_id", [row["split"]]))
    shards = ask(_SHARDS, [row["feature_set"], row["cohort"]]).rows()
    return {
        "patients": len(tables["patient"]),
        "images": len(shards),
        "cohort_sha256": sha256_of(tables),
        "split_sha256": sha256_of(members) if row["split"] is not None else None,
        "features_sha256": sha256_of([list(shard) for shard in shards]),
    }


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if value is not None} for row in frame.iter_rows(named=True)
    ]


def _split(ask: Ask, cohort: str, split: str | None) -> str | None:
    names = ask(
        "SELECT DISTINCT split FROM split WHERE starts_with(patient_id, ? || '/') ORDER BY split", [cohort]
    )["split"].to_list()
    if split is None and len(names) < 2:
        return names[0] if names else None
    if split in names:
        return split
    problem = f"has {'no such split' if split else 'several splits'} (there are: {', '.join(names) or 'none'})"
    raise StoreError(f"cohort {cohort}", problem, "Give one of them with --split.")


def _feature_set(ask: Ask, name: str) -> str:
    found = find_feature_set(ask, name)
    if found is None:
        raise StoreError(f"feature set {name}", "does not exist", "`hccfeat status` lists those that do.")
    return found
