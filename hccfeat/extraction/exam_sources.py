"""The MRI exams of a study as the catalog knows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hccfeat.cohort.exams import FoundVolume
from hccfeat.config import PHASES
from hccfeat.store.catalog import Catalog, query


@dataclass(frozen=True, kw_only=True)
class VolumeSource(FoundVolume):
    """One volume as the catalog knows it."""

    bytes: int
    mtime_ns: int
    quick_sha256: str


@dataclass(frozen=True)
class ExamSource:
    """One readable exam as the catalog knows it, its volumes in the order of ``PHASES``."""

    exam_id: str
    patient_id: str
    cohort: str
    quick_sha256: str
    volumes: tuple[VolumeSource, ...]

    @property
    def image_id(self) -> str:
        """Key in table ``image``: the exam's."""
        return self.exam_id

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(volume.bytes for volume in self.volumes)


def exam_sources(catalog: Catalog, cohorts: Sequence[str] | None = None) -> list[ExamSource]:
    """Every readable exam of the study (or of some cohorts), sorted by id; both phases of each can be read."""
    rows = query(
        catalog,
        "SELECT i.patient_id, i.quick_sha256 AS exam_sha256, v.* FROM image AS i JOIN volume AS v USING (image_id) "
        "WHERE i.modality = 'mri' AND i.status = 'ok' ORDER BY image_id",
    ).to_dicts()
    exams: dict[str, dict[str, Any]] = {}
    for row in rows:
        if cohorts is None or row["cohort"] in cohorts:
            exams.setdefault(row["image_id"], row | {"volumes": {}})["volumes"][row["phase"]] = _volume_source(row)
    return [
        ExamSource(
            exam_id=exam_id,
            patient_id=row["patient_id"],
            cohort=row["cohort"],
            quick_sha256=row["exam_sha256"],
            volumes=tuple(row["volumes"][phase] for phase in PHASES),
        )
        for exam_id, row in exams.items()
    ]


def _volume_source(row: dict[str, Any]) -> VolumeSource:
    box = row["lesion_box"]
    return VolumeSource(
        phase=row["phase"],
        path=Path(row["path"]),
        lesion_mask=None if row["lesion_mask"] is None else Path(row["lesion_mask"]),
        lesion_box=None if box is None else tuple(int(part) for part in box.split()),
        liver_mask=None if row["liver_mask"] is None else Path(row["liver_mask"]),
        liver_label=row["liver_label"],
        bytes=row["bytes"],
        mtime_ns=row["mtime_ns"],
        quick_sha256=row["quick_sha256"],
    )
