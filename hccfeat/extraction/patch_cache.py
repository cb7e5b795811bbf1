"""Prepared patches kept between training and embedding, so that each image is read and normalised once.

The cache lies in ``.hccfeat/patches/<preprocessing>/<image>.npz``. It is derived: deleting it costs time only.
Its key holds the preprocessing and the content of the source, so a stale entry is never used.
"""

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hccfeat.config import Recipe
from hccfeat.files import write_atomically
from hccfeat.slides.prepare import PreparedImage, prepare_image
from hccfeat.slides.readers import SlideInfo
from hccfeat.slides.stain import StainFit

if TYPE_CHECKING:
    from hccfeat.extraction.tasks import Source

_ARRAYS = ("patches", "coords", "skipped_coords", "skipped_status", "mean_rgb")


def prepared_image(study: Path, source: "Source", recipe: Recipe, *, device: str, keep: bool) -> PreparedImage:
    """Patches of one image, from the cache where they are, else cut and normalised now.

    Parameters
    ----------
    study : Path
        Study folder.
    source : Source
        The image as ingested.
    recipe : Recipe
        Only its preprocessing matters here.
    device : str
        Where stain normalisation runs.
    keep : bool
        Whether a newly prepared image enters the cache (training does, embedding does not).

    Raises
    ------
    SlideError
        If the image cannot be read.
    """
    path = _cache_path(study, source, recipe)
    if path.is_file():
        return _load(path)
    image = prepare_image(
        Path(source.path),
        source.image_id,
        recipe,
        mpp=source.mpp_override,
        device=device,
        scratch=study / ".hccfeat",
    )
    if keep:
        _save(path, image)
    return image


def _cache_path(study: Path, source: "Source", recipe: Recipe) -> Path:
    folder = study / ".hccfeat" / "patches" / recipe.preprocessing_sha256()[:16]
    mpp = "" if source.mpp_override is None else f"-{source.mpp_override}"
    return folder / f"{source.image_id}-{source.quick_sha256[:16]}{mpp}.npz"


def _save(path: Path, image: PreparedImage) -> None:
    facts: dict[str, Any] = {
        name: getattr(image, name)
        for name in ("image_id", "patch_size_level0", "tissue_fraction", "blurred_fraction", "status", "reason")
    }
    facts["info"] = asdict(image.info)
    arrays = {name: np.asarray(getattr(image, name)) for name in _ARRAYS}
    if image.stain is not None:
        facts["stain"] = {
            "pixels": image.stain.pixels,
            "accepted": image.stain.accepted,
            "reason": image.stain.reason,
        }
        arrays["stain_vectors"] = image.stain.vectors
        arrays["stain_concentrations99"] = image.stain.concentrations99

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)

    write_atomically(path, write)


_LOAD_LOCK = threading.Lock()
"""NumPy reads an array's header through ``ast``, which CPython 3.11 does not survive in two threads at once."""


def _load(path: Path) -> PreparedImage:
    with _LOAD_LOCK, np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        stain = facts.pop("stain", None)
        info = facts.pop("info")
        info["level_downsamples"] = tuple(info["level_downsamples"])
        fit = None
        if stain is not None:
            fit = StainFit(stored["stain_vectors"], stored["stain_concentrations99"], **stain)
        return PreparedImage(**facts, info=SlideInfo(**info), stain=fit, **{name: stored[name] for name in _ARRAYS})
