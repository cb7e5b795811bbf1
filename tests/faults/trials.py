"""One trial: a copy of the study, one fault, and what is left: findings, the rerun's tables, losses."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hccfeat.store.catalog import open_catalog, query
from hccfeat.store.verify import verify
from tests.faults.lives import Life, Lives
from tests.faults.moments import ROLES
from tests.faults.work import FEATURE_SET, IMAGES, make_study

SEED = 6
NOT_YET = "is not in the catalog"
"""The one finding that a kill may leave: published, and adopted by the next writer."""

SAME = {
    "shards": "SELECT image_id, digest, patches, status, reason FROM shard ORDER BY ALL",
    "image vectors": "SELECT * FROM image_vector_pps_1 ORDER BY image_id",
    "patient vectors": "SELECT * FROM patient_vector_pps_1 ORDER BY patient_id",
    "feature sets": "SELECT feature_set, sha256, weights_sha256 FROM feature_set ORDER BY ALL",
    "failures": "SELECT feature_set, image_id, kind FROM extraction_failure ORDER BY ALL",
    "records": "SELECT kind, name FROM record WHERE kind <> 'runs' ORDER BY ALL",
}


@dataclass(frozen=True)
class Undisturbed:
    """The study before extraction, and what an undisturbed run made of it."""

    template: Path
    tables: dict[str, pl.DataFrame]
    events: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What a fault left.

    Attributes
    ----------
    told : dict
        Of the run that met the fault; see :meth:`tests.faults.lives.Lives.live`.
    findings : list of str
        Of ``verify`` right after the fault, ``<entity>: <problem>``.
    differs : list of str
        Tables of the rerun that are not those of the undisturbed run.
    lost : list of str
        Images that were committed before the fault's end, and are not there with that digest after the rerun.
    """

    told: dict[str, Any]
    findings: list[str]
    differs: list[str]
    lost: list[str] = field(default_factory=list)

    @property
    def damage(self) -> list[str]:
        """Findings but shards and records that the next writer adopts."""
        return [finding for finding in self.findings if not finding.endswith(NOT_YET)]


class Trials:
    """Makes trials in a folder, one copy of the study each."""

    def __init__(self, folder: Path, lives: Lives) -> None:
        self.folder, self.lives, self.number = folder, lives, 0
        template = make_study(folder / "template")
        study = Path(shutil.copytree(template, folder / "undisturbed"))
        told = self.live(study, count=True)
        assert (told["error"], told["embedded"], told["failures"]) == ("", IMAGES, {}), told
        assert verify(study, isolated=False) == []
        self.undisturbed = Undisturbed(template, tables(study), told["events"], told["seconds"])

    def live(self, study: Path, **options: Any) -> dict[str, Any]:
        """One run of ``extract`` in a process of its own."""
        return self.lives.live(self.life(study, **options))[0]

    def life(self, study: Path, **options: Any) -> Life:
        """A run with an empty folder for its counters."""
        self.number += 1
        return Life(str(study), str(self.folder / f"scratch-{self.number}"), **options)

    def study(self, *, extracted: bool = False) -> Path:
        """A copy of the study."""
        self.number += 1
        source = self.folder / "undisturbed" if extracted else self.undisturbed.template
        return Path(shutil.copytree(source, self.folder / f"study-{self.number}"))

    def killed(self, moment: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
        """A run that is killed at a moment; at half of it where the run had ended before."""
        for part in (1, 2, 4, 8):
            study = self.study()
            name = "event" if "event" in moment else "seconds"
            told = self.live(study, **moment | {name: type(moment[name])(moment[name] / part)})
            if told["struck"]:
                break
        return study, told

    def judged(self, study: Path, told: dict[str, Any]) -> Trial:
        """Verify, run again, and compare with the undisturbed run."""
        before = committed(study)
        findings = [f"{finding.entity}: {finding.problem}" for finding in verify(study, isolated=False)]
        again = self.live(study, workers=0)
        if again["error"]:
            return Trial(told, findings, [f"rerun: {again['error']}"], sorted(before))
        now = tables(study)
        differs = [name for name, table in now.items() if not table.equals(self.undisturbed.tables[name])]
        after = dict(now["shards"].select("image_id", "digest").rows())
        lost = [image_id for image_id, digest in before.items() if after.get(image_id) != digest]
        return Trial(told, findings, differs, lost)

    def forget(self, study: Path) -> None:
        """Remove a copy that is no longer needed."""
        shutil.rmtree(study)

    def differences(self, study: Path) -> list[str]:
        """Tables of a study that are not those of the undisturbed run."""
        return [name for name, table in tables(study).items() if not table.equals(self.undisturbed.tables[name])]

    def kills(self, count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
        """Moments spread over the whole run, by event and by time, for worker, committer and driver in turn."""
        generator = np.random.default_rng(seed)
        each = -(-count // (2 * len(ROLES)))
        for number in range(count):
            role, place = ROLES[number % 3], number // 6
            share = (place + generator.uniform()) / each
            if number // 3 % 2 == 0:
                yield {"role": role, "event": 1 + int(share * (self.undisturbed.events[role] - 1))}
            else:
                yield {"role": role, "seconds": share * self.undisturbed.seconds}


def tables(study: Path) -> dict[str, pl.DataFrame]:
    """What must be equal after every rerun."""
    connection = open_catalog(study)
    try:
        return {name: connection.sql(sql).pl() for name, sql in SAME.items()}
    finally:
        connection.close()


def committed(study: Path) -> dict[str, str]:
    """Digest of every shard that the readers' catalog holds."""
    sql = "SELECT image_id, digest FROM shard WHERE feature_set = ?"
    return dict(query(study, sql, [FEATURE_SET]).rows())
