"""Embedding some images of a feature set: what one machine, a cluster and ``--part`` have in common."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hccfeat.errors import EntityError, FailureKind
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import Outcome
from hccfeat.extraction.session import Session, Work
from hccfeat.progress import progress_bar

SEEN_SECONDS = 60.0
"""A network file system shows a file to other machines within this time."""


def embed_all(session: Session, work: Work, feature_set: FeatureSet, image_ids: Sequence[str]) -> Iterator[Outcome]:
    """Embed images or exams under a progress bar, count them in the session's summary, and give each as it comes.

    A shard that is given can be seen from this machine.
    """
    outcomes = work.outcomes(feature_set, image_ids)  # which may prepare, under a bar of its own
    with progress_bar(f"Embedding {feature_set.name}", len(image_ids)) as advance:
        for outcome in outcomes:
            seen = _seen(session.study, outcome)
            session.summary.add(seen)
            yield seen
            advance(note=outcome.image_id)


def wait_until_seen(path: Path, seconds: float = SEEN_SECONDS) -> bool:
    """Wait for a file that another machine has published; whether it came.

    Opening its folder makes a network file system ask its server again.
    """
    deadline = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() >= deadline:
            return False
        with suppress(OSError), os.scandir(path.parent) as entries:
            next(entries, None)
        time.sleep(0.1)
    return True


def _seen(study: Path, outcome: Outcome) -> Outcome:
    if outcome.shard is None or wait_until_seen(study / outcome.shard.path):
        return outcome
    problem = "its shard was published by a worker, but this machine does not see it"
    remedy = "Give all machines the same shared study folder, and run the command again."
    error = EntityError(FailureKind.UNKNOWN, outcome.image_id, problem, remedy)
    return Outcome.failed(outcome.image_id, error)
