"""The one hierarchy of errors that hccfeat raises for bad input, a busy or damaged store, or a leak."""

from enum import StrEnum


class HccfeatError(Exception):
    """An error a user can act on.

    Parameters
    ----------
    entity : str
        What it is about: a file, an image, a column, a command-line option.
    problem : str
        What is wrong with it, without a final full stop.
    remedy : str
        What the user can do, as a sentence.
    """

    def __init__(self, entity: str, problem: str, remedy: str) -> None:
        super().__init__(entity, problem, remedy)
        self.entity = entity
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.entity}: {self.problem}. {self.remedy}"


class ConfigError(HccfeatError):
    """The study file, a recipe or a data-catalog file is wrong."""


class InputError(HccfeatError):
    """A clinical table, a manifest or a command-line value is wrong."""


class StoreError(HccfeatError):
    """A shard, record or catalog is damaged or incompatible."""


class MisplacedShardError(StoreError):
    """An intact shard lies at the place of another image; ``feature_set`` and ``image_id`` say whose it is."""

    def __init__(self, entity: str, feature_set: str, image_id: str) -> None:
        super().__init__(
            entity,
            f"holds the vectors of {image_id} in {feature_set}: files were swapped or renamed",
            "Run `hccfeat verify --repair`; it moves each to its place.",
        )
        self.feature_set = feature_set
        self.image_id = image_id

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.entity, self.feature_set, self.image_id)


class UnreachableShardError(StoreError):
    """A shard cannot be opened or read because of permissions or the file system; it may well be intact."""


class StudyBusyError(StoreError):
    """Another process is writing to the study."""


class QueryError(HccfeatError):
    """An SQL query was refused or failed."""


class ClusterError(HccfeatError):
    """A Dask cluster cannot be reached, does not fit this study, or was lost."""


class LeakageError(HccfeatError):
    """An evaluation would use patients that the encoder or the model has already seen."""


class AnalysisError(HccfeatError):
    """An analysis cannot be done on these data (no events, one class, too few patients)."""


class FailureKind(StrEnum):
    """Why one image could not be extracted; stored in the catalog and listed by ``hccfeat status``."""

    UNREADABLE = "unreadable"
    INCOMPLETE = "incomplete"
    INCONSISTENT = "inconsistent"
    NO_MPP = "no_mpp"
    TOO_LARGE = "too_large"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    UNKNOWN = "unknown"


class EntityError(HccfeatError):
    """One image or exam cannot be used; ``kind`` types the failure."""

    def __init__(self, kind: FailureKind, entity: str, problem: str, remedy: str) -> None:
        super().__init__(entity, problem, remedy)
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[FailureKind, str, str, str]]:
        return type(self), (self.kind, self.entity, self.problem, self.remedy)


class SlideError(EntityError):
    """One slide or image cannot be used."""


class VolumeError(EntityError):
    """One MRI volume or exam cannot be used."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the machine or of its GPU ran out; torch says so in words only."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
