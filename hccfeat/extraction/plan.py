"""What there is to extract: the images of a study, and those a feature set still lacks."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from hccfeat.errors import StoreError
from hccfeat.extraction.tasks import Source
from hccfeat.store.catalog import Catalog, query
from hccfeat.store.presence import images_in_place
from hccfeat.store.shards import check_shard


@dataclass(frozen=True)
class Plan:
    """Work for one feature set: ``todo`` image ids, largest file first, and ``done``, how many are committed."""

    feature_set: str
    todo: list[str]
    done: int


def sources(catalog: Catalog, cohorts: list[str] | None = None) -> list[Source]:
    """Every readable slide or image of the study (or of some cohorts), sorted by id."""
    rows = query(
        catalog,
        "SELECT cohort, image_id, patient_id, path, CASE WHEN mpp_source = 'override' THEN mpp END, bytes, "
        "mtime_ns, quick_sha256 FROM image "
        "WHERE status = 'ok' AND coalesce(modality, 'slide') = 'slide' ORDER BY image_id",
    )
    return [Source(*row) for cohort, *row in rows.iter_rows() if cohorts is None or cohort in cohorts]


def plan(study: Path, feature_set: str, wanted: Mapping[str, int], done: Set[str] | None = None) -> Plan:
    """Compare the images or exams wanted (id -> size in bytes) with the committed shards of a feature set.

    An image is done when its shard is committed and the file on disk still has the committed size and modification
    time or, in a copied study, the committed content; anything else is extracted again. ``done`` is what
    :meth:`hccfeat.store.committer.Committer.done_images` says; by default the published catalog is asked.
    """
    done = _done(study, feature_set, wanted) if done is None else done
    todo = sorted(wanted.keys() - done, key=lambda image_id: (-wanted[image_id], image_id))
    return Plan(feature_set, todo, len(wanted) - len(todo))


def _done(study: Path, feature_set: str, wanted: Mapping[str, int]) -> Set[str]:
    asked = "SELECT image_id, path, bytes, mtime_ns, digest FROM shard WHERE feature_set = ?"
    rows = query(study, asked, [feature_set]).rows()
    done, touched = images_in_place(study, feature_set, (row[:4] for row in rows), wanted)
    return done | {
        image_id for image_id, path, *_, digest in rows if image_id in touched and _holds(study / path, digest)
    }


def _holds(path: Path, digest: str) -> bool:
    """Whether a shard is intact and has this content."""
    try:
        return check_shard(path).digest == digest
    except StoreError:
        return False
