"""The reader of one shard's patches gives what the checked reader gives, and reads no more than asked for."""

import errno
from pathlib import Path

import h5py
import numpy as np
import pytest

from hccfeat.errors import StoreError, UnreachableShardError
from hccfeat.store.patches import PatchFile
from hccfeat.store.shards import CHUNK_ROWS, read_shard, unreadable, write_shard
from tests.store.builder import shard

ROWS = 2 * CHUNK_ROWS + 5


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("patches")
    return study / write_shard(study, shard("internal/large", ROWS, seed=1)).path


def test_everything(large: Path) -> None:
    known = read_shard(large)
    with PatchFile(large) as file:
        assert file.rows == ROWS
        np.testing.assert_array_equal(file.coords(), known.coords)
        np.testing.assert_array_equal(file.vectors(), known.vectors)


CHOSEN = {
    "none": [],
    "one": [CHUNK_ROWS],
    "both sides of an edge": [CHUNK_ROWS - 1, CHUNK_ROWS],
    "first and last": [0, ROWS - 1],
    "every third": list(range(0, ROWS, 3)),
    "all": list(range(ROWS)),
}


@pytest.mark.parametrize("case", CHOSEN)
def test_chosen_rows(large: Path, case: str) -> None:
    rows = np.array(CHOSEN[case], dtype=np.intp)
    with PatchFile(large) as file:
        found = file.vectors(rows)
    np.testing.assert_array_equal(found, read_shard(large).vectors[rows])
    assert found.dtype == np.float32


@pytest.mark.parametrize("block_rows", [1, 700, CHUNK_ROWS, ROWS, 10 * ROWS])
def test_blocks(large: Path, block_rows: int) -> None:
    rows = 40 if block_rows == 1 else ROWS
    with PatchFile(large) as file:
        parts = []
        for block in file.blocks(block_rows):
            assert len(block) <= block_rows
            parts.append(block.copy())
            if len(parts) == rows:
                break
    found = np.concatenate(parts)
    np.testing.assert_array_equal(found, read_shard(large).vectors[: len(found)])


def test_a_shard_without_patches(tmp_path: Path) -> None:
    path = tmp_path / write_shard(tmp_path, shard("internal/empty", 0)).path
    with PatchFile(path) as file:
        assert file.rows == 0
        assert file.vectors().shape == (0, 8)
        assert file.coords().shape == (0, 2)
        assert list(file.blocks()) == []


def test_damage_is_named(large: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.h5.*cannot be read"), PatchFile(tmp_path / "gone.h5"):
        pass
    data = large.read_bytes()
    cut = tmp_path / "cut.h5"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match=r"cut\.h5.*cannot be read"), PatchFile(cut) as file:
        file.vectors()
    flipped = tmp_path / "flipped.h5"
    with h5py.File(large, "r") as file:
        place = file["features"].id.get_chunk_info(1).byte_offset
    flipped.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(StoreError, match=r"verify --repair"), PatchFile(flipped) as file:
        file.vectors()
    with PatchFile(flipped) as file:
        file.vectors(np.array([0]))  # another chunk
    with pytest.raises(StoreError, match=r"flipped\.h5.*cannot be read"), PatchFile(flipped) as file:
        file.vectors(np.array([CHUNK_ROWS]))
    for number in (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE):
        assert isinstance(unreadable("a.h5", OSError(number, "refused")), UnreachableShardError)
    in_words = OSError("Can't synchronously read data (file read failed: errno = 5, error message = 'I/O')")
    assert "permissions or file system" in unreadable("a.h5", in_words).problem
    short = tmp_path / "short.h5"
    with h5py.File(short, "w") as file:
        file["coords"] = np.zeros((3, 2), dtype=np.int64)
        file["features"] = np.zeros((2, 8), dtype=np.float32)
    with pytest.raises(StoreError, match=r"shape \(2, 8\) for 3 coordinates"), PatchFile(short) as file:
        next(file.blocks())
