"""What the denoised recurrence labels keep of each class, and how the parts of the subset study divide it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hccfeat.training.labels import SUBSETS, DenoisedSubset, denoised_subset
from hccfeat.training.protocol import TEST, Protocol


@dataclass(frozen=True)
class SubsetCount:
    """One subset under both readings of a short survival.

    Attributes
    ----------
    subset : str
        Name.
    used : DenoisedSubset
        As the study uses it.
    other : DenoisedSubset
        The other reading: with ``deaths_only`` where the study goes without it, and the other way round.
    both : int
        Relapsed patients that both readings keep.
    """

    subset: str
    used: DenoisedSubset
    other: DenoisedSubset
    both: int


@dataclass(frozen=True)
class PartCount:
    """Members of a subset in one part: patients of each class, their images and patches."""

    subset: str
    part: str
    relapse_free: int
    relapsed: int
    images: int
    patches: int

    @property
    def patients(self) -> int:
        """Both classes."""
        return self.relapse_free + self.relapsed


def subset_counts(protocol: Protocol, *, deaths_only: bool) -> list[SubsetCount]:
    """Patients kept, survival thresholds and censored patients of every subset (P1, Fig 1; P1 readings 13, 14).

    Parameters
    ----------
    protocol : Protocol
        Candidates.
    deaths_only : bool
        Which reading the study uses.
    """
    found = []
    for name in SUBSETS:
        used, other = (
            denoised_subset(
                protocol.ids,
                protocol.relapsed,
                protocol.os_months,
                name,
                deaths=protocol.died,
                deaths_only=reading,
            )
            for reading in (deaths_only, not deaths_only)
        )
        kept = [{patient for patient, label in one.labels.items() if label} for one in (used, other)]
        found.append(SubsetCount(name, used, other, len(kept[0] & kept[1])))
    return found


def part_counts(protocol: Protocol, images: Mapping[str, tuple[int, int]]) -> list[PartCount]:
    """Members of every subset by part, the whole subset first (P1, Table S1).

    Parameters
    ----------
    protocol : Protocol
        Candidates and their parts.
    images : mapping
        Patient -> (images, patches); who is missing has none.
    """
    relapsed = dict(zip(protocol.ids, protocol.relapsed, strict=True))
    rows = []
    for subset in SUBSETS:
        members = protocol.member_of[subset]
        parts = {"all": members, TEST: protocol.patients(TEST) & members}
        parts |= {part: protocol.patients(part) & members for part in protocol.folds}
        for part, patients in parts.items():
            sick = sum(bool(relapsed[patient]) for patient in patients)
            counts = [images.get(patient, (0, 0)) for patient in patients]
            rows.append(
                PartCount(
                    subset,
                    part,
                    len(patients) - sick,
                    sick,
                    sum(count for count, _ in counts),
                    sum(count for _, count in counts),
                )
            )
    return rows
