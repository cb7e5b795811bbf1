"""Committed shards are found in place, missing or touched from one listing of their folder."""

import os
from pathlib import Path

from hccfeat.store.catalog import query
from hccfeat.store.names import shard_entries, shard_files, shard_path
from hccfeat.store.presence import images_in_place
from tests.store.builder import image_ids


def test_entries_are_the_published_shards(study: Path) -> None:
    folder = study / "features" / "pps-1" / "internal"
    (folder / ".x.h5.0123.tmp").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    (folder / "folder.h5").mkdir()
    (folder.parent / "stray.h5").write_bytes(b"")
    assert sorted(shard_entries(study, "pps-1")) == [f"features/pps-1/{i}.h5" for i in sorted(image_ids())]
    assert shard_files(study, "pps-1") == [shard_path(study, "pps-1", i) for i in sorted(image_ids())]
    assert shard_files(study, "pps-9") == []


def test_images_in_place(study: Path) -> None:
    rows = query(study, "SELECT image_id, path, bytes, mtime_ns FROM shard ORDER BY image_id").rows()
    ids = [row[0] for row in rows]
    assert images_in_place(study, "pps-1", rows) == (set(ids), set())
    (study / rows[0][1]).unlink()
    os.utime(study / rows[1][1], ns=(1, 1))
    with (study / rows[2][1]).open("ab") as file:
        file.write(b"x")
    assert images_in_place(study, "pps-1", rows) == (set(ids[3:]), {ids[1]})
    assert images_in_place(study, "pps-1", rows, wanted=set(ids[:4])) == ({ids[3]}, {ids[1]})
