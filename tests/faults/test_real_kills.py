"""kill -9 of the real ``extract`` of a simulated cohort, by a network that is given, at five moments."""

import shutil
from pathlib import Path

import pytest

from hccfeat.store.catalog import query
from hccfeat.store.verify import verify
from tests.faults.ledger import found_in, note
from tests.faults.lives import Life, Lives
from tests.faults.trials import NOT_YET

MOMENTS = (("committer", 0.1), ("driver", 0.25), ("committer", 0.2), ("driver", 0.15), ("committer", 0.1))
"""Who dies, and after which share of the events of an undisturbed run; each run goes on where the last one died."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_kills_of_the_real_extract(
    lives: Lives, ingested_study: Path, extracted_study: Path, tmp_path: Path
) -> None:
    weights = str(extracted_study / "models" / "pps-1" / "weights.safetensors")
    wanted = _digests(extracted_study, "pps-1")
    undisturbed = Path(shutil.copytree(ingested_study, tmp_path / "undisturbed"))
    events = lives.live(Life(str(undisturbed), str(tmp_path / "events"), 0, count=True, weights=weights))[0][
        "events"
    ]
    assert _digests(undisturbed, "given-1") == wanted
    study = Path(shutil.copytree(ingested_study, tmp_path / "study"))
    for number, (role, share) in enumerate(MOMENTS):
        before = _digests(study, "given-1")
        life = Life(str(study), str(tmp_path / f"{number}"), 0, role, int(share * events[role]), weights=weights)
        assert lives.live(life)[0]["killed"], (number, events)
        findings = [f"{finding.entity}: {finding.problem}" for finding in verify(study, isolated=False)]
        after = _digests(study, "given-1")
        lost = len(before.items() - after.items())
        equal = after.items() <= wanted.items()
        note("kill -9 of the real extract", f"{role} {share}", found_in(findings), equal=equal, lost=lost)
        assert all(finding.endswith(NOT_YET) for finding in findings), (number, findings)
        assert (equal, lost) == (True, 0), number
    told = lives.live(Life(str(study), str(tmp_path / "again"), workers=0, weights=weights))[0]
    assert (told["error"], told["failures"]) == ("", {})
    assert _digests(study, "given-1") == wanted
    assert verify(study, isolated=False) == []


def _digests(study: Path, feature_set: str) -> dict[str, str]:
    sql = "SELECT image_id, digest FROM shard WHERE feature_set = ? AND starts_with(image_id, 'external/')"
    return dict(query(study, sql, [feature_set]).rows())
