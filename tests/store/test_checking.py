import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from hccfeat.errors import StoreError
from hccfeat.store.checking import inspect_shards
from hccfeat.store.inspection import Inspection, inspect_shard, oddities
from hccfeat.store.shards import shard_path, write_shard
from hccfeat.store.verify import verify
from tests.store.builder import shard


def made(study: Path, image_id: str, **arrays: np.ndarray) -> Inspection:
    original = shard(image_id, 40)
    write_shard(study, type(original)(**{**vars(original), **arrays}))
    return inspect_shard(shard_path(study, "pps-1", image_id))


def problems(inspections: list[Inspection]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in oddities(inspections):
        assert finding.level == "warning"
        found.setdefault(finding.entity.rpartition("/")[2], []).append(finding.problem)
    return found


@pytest.fixture
def ordinary(tmp_path: Path) -> list[Inspection]:
    return [made(tmp_path, f"internal/a{i}") for i in range(8)]


def test_ordinary_shards_have_no_oddities(ordinary: list[Inspection]) -> None:
    assert oddities(ordinary) == []
    assert oddities([]) == []


def test_zero_and_repeated_vectors_are_counted(tmp_path: Path, ordinary: list[Inspection]) -> None:
    vectors = shard("internal/b", 40).vectors.copy()
    vectors[3:5] = 0
    vectors[10] = vectors[11] = vectors[12]
    odd = made(tmp_path, "internal/b", vectors=vectors)
    assert (odd.zero, odd.repeated) == (2, 2)
    assert problems([*ordinary, odd]) == {
        "b.h5": ["2 of 40 vectors are zero", "2 of 40 vectors repeat another one"],
    }


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_one_vector_of_another_size_is_an_outlier(
    tmp_path: Path, ordinary: list[Inspection], factor: float
) -> None:
    vectors = shard("internal/b", 40).vectors.copy()
    vectors[7] *= factor
    found = problems([*ordinary, made(tmp_path, "internal/b", vectors=vectors)])
    assert list(found) == ["b.h5"]
    assert "have norms from" in found["b.h5"][0]


def test_one_vector_per_image_has_outliers_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    one = {name: getattr(shard("internal/c", 1), name) for name in ("coords",)}
    vectors = [1 + rng.normal(scale=0.05, size=(1, 8)).astype(np.float32) for _ in range(9)]
    vectors.append(np.float32(3) * vectors[0] + np.float32(0.01))
    found = problems([made(tmp_path, f"internal/c{i}", vectors=v, **one) for i, v in enumerate(vectors)])
    assert list(found) == ["c9.h5"]


def test_two_images_with_the_same_vectors(tmp_path: Path, ordinary: list[Inspection]) -> None:
    vectors = shard("internal/a3", 40).vectors
    twin = made(tmp_path, "internal/z", vectors=vectors)
    assert problems([*ordinary, twin]) == {"z.h5": ["has the same vectors as internal/a3"]}


def test_only_zero_vectors_and_no_vectors(tmp_path: Path) -> None:
    zeros = made(tmp_path, "internal/d", vectors=np.zeros((40, 8), dtype=np.float32))
    empty = inspect_shard(tmp_path / write_shard(tmp_path, shard("internal/e", 0)).path)
    assert problems([zeros, empty]) == {"d.h5": ["40 of 40 vectors are zero"]}


def test_warnings_are_no_damage(study: Path) -> None:
    path = study / "features" / "pps-1" / "internal" / "P000_1.h5"
    path.unlink()
    odd = shard("internal/P000_1")
    write_shard(study, type(odd)(**{**vars(odd), "vectors": np.zeros_like(odd.vectors)}))
    warnings: list = []
    findings = verify(study, warnings=warnings)
    assert [finding.problem for finding in findings] == ["is intact but not the shard that was committed"]
    assert [finding.problem for finding in warnings] == ["6 of 6 vectors are zero"]


def test_another_process_finds_the_same(study: Path) -> None:
    paths = sorted((study / "features").rglob("*.h5"))
    paths[2].write_bytes(b"nothing")
    paths[3].rename(paths[4])
    apart, here = (list(inspect_shards(paths, isolated=isolated)) for isolated in (True, False))
    for (path, a), (same, b) in zip(apart, here, strict=True):
        assert path == same
        assert type(a) is type(b)
        if isinstance(a, Inspection) and isinstance(b, Inspection):
            assert (a.info.digest, a.log_norms, a.zero, a.repeated) == (
                b.info.digest, b.log_norms, b.zero, b.repeated,
            )  # fmt: skip
        else:
            assert str(a) == str(b)


def test_a_file_that_hangs_hdf5_is_named_and_the_others_are_checked(study: Path) -> None:
    """A pipe at a shard's place: opening it waits for a writer that never comes."""
    paths = sorted((study / "features").rglob("*.h5"))[:3]
    paths[1].unlink()
    os.mkfifo(paths[1])
    results = [result for _, result in inspect_shards(paths, time_limit=0.5)]
    assert [isinstance(result, Inspection) for result in results] == [True, False, True]
    assert "within 0.5 s" in str(results[1])


def test_a_file_that_kills_its_process_is_named_and_the_others_are_checked(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hccfeat.store import checking

    paths = sorted((study / "features").rglob("*.h5"))[:3]
    paths[1].unlink()
    os.mkfifo(paths[1])
    started = checking._Worker._start

    def start(worker: "checking._Worker") -> object:
        pipe = started(worker)
        process = worker._process
        if process is not None and process.pid is not None:
            threading.Timer(1.0, _kill, [process.pid]).start()
        return pipe

    monkeypatch.setattr(checking._Worker, "_start", start)
    results = [result for _, result in inspect_shards(paths, time_limit=30)]
    assert [isinstance(result, Inspection) for result in results] == [True, False, True]
    assert isinstance(results[1], StoreError)
    assert f"exit status -{signal.SIGKILL.value}" in results[1].problem


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
