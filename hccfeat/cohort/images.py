"""Which image belongs to which patient: the slides folder and the manifest."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hccfeat.cohort.tables import ROW, RawTable, read_manifest
from hccfeat.cohort.values import is_missing, parse_number
from hccfeat.errors import InputError
from hccfeat.files import quick_hash

_TCGA = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")
MIN_MPP, MAX_MPP = 0.05, 16.0


@dataclass(frozen=True)
class ImageProblem:
    """Something about one image, exam or patient; ``level`` "error" means that something is left out.

    A "caution" is taken as it is but worth a look.
    """

    entity: str
    problem: str
    remedy: str
    level: Literal["error", "caution", "info"] = "error"


@dataclass(frozen=True)
class _Named:
    path: Path
    patient: str
    mpp: float | None


def find_images(
    slides: Path | None,
    manifest: Path | None,
    cohort: str,
    patients: Collection[str],
    suffixes: Collection[str],
) -> tuple[list[dict[str, Any]], list[ImageProblem]]:
    """Find a cohort's images and their patients.

    With a manifest (columns file, patient_id and optionally mpp) only the files it names are taken. A name
    is looked up in the slides folder, beside the manifest, and, without a folder part, anywhere below the
    slides folder. Without a manifest every file below ``slides`` counts, and its patient is the TCGA barcode
    at the start of its name, or else the patient whose id is the name or begins it up to a ``_`` (the
    longest such id), or what stands before the first ``_``.

    Parameters
    ----------
    slides : Path, optional
        Folder of images, searched with its subfolders.
    manifest : Path, optional
        Table of images.
    cohort : str
        Name of the cohort.
    patients : collection of str
        Accepted patient ids (``<cohort>/<id>``).
    suffixes : collection of str
        Supported file extensions in lower case, with their dot.

    Returns
    -------
    images : list of dict
        (image_id, patient_id, cohort, path, mpp, bytes, mtime_ns, quick_sha256), ordered by image_id; ``path`` is
        absolute, ``mpp`` the manifest's override in micrometres per pixel or None.
    problems : list of ImageProblem
        What was left out and why, and patients without an image.

    Raises
    ------
    InputError
        If the folder or the manifest does not exist, or the manifest lacks a needed column.
    """
    if slides is not None and not slides.is_dir():
        raise InputError(str(slides), "is not a folder", "Name the folder that holds the slides.")
    problems: list[ImageProblem] = []
    files = sorted(_walk(slides)) if slides else []
    if manifest is not None:
        named = _from_manifest(read_manifest(manifest), slides, files, cohort, patients, problems)
    else:
        named = [_Named(path, _patient_of(path, cohort, patients), None) for path in files]
    kept = [item for item in named if _supported(item.path, suffixes, problems)]
    images = [
        row
        for name, group in sorted(_by_image_id(kept).items())
        if (row := _image_row(name, group, cohort, patients, problems)) is not None
    ]
    _note_same_content(images, problems)
    if slides is not None or manifest is not None:
        pictured = {row["patient_id"] for row in images}
        remedy = "Add a slide, or leave it: clinical data are kept."
        without = sorted(set(patients) - pictured)
        problems += [ImageProblem(patient, "has no image", remedy, "info") for patient in without]
    return images, problems


def _walk(folder: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in names if not name.startswith("."))


def _supported(path: Path, suffixes: Collection[str], problems: list[ImageProblem]) -> bool:
    if path.suffix.lower() in suffixes:
        return True
    problem = f"has the extension {path.suffix or '(none)'}, which is not an image hccfeat reads"
    problems.append(ImageProblem(str(path), problem, f"Supported: {', '.join(sorted(suffixes))}.", "info"))
    return False


def _nfc(text: str) -> str:
    # macOS delivers decomposed file names; tables come composed.
    return unicodedata.normalize("NFC", text)


def _patient_of(path: Path, cohort: str, patients: Collection[str]) -> str:
    stem = _nfc(path.stem)
    barcode = _TCGA.match(stem)
    if barcode:
        return f"{cohort}/{barcode.group()}"
    parts = stem.split("_")
    for length in range(len(parts), 0, -1):
        candidate = f"{cohort}/{'_'.join(parts[:length])}"
        if candidate in patients:
            return candidate
    return f"{cohort}/{parts[0]}"


def _from_manifest(
    table: RawTable,
    slides: Path | None,
    files: list[Path],
    cohort: str,
    patients: Collection[str],
    problems: list[ImageProblem],
) -> list[_Named]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_name[_nfc(path.name)].append(path)
    for item in table.rejected:
        entity = f"{table.path}, row {item.row}"
        problems.append(ImageProblem(entity, item.reason, "Correct the row of the manifest."))
    named: list[_Named] = []
    for row in table.frame.to_dicts():
        entity = f"{table.path}, row {row[ROW]}"
        try:
            path = _locate(row["file"], table.path.parent, slides, by_name)
            patient = row.get("patient_id", "")
            named.append(_Named(path, _manifest_patient(patient, path, cohort, patients), _mpp(row.get("mpp"))))
        except ValueError as error:
            problems.append(ImageProblem(entity, str(error), "Correct the row of the manifest."))
    listed = {table.path.resolve(), *(item.path.resolve() for item in named)}
    unlisted = [path for path in files if path.resolve() not in listed]
    remedy = "Add a row if it is wanted."
    problems += [ImageProblem(str(path), "is not in the manifest", remedy, "info") for path in unlisted]
    return named


def _manifest_patient(patient: str, path: Path, cohort: str, patients: Collection[str]) -> str:
    if is_missing(patient):
        return _patient_of(path, cohort, patients)
    return _nfc(patient) if patient.startswith(f"{cohort}/") else f"{cohort}/{_nfc(patient)}"


def _locate(name: str, beside: Path, slides: Path | None, by_name: dict[str, list[Path]]) -> Path:
    if is_missing(name):
        message = "names no file"
        raise ValueError(message)
    for folder in (slides, beside):
        if folder is not None and (folder / name).is_file():
            return folder / name
    found = by_name.get(_nfc(name), [])
    if len(found) > 1:
        message = f"names {name}, which lies in {len(found)} folders (give the folder too)"
        raise ValueError(message)
    if not found:
        message = f"names {name}, which does not exist"
        raise ValueError(message)
    return found[0]


def _mpp(text: str | None) -> float | None:
    if is_missing(text):
        return None
    try:
        mpp = parse_number(text or "")
    except ValueError as error:
        message = f"mpp {error}"
        raise ValueError(message) from error
    if not MIN_MPP <= mpp <= MAX_MPP:
        message = f"mpp is {mpp:g}, outside {MIN_MPP:g} to {MAX_MPP:g} micrometres per pixel"
        raise ValueError(message)
    return mpp


def _by_image_id(named: list[_Named]) -> dict[str, list[_Named]]:
    groups: dict[str, list[_Named]] = defaultdict(list)
    for item in named:
        groups[_nfc(item.path.stem)].append(item)
    return groups


def _image_row(
    name: str, group: list[_Named], cohort: str, patients: Collection[str], problems: list[ImageProblem]
) -> dict[str, Any] | None:
    if len(group) > 1:
        for item in group:
            others = ", ".join(str(other.path) for other in group if other is not item)
            remedy = "Give every image its own name; neither is taken."
            problems.append(ImageProblem(str(item.path), f"has the same name as {others}", remedy))
        return None
    item = group[0]
    if item.patient not in patients:
        remedy = "Add the patient to the clinical table, or name the patient in a manifest."
        problem = f"belongs to patient {item.patient}, who is not in the clinical table"
        problems.append(ImageProblem(str(item.path), problem, remedy))
        return None
    try:
        facts, content = item.path.stat(), quick_hash(item.path)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        problems.append(ImageProblem(str(item.path), problem, "Check the file and its permissions."))
        return None
    return {
        "image_id": f"{cohort}/{name}",
        "patient_id": item.patient,
        "cohort": cohort,
        "path": str(item.path.absolute()),
        "mpp": item.mpp,
        "bytes": facts.st_size,
        "mtime_ns": facts.st_mtime_ns,
        "quick_sha256": content,
    }


def _note_same_content(images: list[dict[str, Any]], problems: list[ImageProblem]) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for row in images:
        first = seen.setdefault(row["quick_sha256"], row)
        if first is not row and row["bytes"]:
            problem = f"seems to have the same content as {first['path']}"
            remedy = "Remove one: a picture in two patients leaks from training to test."
            problems.append(ImageProblem(row["path"], problem, remedy, "info"))
