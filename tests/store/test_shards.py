import errno
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hccfeat.errors import StoreError
from hccfeat.store.names import shard_path
from hccfeat.store.shards import Shard, check_shard, content_digest, read_shard, write_shard
from tests.store.builder import shard


def assert_equal(a: Shard, b: Shard) -> None:
    for name in ("vectors", "coords", "skipped_coords", "skipped_status"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    assert (a.image_id, a.feature_set, a.feature_set_sha256) == (b.image_id, b.feature_set, b.feature_set_sha256)
    assert dict(a.attributes) == dict(b.attributes)


@pytest.mark.parametrize("n", [0, 1, 5, 1024, 1500])
def test_round_trip(tmp_path: Path, n: int) -> None:
    original = shard("internal/P1_1", n)
    info = write_shard(tmp_path, original)
    path = shard_path(tmp_path, "pps-1", "internal/P1_1")
    assert_equal(read_shard(path), original)
    assert info.path == "features/pps-1/internal/P1_1.h5"
    assert (info.bytes, info.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (info.patches, info.skipped, info.skipped_by_status) == (n, 3, {1: 2, 4: 1})
    if n:
        np.testing.assert_allclose(info.mean, original.vectors.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(info.sd, original.vectors.std(axis=0), atol=1e-6)
    again = check_shard(path, info)
    assert again.digest == info.digest
    np.testing.assert_array_equal(again.mean, info.mean)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    vectors=arrays(np.float32, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
)
def test_any_finite_content_round_trips(tmp_path: Path, vectors: np.ndarray, text: str, number: float) -> None:
    original = replace(shard("internal/x", 3, dim=2), vectors=vectors, attributes={"note": text, "number": number})
    shutil.rmtree(tmp_path / "features", ignore_errors=True)
    write_shard(tmp_path, original)
    assert_equal(read_shard(shard_path(tmp_path, "pps-1", "internal/x")), original)


@pytest.mark.parametrize("stem", ["Fall 7 – Übersicht", "肝臓", "a'b;c", ".hidden", "x.ome", "-"])
def test_unicode_and_spaces_in_names(tmp_path: Path, stem: str) -> None:
    write_shard(tmp_path, shard(f"internal/{stem}"))
    assert read_shard(shard_path(tmp_path, "pps-1", f"internal/{stem}")).image_id == f"internal/{stem}"


@pytest.mark.parametrize(
    "image_id", ["P1", "internal/", "internal/..", "internal/a/b", "Internal/a", "internal/a\n"]
)
def test_unusable_image_ids_are_refused(tmp_path: Path, image_id: str) -> None:
    with pytest.raises(StoreError, match="<cohort>/<file stem>"):
        write_shard(tmp_path, replace(shard("internal/a"), image_id=image_id))
    assert not (tmp_path / "features").exists()


def test_attributes_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    info = write_shard(tmp_path, shard("internal/a", 0, mean_red=float("nan"), tissue_fraction=float("inf")))
    assert not {"mean_red", "tissue_fraction"} & set(info.attributes)
    assert not {"mean_red", "tissue_fraction"} & set(read_shard(tmp_path / info.path).attributes)


def test_layout_is_the_one_that_trident_style_readers_expect(tmp_path: Path) -> None:
    write_shard(tmp_path, shard("internal/P1_1", 1500))
    with h5py.File(shard_path(tmp_path, "pps-1", "internal/P1_1")) as file:
        assert file["features"].shape == (1500, 8)
        assert file["features"].dtype == np.float32
        assert file["features"].chunks == (1024, 8)
        assert file["features"].fletcher32
        assert file["coords"].dtype == np.int64
        assert file["coords"].shape == (1500, 2)
        coords = dict(file["coords"].attrs)
        assert coords == {
            "name": "P1_1",
            "savetodir": "None",
            "patch_size": 224,
            "patch_size_level0": 448,
            "level0_magnification": 40,
            "overlap": 0,
            "level0_width": 4000,
            "level0_height": 3000,
        }
        assert file["features"].attrs["name"] == "P1_1"
        assert file.attrs["encoding-type"] == "hccfeat-shard"
        assert file.attrs["encoding-version"] == "1.0.0"


def test_a_standing_shard_is_never_overwritten(tmp_path: Path) -> None:
    first = write_shard(tmp_path, shard("internal/a"))
    second = write_shard(tmp_path, shard("internal/a", seed=99))
    assert second.digest == first.digest
    assert second.mtime_ns == first.mtime_ns


def test_a_damaged_shard_is_replaced(tmp_path: Path) -> None:
    first = write_shard(tmp_path, shard("internal/a"))
    path = tmp_path / first.path
    path.write_bytes(path.read_bytes()[:1000])
    assert write_shard(tmp_path, shard("internal/a")).digest == first.digest
    check_shard(path, first)


def test_every_flipped_bit_in_the_arrays_is_found(tmp_path: Path) -> None:
    original = shard("internal/a", 40)
    info = write_shard(tmp_path, original)
    path = tmp_path / info.path
    content = bytearray(path.read_bytes())
    for array in (original.vectors, original.coords, original.skipped_status):
        start = bytes(content).index(array.tobytes())
        for offset in (0, array.nbytes // 2, array.nbytes - 1):
            damaged = bytearray(content)
            damaged[start + offset] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(StoreError):
                check_shard(path, info)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_truncated_shards_are_found(tmp_path: Path, keep: int) -> None:
    info = write_shard(tmp_path, shard("internal/a", 40))
    path = tmp_path / info.path
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match="cannot be read"):
        read_shard(path)


def test_changed_attributes_are_found(tmp_path: Path) -> None:
    info = write_shard(tmp_path, shard("internal/a"))
    with h5py.File(tmp_path / info.path, "r+") as file:
        file.attrs["status"] = "excluded"
    with pytest.raises(StoreError, match="attributes do not match"):
        read_shard(tmp_path / info.path)


def test_swapped_shards_are_found(tmp_path: Path) -> None:
    a, b = (write_shard(tmp_path, shard(f"internal/{name}")) for name in "ab")
    path = tmp_path / a.path
    path.unlink()
    (tmp_path / b.path).rename(path)
    with pytest.raises(StoreError, match=r"internal/b.*swapped"):
        check_shard(path, a)


def test_vectors_under_another_name_fail_even_if_the_name_is_edited(tmp_path: Path) -> None:
    a, b = (write_shard(tmp_path, shard(f"internal/{name}")) for name in "ab")
    shutil.copyfile(tmp_path / b.path, tmp_path / a.path)
    with h5py.File(tmp_path / a.path, "r+") as file:
        file.attrs["image_id"] = "internal/a"
    with pytest.raises(StoreError, match="arrays do not match their digest"):
        read_shard(tmp_path / a.path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    info = write_shard(tmp_path, shard("internal/a"))
    with h5py.File(tmp_path / info.path, "r+") as file:
        file.attrs["encoding-version"] = "2.0.0"
    with pytest.raises(StoreError, match=r"format 2\.0\.0"):
        read_shard(tmp_path / info.path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vectors": np.full((6, 8), np.nan, dtype=np.float32)}, "NaN or infinity"),
        ({"vectors": np.full((6, 8), np.inf, dtype=np.float32)}, "NaN or infinity"),
        ({"vectors": np.zeros((6, 8))}, "float64"),
        ({"vectors": np.zeros((5, 8), dtype=np.float32)}, "vectors is"),
        ({"vectors": np.zeros((6, 0), dtype=np.float32)}, "vectors"),
        ({"coords": np.zeros((6, 2), dtype=np.int32)}, "int32"),
        ({"skipped_status": np.zeros(2, dtype=np.uint8)}, "skipped_status"),
        ({"attributes": {"digest": "x"}}, "reserved"),
        ({"attributes": {"list": [1, 2]}}, "not text"),
    ],
)
def test_malformed_shards_are_refused(tmp_path: Path, change: dict, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        write_shard(tmp_path, replace(shard("internal/a"), **change))
    assert not list(tmp_path.rglob("*.h5"))


def test_digest_is_keyed_by_image_and_layout() -> None:
    one = shard("internal/a")
    digests = {
        content_digest(one),
        content_digest(replace(one, image_id="internal/b")),
        content_digest(replace(one, vectors=one.vectors.reshape(3, 16))),
        content_digest(replace(one, coords=one.coords + 1)),
        content_digest(replace(one, skipped_status=one.skipped_status + 1)),
    }
    assert len(digests) == 5


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Stand-in for a full disk: root cannot be stopped by permissions."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with file_size_limit(20_000), pytest.raises(OSError) as caught:
        write_shard(tmp_path, shard("internal/a", 2000))
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC, None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert write_shard(tmp_path, shard("internal/a", 2000)).patches == 2000
