"""Prepared MRI volumes, made once per recipe and kept.

A prepared volume lies in ``.hccfeat/volumes/<preprocessing>/<cohort>/<stem>-<phase>-<content>.npy`` with its facts
beside it (``.json``), and as a picture for people in ``results/volumes/``. All of it is derived: deleting it costs
time only. The key holds the preprocessing and the content of the volume, its masks, box and label, so a stale entry
is never used.
"""

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.config import MriRecipe
from hccfeat.errors import FailureKind, VolumeError
from hccfeat.extraction.exam_sources import ExamSource, VolumeSource
from hccfeat.extraction.volume_files import VolumeFiles, read_crop
from hccfeat.files import write_atomically, write_text_atomically
from hccfeat.mri.preprocess import PreparedVolume, prepare_volume
from hccfeat.mri.preview import preview_png
from hccfeat.mri.readers import read_volume
from hccfeat.mri.volume import VolumeFacts


def prepared_paths(study: Path, source: ExamSource, recipe: MriRecipe) -> tuple[Path, Path]:
    """Prepared volumes of one exam, from the cache where they are intact, else made now.

    Parameters
    ----------
    study : Path
        Study folder.
    source : ExamSource
        The exam as ingested.
    recipe : MriRecipe
        Only its ``volumes`` matter here.

    Returns
    -------
    tuple of Path
        ``.npy`` files, float32 (D, H, W), in the order of ``PHASES``.

    Raises
    ------
    VolumeError
        If a volume cannot be read, or is not the one that was ingested.
    """
    pre, hbp = (_prepared_path(study, source, volume, recipe) for volume in source.volumes)
    return pre, hbp


def load_prepared(path: Path) -> PreparedVolume:
    """Read a prepared volume with its facts.

    Parameters
    ----------
    path : Path
        Of :func:`prepared_paths`.
    """
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    about: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts["facts"].items()
    }
    return PreparedVolume(
        array=np.load(path, allow_pickle=False),
        affine=np.array(facts["affine"], dtype=np.float64),
        centred_on=facts["centred_on"],
        facts=VolumeFacts(**about),
    )


def _prepared_path(study: Path, source: ExamSource, volume: VolumeSource, recipe: MriRecipe) -> Path:
    preprocessing = recipe.preprocessing_sha256()
    stem = f"{source.exam_id.partition('/')[2]}-{volume.phase}"
    folder = study / ".hccfeat" / "volumes" / preprocessing[:16] / source.cohort
    path = folder / f"{stem}-{volume.quick_sha256[:16]}.npy"
    if not _intact(path):
        entity = f"{source.exam_id} {volume.phase.upper()}"
        prepared = _prepare(volume, recipe, entity)
        picture = study / "results" / "volumes" / preprocessing[:8] / source.cohort / f"{stem}.png"
        _publish(path, preview_png(prepared), picture, prepared)
    return path


def _prepare(volume: VolumeSource, recipe: MriRecipe, entity: str) -> PreparedVolume:
    files = VolumeFiles.find(volume, entity)
    if (files.bytes, files.mtime_ns) != (volume.bytes, volume.mtime_ns):
        problem = "its files changed since it was ingested"
        raise VolumeError(FailureKind.UNREADABLE, entity, problem, "Ingest the cohort again.")
    read = read_volume(volume.path, entity)
    return prepare_volume(read, read_crop(volume, read, entity), recipe.volumes, entity)


def _publish(path: Path, preview: bytes, picture: Path, prepared: PreparedVolume) -> None:
    """Write picture, array and facts; the facts come last, and without them there is no entry."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(prepared.array, dtype=np.float32), allow_pickle=False)
    facts = {
        "sha256": hashlib.sha256(content.getbuffer()).hexdigest(),
        "affine": np.asarray(prepared.affine, dtype=np.float64).tolist(),
        "centred_on": prepared.centred_on,
        "facts": asdict(prepared.facts) | {"acquired_s": None},  # a time of day is nobody's business later
    }
    write_atomically(picture, lambda temporary: _write(temporary, preview))
    write_atomically(path, lambda temporary: _write(temporary, content.getvalue()))
    write_text_atomically(path.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _intact(path: Path) -> bool:
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return hashlib.sha256(path.read_bytes()).hexdigest() == facts["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
