"""One finished cell as one file: what its encoder said of the images it judges, and what it has seen."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hccfeat.errors import StoreError
from hccfeat.extraction.cell_specs import CellSpec
from hccfeat.files import write_text_atomically
from hccfeat.models.weights import load_tensors, read_metadata, save_tensors

VERSION = 1
KIND = "cell"


@dataclass(frozen=True)
class JudgedImage:
    """What one encoder said of one image.

    ``coords`` int64 (n, 2) are level-0 pixels, ``probabilities`` float32 (n,), ``vectors`` float32 (n, D).
    """

    image_id: str
    patient_id: str
    coords: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cell:
    """A finished encoder of the subset study and its judgement.

    Attributes
    ----------
    spec : CellSpec
        Which encoder.
    seen : frozenset of str
        Patients whose images or outcomes trained or selected. In parts ``fold...`` and ``final`` nobody judged
        is among them; in part ``whole`` the training patients are judged too, and only the others count.
    facts : dict
        ``patients_trained``, ``images``, ``patches``, ``epochs``, ``best_epoch``, ``seconds`` (None where not
        known), ``parameters``, ``history``, ``identity`` (of the training), ``considered``, ``censored``,
        ``images_without_patches`` (judged images that gave none).
    patches : polars.DataFrame
        ``image_id``, ``patient_id``, ``cohort``, ``x``, ``y`` (Int64, level-0 pixels), ``probability`` (Float32)
        of the judged images, by image.
    images : polars.DataFrame
        ``image_id``, ``patient_id``, ``cohort``, ``patches`` (Int64), ``probability`` (Float64) and ``vector``
        (Array(Float32, D)), both means over patches, by image.
    patch_vectors : dict
        Image -> float32 (n, D), rows as in ``patches``; only in part ``final``.
    """

    spec: CellSpec
    seen: frozenset[str]
    facts: dict[str, Any]
    patches: pl.DataFrame
    images: pl.DataFrame
    patch_vectors: dict[str, NDArray[np.float32]]


def write_cell(
    path: Path,
    spec: CellSpec,
    seen: frozenset[str],
    facts: dict[str, Any],
    judged: list[JudgedImage],
    *,
    vectors: bool,
    seconds: float,
) -> None:
    """Publish a cell atomically; equal inputs give equal bytes.

    Parameters
    ----------
    path : Path
        Final name.
    spec, seen, facts
        As in :class:`Cell`; without ``seconds``.
    judged : list of JudgedImage
        Images with patches, in order.
    vectors : bool
        Whether the patch vectors are kept.
    seconds : float
        Time it took; kept in a file beside it, for it is never the same twice.
    """
    tensors = {
        "image.patches": np.array([len(image.coords) for image in judged], dtype=np.int64),
        "image.probability": np.array([image.probabilities.mean(dtype=np.float64) for image in judged]),
        "image.vector": np.stack([image.vectors.mean(axis=0, dtype=np.float64) for image in judged]),
        "patch.coords": np.concatenate([image.coords for image in judged]),
        "patch.probability": np.concatenate([image.probabilities for image in judged]),
    }
    tensors["image.vector"] = tensors["image.vector"].astype(np.float32)
    if vectors:
        tensors["patch.vector"] = np.concatenate([image.vectors for image in judged])
    about = {
        "kind": KIND,
        "version": VERSION,
        "spec": vars(spec),
        "seen": sorted(seen),
        "facts": facts,
        "images": [[image.image_id, image.patient_id] for image in judged],
    }
    write_text_atomically(_timing(path), json.dumps({"seconds": round(seconds, 3)}) + "\n")
    save_tensors(path, {name: torch.from_numpy(array) for name, array in tensors.items()}, about)


def read_cell(path: Path, spec: CellSpec) -> Cell:
    """Read a cell.

    Raises
    ------
    StoreError
        If the file is missing, damaged or of another version.
    """
    about = read_metadata(path)
    if (about.get("kind"), about.get("version")) != (KIND, VERSION):
        raise StoreError(str(path), "is not a cell of this version", "Delete it and run `hccfeat reproduce` again.")
    arrays = {name: tensor.numpy() for name, tensor in load_tensors(path).items()}
    image_ids = [image for image, _ in about["images"]]
    vectors = arrays["image.vector"]
    images = pl.DataFrame(
        {
            "image_id": image_ids,
            "patient_id": [patient for _, patient in about["images"]],
            "cohort": [image.partition("/")[0] for image in image_ids],
            "patches": arrays["image.patches"],
            "probability": arrays["image.probability"],
            "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])),
        }
    )
    rows = np.repeat(np.arange(len(image_ids)), arrays["image.patches"])
    coords = arrays["patch.coords"]
    patches = images.select("image_id", "patient_id", "cohort")[rows].with_columns(
        x=pl.Series(coords[:, 0]), y=pl.Series(coords[:, 1]), probability=pl.Series(arrays["patch.probability"])
    )
    patch_vectors = {}
    if "patch.vector" in arrays:
        ends = np.cumsum(arrays["image.patches"])[:-1]
        patch_vectors = dict(zip(image_ids, np.split(arrays["patch.vector"], ends), strict=True))
    facts = {**about["facts"], "seconds": _seconds(path)}
    return Cell(spec, frozenset(about["seen"]), facts, patches, images, patch_vectors)


def _timing(path: Path) -> Path:
    return path.with_suffix(".seconds.json")


def _seconds(path: Path) -> float | None:
    timing = _timing(path)
    return float(json.loads(timing.read_text())["seconds"]) if timing.is_file() else None
