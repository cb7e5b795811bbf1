"""The benchmarks of the store run at a small size; what they print is what ``docs/speed-store.md`` explains."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import growth, memory, store_speed


def test_aggregation_and_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sizes = ["--patches", "600", "--images", "6", "--few", "2", "--vectors", "30", "--repeat", "1"]
    monkeypatch.setattr(sys, "argv", ["x", "--folder", str(tmp_path), *sizes, "--json", str(tmp_path / "out.json")])
    assert store_speed.main() == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 2 == 14
    by_name = {row["what"]: row for row in rows}
    assert {"plain `read_direct`, 6 shards", "means, counts and spreads, 2 shards"} <= set(by_name)
    assert "patches of two images in a region: opens 2 of 6 shards, reads 20 vectors" in by_name
    assert "patches of one patient in a region: opens 2 of 6 shards, reads 20 vectors" in by_name
    assert list(tmp_path.iterdir()) == [tmp_path / "out.json"], "the studies are removed"


def test_growth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--folder", str(tmp_path), "--sizes", "3", "9"])
    assert growth.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert "3 slides | 9 slides" in lines[0]
    assert any(line.startswith(f"| {growth.ONE_MORE} |") for line in lines)


def test_memory(tmp_path: Path) -> None:
    rows = memory.measure(tmp_path / "memory", 2, None)
    assert [(row["slides"], row["patches"]) for row in rows] == [(1, 9), (2, 18)]
    assert "| 2 | 18 |" in memory.table(rows)
