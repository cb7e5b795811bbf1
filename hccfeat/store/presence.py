"""Which committed shards are still in place: one listing of the folder, and one look at each file."""

from collections.abc import Container, Iterable
from contextlib import suppress
from pathlib import Path

from hccfeat.store.names import shard_entries

CommittedFile = tuple[str, str, int, int]
"""Image, path relative to the study, bytes and mtime_ns, as table ``shard`` holds them."""


def images_in_place(
    study: Path, feature_set: str, committed: Iterable[CommittedFile], wanted: Container[str] | None = None
) -> tuple[set[str], set[str]]:
    """Compare committed shards with the files on disk.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : str
        Whose shards they are.
    committed : iterable of (image_id, path, bytes, mtime_ns)
        Rows of table ``shard``.
    wanted : container of str, optional
        Only these images are looked at.

    Returns
    -------
    intact : set of str
        Images whose file has the committed size and modification time.
    touched : set of str
        Images whose file has the committed size but another time: perhaps a copied study.
    """
    on_disk = shard_entries(study, feature_set)
    intact: set[str] = set()
    touched: set[str] = set()
    for image_id, path, size, mtime_ns in committed:
        entry = on_disk.get(path)
        if entry is None or (wanted is not None and image_id not in wanted):
            continue
        with suppress(FileNotFoundError):
            facts = entry.stat()
            if facts.st_size == size:
                (intact if facts.st_mtime_ns == mtime_ns else touched).add(image_id)
    return intact, touched
