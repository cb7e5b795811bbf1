"""What becomes of one image or exam: a published shard, or a typed failure."""

import errno
import threading
from dataclasses import dataclass, field
from typing import Self

from hccfeat.errors import EntityError, FailureKind, HccfeatError, is_out_of_memory
from hccfeat.store.shards import ShardInfo

SHARD_LOCK = threading.Lock()
"""HDF5 knows files by inode: two threads that make and close files at once can meet on one."""


@dataclass(frozen=True)
class Failure:
    """Why an image or exam has no shard."""

    image_id: str
    kind: FailureKind
    message: str


@dataclass(frozen=True)
class Outcome:
    """Result of one task: a published shard, or a failure. ``seconds`` are the shares of the time."""

    image_id: str
    shard: ShardInfo | None
    failure: Failure | None
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def failed(cls, image_id: str, error: BaseException) -> Self:
        """Outcome of a task that ended with an error."""
        message = str(error) if isinstance(error, HccfeatError) else f"{image_id}: {type(error).__name__}: {error}"
        return cls(image_id, None, Failure(image_id, failure_kind(error), message))


def failure_kind(error: BaseException) -> FailureKind:
    """Type an exception as one of the failures that the catalog knows."""
    if isinstance(error, EntityError):
        return error.kind
    if is_out_of_memory(error):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return FailureKind.DISK_FULL
    return FailureKind.UNKNOWN
