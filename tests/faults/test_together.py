"""Two runs at once, and readers that stay while a run commits."""

import os
import time
from pathlib import Path

import pytest

from hccfeat.errors import StoreError
from hccfeat.store.catalog import open_catalog, query
from hccfeat.store.committer import Committer
from hccfeat.store.records import write_record
from hccfeat.store.shards import write_shard
from hccfeat.store.verify import verify
from tests.faults.ledger import found_in, note
from tests.faults.trials import Trials
from tests.faults.work import IMAGES
from tests.store.builder import feature_set_row, image_ids, make_study, shard

COUNT = "SELECT count(*) AS n FROM shard"


def test_two_extracts_at_once(trials: Trials) -> None:
    study = trials.study()
    told = trials.lives.live(trials.life(study), trials.life(study, workers=0))
    refused = [one["error"] for one in told if one["error"]]
    assert len(refused) == 1
    assert refused[0].startswith("StudyBusyError")
    assert sum(one.get("embedded", 0) for one in told) == IMAGES
    findings = [str(finding) for finding in verify(study, isolated=False)]
    differs = trials.differences(study)
    note("two extracts at once", "together", found_in(findings), equal=not differs)
    assert (findings, differs) == ([], [])


def test_a_reader_stays_open_while_extraction_commits(trials: Trials) -> None:
    study = trials.study()
    reader = open_catalog(study)
    seen = []
    trials.lives.begin(trials.life(study, workers=1, publish=True))
    until = time.monotonic() + 30
    while (not seen or seen[-1] < IMAGES) and time.monotonic() < until:
        assert reader.sql(COUNT).fetchall() == [(0,)]  # its own catalog, as it was when it came
        seen.append(query(study, COUNT)["n"][0])
    told = trials.lives.end()[0]
    assert (told["error"], told["embedded"]) == ("", IMAGES)
    assert reader.sql(COUNT).fetchall() == [(0,)]
    reader.close()
    assert seen == sorted(seen)
    assert len(set(seen)) > 2, "the readers' copy was published again and again meanwhile"
    findings = [str(finding) for finding in verify(study, isolated=False)]
    differs = trials.differences(study)
    note("a reader that stays open", f"{len(set(seen))} copies seen", found_in(findings), equal=not differs)
    assert (findings, differs) == ([], [])


def test_another_process_publishes_an_equal_shard_meanwhile(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    image_id = image_ids()[0]
    with Committer(study) as committer:
        (study / "features/pps-1" / f"{image_id}.h5").unlink()
        info = write_shard(study, shard(image_id))
        os.utime(study / info.path, ns=(1, 1))
        committer.adopt([info])
        assert image_id in committer.done_images("pps-1")
        (study / info.path).unlink()
        write_shard(study, shard(image_id, seed=1))
        with pytest.raises(StoreError, match="changed since it was written"):
            committer.adopt([info])


def test_readers_see_what_a_killed_run_left_before_work_goes_on(tmp_path: Path) -> None:
    """``extract`` asks the readers' catalog what there is: an old copy would let it train again."""
    study = make_study(tmp_path / "study")
    write_record(study, "feature_sets", "late-1", {"feature_set": [feature_set_row("late-1")]})
    with Committer(study):
        assert query(study, "SELECT count(*) AS n FROM feature_set WHERE base = 'late'")["n"][0] == 1
