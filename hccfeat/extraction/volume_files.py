"""The files of one MRI volume and its masks: how big, how old, what they hold, and reading the masks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from hccfeat.cohort.exams import FoundVolume
from hccfeat.errors import FailureKind, VolumeError
from hccfeat.files import quick_hash, sha256_of
from hccfeat.mri.preprocess import Crop
from hccfeat.mri.readers import read_mask, volume_files
from hccfeat.mri.volume import Volume


@dataclass(frozen=True)
class VolumeFiles:
    """A volume with its files as they are now; ``bytes`` and ``mtime_ns`` (the newest) count the masks too."""

    volume: FoundVolume
    entity: str
    images: tuple[Path, ...]
    bytes: int
    mtime_ns: int

    @classmethod
    def find(cls, volume: FoundVolume, entity: str) -> Self:
        """List the files of a volume.

        Raises
        ------
        VolumeError
            If one is missing or cannot be read.
        """
        try:
            images = tuple(volume_files(volume.path))
            masks = [path for path in (volume.lesion_mask, volume.liver_mask) if path is not None]
            facts = [path.stat() for path in (*images, *masks)]
        except OSError as error:
            raise _unreadable(entity, error) from error
        size, newest = sum(fact.st_size for fact in facts), max((fact.st_mtime_ns for fact in facts), default=0)
        return cls(volume, entity, images, size, newest)

    @cached_property
    def content_sha256(self) -> str:
        """Hash of the volume alone: equal for copies."""
        return sha256_of(sorted(self._hash(path) for path in self.images))

    @cached_property
    def quick_sha256(self) -> str:
        """Hash of everything that a prepared volume is made of: volume, masks, box and label."""
        volume = self.volume
        masks = [None if path is None else self._hash(path) for path in (volume.lesion_mask, volume.liver_mask)]
        return sha256_of([self.content_sha256, masks, volume.lesion_box, volume.liver_label])

    def _hash(self, path: Path) -> str:
        try:
            return quick_hash(path)
        except OSError as error:
            raise _unreadable(self.entity, error) from error


def read_crop(volume: FoundVolume, read: Volume, entity: str) -> Crop:
    """Read what says where to look in a volume.

    Raises
    ------
    VolumeError
        If a mask cannot be read or is on another grid, or the box ends outside the volume.
    """
    box, liver = volume.lesion_box, volume.liver_mask
    if box is not None and any(end > size for end, size in zip(box[3:], read.facts.shape, strict=True)):
        problem = f"its lesion_box ends at {box[3:]}, beyond its {read.facts.shape} voxels"
        raise VolumeError(FailureKind.INCONSISTENT, entity, problem, "Correct the box in the manifest.")
    return Crop(
        lesion_mask=None if volume.lesion_mask is None else read_mask(volume.lesion_mask, entity, read),
        liver_mask=None if liver is None else read_mask(liver, entity, read, volume.liver_label),
        lesion_box=box,
    )


def _unreadable(entity: str, error: OSError) -> VolumeError:
    problem = f"its files cannot be read ({error.strerror or type(error).__name__})"
    remedy = "Put them back, check their permissions, or ingest the cohort again from the new folder."
    return VolumeError(FailureKind.UNREADABLE, entity, problem, remedy)
