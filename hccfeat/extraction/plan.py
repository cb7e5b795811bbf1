"""What there is to extract: the images of a study, and those a feature set still lacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hccfeat.extraction.tasks import Source
from hccfeat.store.catalog import query


@dataclass(frozen=True)
class Plan:
    """Work for one feature set: ``todo`` image ids, largest file first, and ``done``, how many are committed."""

    feature_set: str
    todo: list[str]
    done: int


def sources(study: Path, cohorts: list[str] | None = None) -> list[Source]:
    """Every readable slide or image of the study (or of some cohorts), sorted by id."""
    rows = query(
        study,
        "SELECT image_id, patient_id, cohort, path, mpp, mpp_source, bytes, mtime_ns, quick_sha256 "
        "FROM image WHERE status = 'ok' AND coalesce(modality, 'slide') = 'slide' ORDER BY image_id",
    ).to_dicts()
    return [_source(row) for row in rows if cohorts is None or row["cohort"] in cohorts]


def plan(study: Path, feature_set: str, wanted: Mapping[str, int]) -> Plan:
    """Compare the images or exams wanted (id -> size in bytes) with the committed shards of a feature set.

    An image is done when its shard is committed and the file on disk still has the committed size and
    modification time; anything else is extracted again.
    """
    committed = query(
        study,
        "SELECT image_id, path, bytes, mtime_ns FROM shard WHERE feature_set = ?",
        [feature_set],
    ).to_dicts()
    done = {row["image_id"] for row in committed if _intact(study, row)}
    todo = sorted(set(wanted) - done, key=lambda image_id: (-wanted[image_id], image_id))
    return Plan(feature_set, todo, len(wanted) - len(todo))


def _intact(study: Path, row: dict[str, Any]) -> bool:
    path = study / row["path"]
    if not path.is_file():
        return False
    facts = path.stat()
    return (facts.st_size, facts.st_mtime_ns) == (row["bytes"], row["mtime_ns"])


def _source(row: dict[str, Any]) -> Source:
    return Source(
        image_id=row["image_id"],
        patient_id=row["patient_id"],
        path=row["path"],
        mpp_override=row["mpp"] if row["mpp_source"] == "override" else None,
        bytes=row["bytes"],
        mtime_ns=row["mtime_ns"],
        quick_sha256=row["quick_sha256"],
    )
