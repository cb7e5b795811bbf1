"""Names in a study: of entities, feature sets, files and generated tables."""

import os
from contextlib import suppress
from pathlib import Path

from hccfeat.config import NAME_PATTERN
from hccfeat.errors import StoreError

SHARD_SUFFIX = ".h5"
_MAX_STEM_BYTES = 200  # a hidden temporary sibling, whose name is longer, must fit into 255 bytes


def catalog_path(study: Path) -> Path:
    """Published copy of the catalog: what readers open."""
    return study / "catalog.duckdb"


def private_catalog_path(study: Path) -> Path:
    """The committer's own catalog."""
    return study / ".hccfeat" / "catalog.duckdb"


def quarantine_folder(study: Path) -> Path:
    """Where damaged shards are kept, each with a JSON file that says where it lay and what is wrong with it."""
    return study / "quarantine"


def check_feature_set_name(name: str) -> None:
    """Refuse a name that cannot stand for a folder and a table.

    Raises
    ------
    StoreError
        If it is not a slug.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise StoreError(
            f"feature set {name!r}", "is not a usable name", "Use lower-case letters, digits, - and _ (at most 63)."
        )


def check_image_id(image_id: str) -> tuple[str, str]:
    """Split ``<cohort>/<stem>`` into its parts.

    Raises
    ------
    StoreError
        If it has another form, or the stem cannot be a file name.
    """
    cohort, slash, stem = image_id.partition("/")
    forbidden = not stem or stem in (".", "..") or any(c in "/\\" or ord(c) < 32 for c in stem)
    if not slash or not NAME_PATTERN.fullmatch(cohort) or forbidden:
        raise StoreError(f"image {image_id!r}", "is not <cohort>/<file stem>", "Rename the image file.")
    if len(stem.encode()) > _MAX_STEM_BYTES:
        raise StoreError(
            f"image {image_id!r}", f"has a name longer than {_MAX_STEM_BYTES} bytes", "Rename the image file."
        )
    return cohort, stem


def shard_path(study: Path, feature_set: str, image_id: str) -> Path:
    """File of one image's shard: ``features/<feature set>/<cohort>/<stem>.h5``.

    Raises
    ------
    StoreError
        If a name is not usable.
    """
    check_feature_set_name(feature_set)
    cohort, stem = check_image_id(image_id)
    return study / "features" / feature_set / cohort / (stem + SHARD_SUFFIX)


def shard_entries(study: Path, feature_set: str) -> dict[str, os.DirEntry[str]]:
    """Every published shard of a feature set on disk, by its path relative to the study.

    Temporary siblings have another suffix. 50,000 files take some ten milliseconds, a tenth of what a ``Path`` and
    a question to the file system for each would.
    """
    found: dict[str, os.DirEntry[str]] = {}
    with suppress(FileNotFoundError), os.scandir(study / "features" / feature_set) as cohorts:
        for cohort in cohorts:
            if cohort.is_dir():
                place = f"features/{feature_set}/{cohort.name}/"
                with os.scandir(cohort.path) as entries:
                    found |= {
                        place + entry.name: entry
                        for entry in entries
                        if entry.name.endswith(SHARD_SUFFIX) and entry.is_file()
                    }
    return found


def shard_files(study: Path, feature_set: str) -> list[Path]:
    """Every published shard of a feature set on disk, sorted."""
    return sorted(study / relative for relative in shard_entries(study, feature_set))


def image_id_of(path: Path) -> str:
    """Image that a shard's place says it belongs to."""
    return f"{path.parent.name}/{path.name.removesuffix(SHARD_SUFFIX)}"


def safe_name(feature_set: str) -> str:
    """Name of a feature set inside a table name: ``pps-1`` becomes ``pps_1``."""
    return feature_set.replace("-", "_")


def image_table(feature_set: str) -> str:
    """Table of image-level vectors of a feature set."""
    return f"image_vector_{safe_name(feature_set)}"


def patient_table(feature_set: str) -> str:
    """Table of patient-level vectors of a feature set."""
    return f"patient_vector_{safe_name(feature_set)}"
