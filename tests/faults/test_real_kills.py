"""kill -9 of the real ``extract`` of simulated cohorts, training included; each run goes on where the last died."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hccfeat.store.catalog import query, tables_equal
from hccfeat.store.verify import verify
from hccfeat.study import open_study
from tests.faults.ledger import found_in, note
from tests.faults.lives import Life, Lives
from tests.faults.trials import NOT_YET

TIMES = (0.3, 4.0, 1.7, 3.1, 0.9)
"""Seconds after the start: while patches are cut, the network is trained, or slides are embedded."""

EVENTS = (("committer", 1500), ("driver", 100), ("committer", 2500), ("driver", 120), ("committer", 300))
"""Who dies, and at which of its events; see :mod:`tests.faults.moments`."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_while_training_and_embedding(
    lives: Lives, ingested_study: Path, extracted_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(ingested_study, tmp_path / "study"))
    moments = [{"role": "driver", "seconds": seconds} for seconds in TIMES]
    kill(lives, study, "slides", moments, _digests(extracted_study, "pps-1"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_while_shards_are_written_and_committed(lives: Lives, extracted_study: Path, tmp_path: Path) -> None:
    """The network is trained already: counting events would slow its training down."""
    study = Path(shutil.copytree(extracted_study, tmp_path / "study"))
    shutil.rmtree(study / "features")
    open_study(study).rebuild_catalog()
    moments = [{"role": role, "event": event} for role, event in EVENTS]
    kill(lives, study, "slides", moments, _digests(extracted_study, "pps-1"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_of_the_real_extract_of_mri(
    lives: Lives, ingested_study: Path, mri_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(ingested_study, tmp_path / "study"))
    moments = [{"role": "driver", "seconds": seconds} for seconds in (0.4, 1.0, 1.8)]
    kill(lives, study, "mri", moments, _digests(mri_study, "mri-1"))


def kill(
    lives: Lives, study: Path, modality: str, moments: Sequence[dict[str, Any]], wanted: dict[str, str]
) -> None:
    """Kill runs at these moments, one after the other, verify after each; then let one end and compare."""
    scratch = study.parent
    for number, moment in enumerate(moments):
        before = _digests(study)
        moment = _die(lives, study, modality, moment, scratch / f"{number}")
        findings = [f"{finding.entity}: {finding.problem}" for finding in verify(study, isolated=False)]
        after = _digests(study)
        lost, equal = len(before.items() - after.items()), after.items() <= wanted.items()
        note(f"kill -9 of the real extract of {modality}", str(moment), found_in(findings), equal=equal, lost=lost)
        assert all(finding.endswith(NOT_YET) for finding in findings), (moment, findings)
        assert (equal, lost) == (True, 0), moment
    told = lives.live(Life(str(study), str(scratch / "again"), 0, modality=modality))[0]
    assert (told["error"], told["failures"]) == ("", {})
    assert _digests(study) == wanted
    assert verify(study, isolated=False) == []
    before = shutil.copy(study / "catalog.duckdb", scratch / "before.duckdb")
    assert tables_equal(before, open_study(study).rebuild_catalog())


def _die(lives: Lives, study: Path, modality: str, moment: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Kill a run, and return the moment; one that ended before is undone, and dies in half the time or events."""
    before = shutil.copytree(study, scratch / "before")
    for attempt in range(6):
        life = Life(str(study), str(scratch / f"{attempt}"), 0, modality=modality, **moment)
        if lives.live(life)[0]["killed"]:
            return moment
        if life.event:
            moment = {**moment, "event": life.event // 2}
        else:
            moment = {**moment, "seconds": life.seconds / 2}
        shutil.rmtree(study)
        shutil.copytree(before, study)
    raise AssertionError(moment)


def _digests(study: Path, feature_set: str = "") -> dict[str, str]:
    """Digest of every shard that the readers' catalog holds."""
    sql = "SELECT image_id, digest FROM shard WHERE starts_with(feature_set, ?)"
    return dict(query(study, sql, [feature_set]).rows())
