"""The verbs that look after a store: verify, rebuild-catalog, gc, diff, freeze."""

import json
import shutil
from pathlib import Path

import pytest

from hccfeat.cli import main
from tests.data.make_archive import make_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("care") / "study"
    make_study(study)
    cache = study / ".hccfeat" / "patches" / "0" / "a.npz"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"x" * 2_000_000)
    return study


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(made, tmp_path / "study")
    monkeypatch.chdir(copy)
    return copy


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(list(arguments))
    return status, capsys.readouterr().out


def test_verify_and_repair(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = "features/pps-1/internal/P000_1.h5"
    absent = ("models/pps-1/1y.safetensors", "warning")  # of this study, as of one passed on without its networks
    status, out = run(capsys, "verify")
    assert (status, out.splitlines()[-1]) == (0, "The store is sound.")
    (study / shard).write_bytes(b"damaged")
    status, out = run(capsys, "verify", "--json")
    assert status == 1
    assert [(row["entity"], row["level"]) for row in json.loads(out)] == [(shard, "damage"), absent]
    status, out = run(capsys, "rebuild-catalog")
    assert status == 3
    assert "Left out" in out
    status, out = run(capsys, "verify", "--repair", "--json")
    assert status == 3
    assert [(row["entity"], row["level"]) for row in json.loads(out)] == [
        (shard, "repaired"), (shard, "damage"), ("freeze paper", "warning"), absent,
    ]  # fmt: skip
    status, out = run(capsys, "verify", "--repair")
    assert "quarantine" in out, "an image without its shard is not forgotten"
    assert (status, out.splitlines()[-1]) == (0, "The store is sound.")


def test_gc_removes_nothing_unasked(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = study / ".hccfeat" / "patches" / "0"
    for arguments in (("gc",), ("gc", "--dry-run"), ("gc", "caches", "--dry-run")):
        status, out = run(capsys, *arguments)
        assert status == 0
        assert "1 item, 2.0 MB would go." in out
        assert cache.is_dir()
    status, out = run(capsys, "gc", "quarantine", "--json")
    assert (status, json.loads(out)) == (0, [])
    assert cache.is_dir()
    status, out = run(capsys, "gc", "caches")
    assert "1 item, 2.0 MB removed." in out
    assert not cache.exists()
    assert main(["gc", "everything"]) == 1


def test_freeze_lists_makes_and_releases(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "freeze", "paper", "--release") == (0, "Nothing is frozen.\n")
    status, out = run(capsys, "freeze", "paper", "--features", "pps-1", "--json")
    (row,) = json.loads(out)
    assert (status, row["name"], row["split"], row["images"]) == (0, "paper", "internal-1", 5)
    assert row["state"] == "unchanged"
    assert "paper" in run(capsys, "freeze")[1]
    assert main(["freeze", "paper", "--features", "pps-1"]) == 1  # the name is taken
    assert main(["freeze", "--release"]) == 1


def test_diff_prints_its_sections(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "diff", "pps-1", "pps-2")
    assert status == 0
    assert "only in pps-1" in out
    assert "Recipes" in out
    status, out = run(capsys, "diff", "internal@1", "internal", "--json")
    assert json.loads(out)["Values"] == []
    assert "no difference" in run(capsys, "diff", "internal", "internal")[1]
    assert main(["diff", "pps-1", "ghost"]) == 1
