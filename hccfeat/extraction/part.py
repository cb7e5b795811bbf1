"""``extract --part I/N`` publishes shards, ``commit`` adopts them: for batch systems without a scheduler.

A part takes no lock and writes nothing but shards and one note. Parts, commits and other writers may run at once: a
shard is published once, whole, and whoever commits it hashes it first.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.errors import FailureKind, InputError, StoreError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.embedding import SEEN_SECONDS, embed_all, wait_until_seen
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import Failure
from hccfeat.extraction.plan import plan
from hccfeat.extraction.session import Session, Work, record_failures
from hccfeat.files import canonical_json, write_text_atomically
from hccfeat.store.build import batches
from hccfeat.store.committer import Committer
from hccfeat.store.findings import Finding
from hccfeat.store.names import shard_path
from hccfeat.store.presence import images_in_place
from hccfeat.store.shards import ShardInfo, check_shard


@dataclass
class CommitSummary:
    """What ``commit`` found: shards adopted by feature set, parts that ended, failures they met, damage."""

    adopted: dict[str, int] = field(default_factory=dict)
    parts: int = 0
    failures: list[Failure] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def parse_part(text: str) -> tuple[int, int]:
    """Read ``I/N``.

    Raises
    ------
    InputError
        If it is nothing of the kind, or I is not in 1..N.
    """
    number, _, count = text.partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise InputError(f"--part {text}", "is not I/N with I from 1 to N", "Write for example --part 3/16.")


def share(wanted: Mapping[str, int], part: tuple[int, int]) -> dict[str, int]:
    """Images of a part: every N-th by size, so that parts get equally much; the same whatever is done already.

    Parameters
    ----------
    wanted : mapping
        Image id -> bytes.
    part : (int, int)
        I of N.
    """
    ordered = sorted(wanted, key=lambda image_id: (-wanted[image_id], image_id))
    return {image_id: wanted[image_id] for image_id in ordered[part[0] - 1 :: part[1]]}


def parts_of_sets(study: Path, bases: list[str]) -> list[FeatureSet]:
    """Feature sets that a part may fill: the newest of each base.

    Raises
    ------
    InputError
        If there is none: a part trains nothing.
    """
    found = []
    for base in bases:
        feature_set = feature_sets.newest(study, base)
        if feature_set is None:
            remedy = "Run `hccfeat extract --no-embed` once, without --part: it trains or registers the network."
            raise InputError(f"feature set {base}", "does not exist yet, and a part cannot make it", remedy)
        found.append(feature_set)
    return found


def embed_part(session: Session, work: Work, feature_set: FeatureSet, wanted: Mapping[str, int]) -> None:
    """Publish what a feature set lacks of the images of this part, and leave a note for ``commit``."""
    part = session.options.part
    assert part is not None
    started = time.time()
    study, summary = session.study, session.summary
    todo = [i for i in plan(study, feature_set.name, wanted).todo if not _published(study, feature_set, i)]
    summary.already_done += len(wanted) - len(todo)
    published: list[str] = []
    failures: list[dict[str, str]] = []
    for outcome in embed_all(session, work, feature_set, todo):
        if outcome.failure is None:
            published.append(outcome.image_id)
        else:
            failed = {"kind": str(outcome.failure.kind), "message": outcome.failure.message}
            failures.append({"image_id": outcome.image_id, **failed})
    if todo:
        name = f"{feature_set.name}-{part[0]}-of-{part[1]}"
        settings = {
            "feature_sets": [feature_set.name], "part": f"{part[0]}/{part[1]}", "embedded": len(published),
            "failures": len(failures), "device": session.device, "workers": session.options.workers,
            "seconds": {share: round(seconds, 3) for share, seconds in summary.seconds.items()},
        }  # fmt: skip
        run = provenance.run_row("extract", started, settings)
        run["run_id"] += f"-{name}"
        note = {"feature_set": feature_set.name, "published": published, "failures": failures, "run": run}
        write_text_atomically(_notes(study) / f"{name}.json", canonical_json(note))


def commit(study: Path) -> CommitSummary:
    """Adopt every published shard that the catalog lacks, and what the parts have noted.

    Parameters
    ----------
    study : Path
        Study folder.

    Raises
    ------
    StudyBusyError
        If another process writes to the study.
    StoreError
        If a note is damaged.
    """
    summary = CommitSummary()
    with Committer(study) as committer:
        texts = {path: path.read_text(encoding="utf-8") for path in sorted(_notes(study).glob("*.json"))}
        notes = [_read_note(path, text) for path, text in texts.items()]
        deadline = time.monotonic() + SEEN_SECONDS
        for note in notes:
            for image_id in note["published"]:
                path = shard_path(study, note["feature_set"], image_id)
                wait_until_seen(path, max(0.0, deadline - time.monotonic()))
        for (name,) in committer.query("SELECT feature_set FROM feature_set ORDER BY feature_set").rows():
            published = {i for note in notes if note["feature_set"] == name for i in note["published"]}
            if adopted := len(committer.adopt_found(name)) + _adopt_again(committer, name, published):
                summary.adopted[name] = adopted
            committer.done_images(name)  # in a copied study the catalog learns the new modification times
        for note in notes:
            _record_note(committer, note, summary)
        summary.findings = committer.findings
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") == text:  # or the part ran again meanwhile
            path.unlink()
    return summary


def _adopt_again(committer: Committer, feature_set: str, published: set[str]) -> int:
    """Adopt shards that parts made again in the place of lost or damaged ones, and count them."""
    count = 0
    for batch in batches(_made_again(committer, feature_set, published)):
        committer.adopt(batch)
        count += len(batch)
    return count


def _made_again(committer: Committer, feature_set: str, published: set[str]) -> Iterator[ShardInfo]:
    rows = committer.query("SELECT image_id, path, bytes, mtime_ns FROM shard WHERE feature_set = ?", [feature_set])
    intact, _ = images_in_place(committer.study, feature_set, rows.iter_rows(), published)
    for image_id in sorted(published - intact):
        try:
            yield check_shard(shard_path(committer.study, feature_set, image_id))
        except StoreError as error:
            committer.findings.append(Finding(error.entity, error.problem, error.remedy))


def _record_note(committer: Committer, note: Mapping[str, Any], summary: CommitSummary) -> None:
    """Record the failures and the run of a part, unless a killed ``commit`` has done so."""
    run = note["run"]
    if committer.query("SELECT 1 FROM run WHERE run_id = ?", [run["run_id"]]).height:
        return
    failures = {
        row["image_id"]: Failure(row["image_id"], FailureKind(row["kind"]), row["message"])
        for row in note["failures"]
    }
    attempted = {*note["published"], *failures}
    record_failures(committer, note["feature_set"], attempted, failures)
    committer.record("runs", "extract", {"run": [run]}, about=json.loads(run["settings"]))
    summary.parts += 1
    summary.failures += failures.values()


def _published(study: Path, feature_set: FeatureSet, image_id: str) -> bool:
    path = shard_path(study, feature_set.name, image_id)
    if not path.is_file():
        return False
    try:
        return check_shard(path).feature_set_sha256 == feature_set.sha256
    except StoreError:
        return False  # damaged: embedded again


def _notes(study: Path) -> Path:
    return study / ".hccfeat" / "parts"


def _read_note(path: Path, text: str) -> dict[str, Any]:
    try:
        note: dict[str, Any] = json.loads(text)
    except ValueError as error:
        remedy = "Delete it; its failures are met again by the next extraction."
        raise StoreError(str(path), f"is no note of a part ({error})", remedy) from error
    return note
