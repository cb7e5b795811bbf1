"""Finding the files of a folder by what their names end in."""

from collections.abc import Iterable
from pathlib import Path

from hccfeat.errors import InputError
from hccfeat.exchange.bag import FoundFile


def files_in(folder: Path, suffix: str, *, below: bool = False) -> list[Path]:
    """Files with a suffix in a folder (and ``below`` it), hidden ones left out, sorted."""
    found = folder.rglob(f"*{suffix}") if below else folder.glob(f"*{suffix}")
    inside = (path for path in found if path.is_file())
    return sorted(p for p in inside if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def by_stem(paths: Iterable[Path]) -> list[FoundFile]:
    """Name each file by its stem."""
    return [FoundFile(path.stem, path) for path in paths]


def nothing_found(path: Path, layout: str, wanted: str) -> InputError:
    """Error for a folder without files of a format."""
    return InputError(str(path), f"holds no {layout} features", f"Give {wanted}; docs/formats.md shows the layout.")
