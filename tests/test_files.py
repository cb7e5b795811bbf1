"""Atomic publication and hashes."""

import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hccfeat.files import (
    canonical_json,
    copy_file,
    file_system,
    quick_hash,
    sha256_of,
    write_atomically,
    write_text_atomically,
)


def test_a_failed_write_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text_atomically(target, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError

    with pytest.raises(OSError):
        write_atomically(target, fail)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text_atomically(target, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError):
            write_text_atomically(target, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_canonical_json_does_not_depend_on_order(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert sha256_of(value) == sha256_of(backwards)


def test_canonical_json_refuses_nan() -> None:
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_quick_hash_sees_both_ends_and_the_size(tmp_path: Path) -> None:
    path = tmp_path / "slide"
    hashes = set()
    for content in (b"a" * 50, b"a" * 49 + b"b", b"b" + b"a" * 49, b"a" * 51):
        path.write_bytes(content)
        hashes.add(quick_hash(path, block=8))
    assert len(hashes) == 4


def test_file_systems_by_the_nearest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
        r"40 22 0:40 / /mnt/my\040slides rw,relatime shared:5 - nfs4 server:/slides rw",
        "41 22 0:41 / /mnt/other rw - xfs /dev/sdb1 rw",
    )
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "\n".join(lines))
    assert file_system(Path("/mnt/my slides/study/x")) == "nfs4"
    assert file_system(Path("/mnt/otherwise")) == "ext4"
    assert file_system(Path("/mnt/other/x")) == "xfs"


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_copy_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supported: bool, size: int) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError("not supported by this file system")

    if not supported:
        monkeypatch.setattr("os.copy_file_range", refuse, raising=False)
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "a").write_bytes(content[:size])
    (tmp_path / "b").write_bytes(b"something longer that was there before")
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content[:size]
