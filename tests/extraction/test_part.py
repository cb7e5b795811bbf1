"""``extract --part I/N`` and ``commit``: parts side by side, beside another writer, again after a death."""

import shutil
import threading
from pathlib import Path

import pytest

from hccfeat.cli import main as hccfeat
from hccfeat.errors import FailureKind, InputError, StoreError
from hccfeat.extraction import part, workflow
from hccfeat.extraction.part import parse_part, share
from hccfeat.store.catalog import query, tables_equal
from hccfeat.store.committer import Committer
from hccfeat.store.names import shard_path
from hccfeat.store.verify import verify
from hccfeat.study import open_study
from tests.extraction.plain_tasks import IMAGES, PlainWork, digests, plain_shard, plain_study, publish


@pytest.fixture(autouse=True)
def _plain_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "SlideWork", PlainWork)


def test_parts_are_even_and_do_not_depend_on_what_is_done() -> None:
    wanted = {f"c/{number}": size for number, size in enumerate([5, 9, 1, 7, 3, 8, 2])}
    parts = [share(wanted, (number, 3)) for number in (1, 2, 3)]
    assert [list(one.values()) for one in parts] == [[9, 5, 1], [8, 3], [7, 2]]
    assert {key for one in parts for key in one} == set(wanted)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(InputError, match="I/N"):
        parse_part(text)


def test_parts_at_once_beside_another_writer(study: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(study, tmp_path / "alone"))
    open_study(alone).extract(device="cpu")
    opened = open_study(study)
    problems: list[BaseException] = []

    def run(number: int) -> None:
        try:
            opened.extract(device="cpu", part=(number, 2))
        except BaseException as error:
            problems.append(error)

    with Committer(study) as committer:  # another writer, the whole time
        threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        committer.record("runs", "other", {"run": [{"run_id": "other", "command": "other", "seconds": 1.0}]})
        for thread in threads:
            thread.join()
    assert problems == []
    assert digests(study) == {}, "a part commits nothing"
    done = opened.commit()
    assert done.adopted == {"pps-1": IMAGES}
    assert done.parts == 2
    assert digests(study) == digests(alone)
    assert verify(study, isolated=False) == []
    assert not list((study / ".hccfeat" / "parts").iterdir())
    runs = query(study, "SELECT settings FROM run WHERE command = 'extract' ORDER BY run_id")["settings"]
    assert sorted('"part": "1/2"' in text for text in runs) == [False, True]
    again = opened.commit()
    assert (again.adopted, again.parts) == ({}, 0)
    assert opened.extract(device="cpu").nothing_done


def test_a_part_goes_on_where_it_was_killed(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_study(study)
    first = opened.extract(device="cpu", part=(1, 3))
    assert (first.embedded, first.already_done) == (3, 0)
    damaged = shard_path(study, "pps-1", "internal/03")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    second = opened.extract(device="cpu", part=(1, 3))
    assert (second.embedded, second.already_done) == (1, 2)
    assert opened.extract(device="cpu", part=(1, 3)).nothing_done
    opened.commit()
    assert sorted(digests(study)) == ["internal/00", "internal/03", "internal/06"]
    assert opened.extract(device="cpu", part=(1, 3), dry_run=True).todo == 0
    assert opened.extract(device="cpu", part=(2, 3), dry_run=True).todo == 3


def test_shards_that_parts_made_again_are_adopted(study: Path) -> None:
    opened = open_study(study)
    opened.extract(device="cpu")
    before = digests(study)
    shard_path(study, "pps-1", "internal/03").unlink()
    damaged = shard_path(study, "pps-1", "internal/04")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    for number in (1, 2):
        opened.extract(device="cpu", part=(number, 2))
    assert opened.commit().adopted == {"pps-1": 2}
    assert digests(study) == before
    assert verify(study, isolated=False) == []
    assert opened.extract(device="cpu").nothing_done


@pytest.mark.parametrize("part", [None, (1, 1)])
def test_a_copied_study_is_not_embedded_again(study: Path, tmp_path: Path, part: tuple[int, int] | None) -> None:
    open_study(study).extract(device="cpu")
    copied = open_study(Path(shutil.copytree(study, tmp_path / "copy", copy_function=shutil.copyfile)))
    assert copied.extract(device="cpu", part=part, dry_run=True).todo == 0
    assert copied.extract(device="cpu", part=part).nothing_done
    assert copied.commit().findings == []
    assert verify(copied.folder, isolated=False) == []


def test_failures_of_parts_reach_the_catalog(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainWork, "happens", {"internal/01": "failure", "internal/02": "error"})
    opened = open_study(study)
    assert len(opened.extract(device="cpu", part=(1, 1)).failures) == 2
    done = opened.commit()
    assert {one.image_id: one.kind for one in done.failures} == {
        "internal/01": FailureKind.UNREADABLE,
        "internal/02": FailureKind.UNKNOWN,
    }
    assert len(opened.status()["Failures"]) == 2
    monkeypatch.setattr(PlainWork, "happens", {})
    opened.extract(device="cpu", part=(1, 1))
    opened.commit()
    assert opened.status()["Failures"] == []
    before = study / "before.duckdb"
    before.write_bytes((study / "catalog.duckdb").read_bytes())
    assert tables_equal(before, opened.rebuild_catalog())


def test_a_killed_commit_records_a_part_once(study: Path) -> None:
    opened = open_study(study)
    opened.extract(device="cpu", part=(1, 1))
    note = next((study / ".hccfeat" / "parts").iterdir())
    text = note.read_text()
    opened.commit()
    note.write_text(text)  # as if it had been killed before its last step
    assert opened.commit().parts == 0
    assert not note.exists()
    note.write_text("{")
    with pytest.raises(StoreError, match="no note of a part"):
        opened.commit()


def test_what_a_part_refuses(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without = plain_study(tmp_path / "without", 2, with_features=False)
    with pytest.raises(InputError, match=r"feature set pps: does not exist yet.*--no-embed"):
        open_study(without).extract(device="cpu", part=(1, 2))
    for option in ({"train": True}, {"folds": 5}, {"embed": False}):
        with pytest.raises(InputError, match="only fills"):
            open_study(study).extract(device="cpu", part=(1, 2), **option)
    with pytest.raises(InputError, match="one of the two"):
        open_study(study).extract(device="cpu", workers=2, scheduler="tcp://127.0.0.1:1")
    assert not (study / "features").exists()


def test_on_the_command_line(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainWork, "happens", {"internal/04": "failure"})
    at = ["--study", str(study)]
    assert hccfeat(["extract", "--device", "cpu", "--part", "1/2", *at]) == 3
    said = capsys.readouterr().out
    assert "hccfeat commit" in said
    assert "forward 2.0 s (100%)" in said
    assert hccfeat(["commit", *at]) == 3
    assert "Adopted 4 shards of pps-1; 1 parts have ended." in capsys.readouterr().out
    assert hccfeat(["commit", *at]) == 0
    assert hccfeat(["extract", "--part", "3/2", *at]) == 1


def test_a_shard_that_no_machine_sees_is_a_failure(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hccfeat.extraction import embedding

    def hidden(task):
        outcome = publish(task)
        if task.image_id == "internal/05":
            shard_path(study, "pps-1", task.image_id).unlink()
        return outcome

    waited: list[Path] = []

    def waits(path: Path, seconds: float = 0.0) -> bool:
        waited.append(path)
        return wait(path, 0.0)

    wait = embedding.wait_until_seen
    monkeypatch.setattr(embedding, "wait_until_seen", waits)
    monkeypatch.setattr("tests.extraction.plain_tasks.publish", hidden)
    summary = open_study(study).extract(device="cpu")
    assert [(one.image_id, "does not see it" in one.message) for one in summary.failures] == [("internal/05", True)]
    assert len(waited) == IMAGES


def test_a_late_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "features" / "late.h5"
    assert not part.wait_until_seen(path, 0.0)
    path.parent.mkdir()
    timer = threading.Timer(0.2, path.touch)
    timer.start()
    assert part.wait_until_seen(path, 5.0)
    timer.join()
    assert plain_shard("internal/00").image_id == "internal/00"
