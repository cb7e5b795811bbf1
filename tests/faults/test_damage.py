"""Bits that flip and files that end early: ``verify`` names exactly what is damaged, and it is made again."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from hccfeat.errors import StoreError
from hccfeat.store.catalog import rebuild
from hccfeat.store.names import private_catalog_path, shard_files
from hccfeat.store.repair import repair
from hccfeat.store.verify import verify
from tests.faults.ledger import EXACT, OTHER, note
from tests.faults.trials import SEED, Trials, committed
from tests.faults.work import FEATURE_SET, IMAGES


def flip_bit(path: Path, place: int) -> None:
    """Flip one bit of a file, which keeps its size and times: what a bad disk does."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def content_of(path: Path) -> list[object]:
    """Everything a shard means, read with h5py alone; empty if it cannot be read."""
    found: list[object] = []
    try:
        with h5py.File(path, "r") as file:
            found += [sorted((name, str(value)) for name, value in file.attrs.items())]
            for name in ("features", "coords", "skipped/coords", "skipped/status"):
                values: NDArray[np.generic] = file[name][()]
                found.append((name, values.dtype.str, values.shape, values.tobytes()))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError):
        return []
    return found


def vectors_at(path: Path) -> tuple[int, int]:
    """First byte and number of bytes of the vectors in a shard; the whole file if it has none."""
    with h5py.File(path, "r") as file:
        if not len(file["features"]):
            return 0, path.stat().st_size
        chunk = file["features"].id.get_chunk_info(0)
        return chunk.byte_offset, chunk.size


def judged(trials: Trials, study: Path, fault: str, damaged: list[Path]) -> None:
    """Verify names exactly the damaged files; repair and another extract make them again, equal."""
    expected = [path.relative_to(study).as_posix() for path in damaged]
    entities = [finding.entity for finding in verify(study, isolated=False)]
    repairs = repair(study, isolated=False)
    told = trials.live(study, workers=0)
    differs = trials.differences(study)
    lost = IMAGES - len(committed(study))
    for entity in expected:
        note(fault, entity, EXACT if entities == expected else OTHER, equal=not differs, lost=lost)
    assert entities == expected
    assert (told["error"], differs) == ("", []), repairs
    assert verify(study, isolated=False) == []


def test_a_flipped_bit_in_every_shard(trials: Trials) -> None:
    """In the vectors of every other shard, anywhere in the rest: what changes nothing is no damage."""
    study = trials.study(extracted=True)
    generator = np.random.default_rng(SEED)
    damaged = []
    for number, path in enumerate(shard_files(study, FEATURE_SET)):
        before = content_of(path)
        start, size = vectors_at(path) if number % 2 else (0, path.stat().st_size)
        flip_bit(path, 8 * start + int(generator.integers(8 * size)))
        if content_of(path) != before:
            damaged.append(path)
    assert len(damaged) >= IMAGES // 2 - 1
    judged(trials, study, "a flipped bit in a shard", damaged)


def test_truncated_shards(trials: Trials) -> None:
    study = trials.study(extracted=True)
    paths = shard_files(study, FEATURE_SET)[:5]
    for path, share in zip(paths, (0.0, 0.1, 0.5, 0.9, 0.999), strict=True):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    shutil.copytree(study, second := study.with_name(f"{study.name}-second"))
    judged(trials, study, "a truncated shard", paths)
    told = trials.live(second)  # without repair: another size shows without reading
    assert (told["error"], told["embedded"]) == ("", len(paths))
    assert trials.differences(second) == []


def test_a_flipped_bit_in_a_record(trials: Trials) -> None:
    study = trials.study(extracted=True)
    record = sorted((study / "records").rglob("*.json"))[0]
    whole = record.read_bytes()
    flip_bit(record, 4 * record.stat().st_size)
    entities = [finding.entity for finding in verify(study, isolated=False)]
    told = trials.live(study)  # what was committed stays
    differs = trials.differences(study)
    exact = entities == [record.relative_to(study).as_posix()]
    note("a flipped bit in a record", "the middle", EXACT if exact else OTHER, equal=not differs)
    assert exact, entities
    assert (told["error"], differs) == ("", [])
    record.write_bytes(whole)
    assert verify(study, isolated=False) == []


@pytest.mark.parametrize("share", [0.0, 0.55])
def test_a_flipped_bit_in_the_readers_catalog(trials: Trials, share: float) -> None:
    study = trials.study(extracted=True)
    catalog = study / "catalog.duckdb"
    flip_bit(catalog, int(share * 8 * catalog.stat().st_size) + 77)
    with pytest.raises(StoreError) as caught:
        verify(study, isolated=False)
    assert caught.value.entity == str(catalog)
    rebuild(study)
    findings, differs = verify(study, isolated=False), trials.differences(study)
    note("a flipped bit in the readers' catalog", f"{share:.0%}", EXACT, equal=not differs)
    assert (findings, differs) == ([], [])


@pytest.mark.parametrize("share", [0.0, 0.55])
def test_a_flipped_bit_in_the_committers_catalog(trials: Trials, share: float) -> None:
    """The run that meets it says so and sets it aside; the next one makes it anew: all of it is elsewhere."""
    study = trials.study(extracted=True)
    private = private_catalog_path(study)
    flip_bit(private, int(share * 8 * private.stat().st_size) + 77)
    shard_files(study, FEATURE_SET)[0].unlink()  # so that there is something to commit
    first = trials.live(study)
    assert first["error"] == "" or str(private) in first["error"], first
    trial = trials.judged(study, first)
    note(
        "a flipped bit in the committer's catalog",
        f"{share:.0%}",
        "named by the run that meets it",
        equal=not trial.differs,
    )
    assert (trial.differs, trial.lost) == ([], []), trial
    assert verify(study, isolated=False) == []
