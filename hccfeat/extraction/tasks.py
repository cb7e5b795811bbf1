"""Embedding one image, start to finish: prepare its patches, embed them, publish its shard.

:func:`embed_image` knows nothing of the scheduler or of the catalog: it takes a small picklable task and
returns metadata only, so that it runs in this process, in a process pool or on a cluster alike.
"""

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import Recipe
from hccfeat.cores import Shares, one_core
from hccfeat.errors import FailureKind, HccfeatError, SlideError
from hccfeat.extraction.outcomes import SHARD_LOCK, Outcome
from hccfeat.extraction.patch_cache import prepared_image
from hccfeat.slides.prepare import PreparedImage
from hccfeat.store.shards import Shard, write_shard

if TYPE_CHECKING:
    from hccfeat.models import Encoder


@dataclass(frozen=True)
class Source:
    """One image as the catalog knows it."""

    image_id: str
    patient_id: str
    path: str
    mpp_override: float | None
    bytes: int
    mtime_ns: int
    quick_sha256: str


@dataclass(frozen=True)
class EmbedTask:
    """Everything :func:`embed_image` needs."""

    study: Path
    source: Source
    feature_set: str
    feature_set_sha256: str
    weights: Path
    weights_sha256: str
    recipe: Recipe
    device: str

    @property
    def image_id(self) -> str:
        """Key in table ``image``."""
        return self.source.image_id


def embed_image(task: EmbedTask) -> Outcome:
    """Prepare, embed and publish one image; an ordinary failure is returned, never raised.

    Parameters
    ----------
    task : EmbedTask
        What to do.

    Returns
    -------
    Outcome
        The published shard's facts, or the typed failure.
    """
    source = task.source
    try:
        with one_core():
            return _embedded(task)
    except (HccfeatError, OSError, MemoryError, RuntimeError, ValueError) as error:
        return Outcome.failed(source.image_id, error)


def _embedded(task: EmbedTask) -> Outcome:
    from hccfeat.training.devices import resolve_device
    from hccfeat.training.embed import embed

    device = resolve_device(task.device).type
    check_unchanged(task.source)
    image = prepared_image(task.study, task.source, task.recipe, device=device, keep=False)
    shares = Shares(image.seconds)
    with _ENCODER_LOCK, shares.of("forward"):
        module = _encoder(task.recipe.model_dump_json(), task.weights, task.weights_sha256)
    precision: Literal["bf16", "float32"] = "bf16" if task.recipe.encoder.trunk_precision == "bf16" else "float32"
    vectors, _ = embed(module, image.patches, device=device, precision=precision, shares=shares)
    with SHARD_LOCK, shares.of("write"):
        info = write_shard(task.study, _shard(task, image, vectors))
    return Outcome(task.image_id, info, None, shares.seconds())


def check_unchanged(source: Source) -> None:
    """Refuse an image whose file is not the one that was ingested.

    Raises
    ------
    SlideError
        If the file is missing, or its size or modification time differ from the catalog's.
    """
    path = Path(source.path)
    if not path.is_file():
        raise SlideError(
            FailureKind.UNREADABLE,
            source.image_id,
            f"its file {path.name} is no longer there",
            "Put it back, or ingest the cohort again from the new folder.",
        )
    facts = path.stat()
    if (facts.st_size, facts.st_mtime_ns) != (source.bytes, source.mtime_ns):
        raise SlideError(
            FailureKind.UNREADABLE,
            source.image_id,
            f"its file {path.name} changed since it was ingested",
            "Ingest the cohort again.",
        )


_ENCODER_LOCK = threading.Lock()


@lru_cache(maxsize=1)
def _encoder(recipe: str, weights: Path, weights_sha256: str) -> "Encoder":
    from hccfeat.models.lowered import lowered
    from hccfeat.training.encoder import load_encoder

    del weights_sha256  # part of the cache key: a replaced file is loaded again
    settings = Recipe.model_validate_json(recipe)
    encoder = load_encoder(weights, settings)
    return lowered(encoder) if settings.encoder.trunk_precision == "bf16" else encoder


def _shard(task: EmbedTask, image: PreparedImage, vectors: NDArray[np.float32]) -> Shard:
    attributes: dict[str, str | int | float] = {
        "status": image.status,
        "reason": image.reason,
        "patch_size": task.recipe.patches.size_px,
        "patch_size_level0": image.patch_size_level0,
        "target_mpp": task.recipe.patches.target_mpp,
        "mpp": image.info.mpp,
        "mpp_source": image.info.mpp_source,
        "level0_width": int(image.info.width),
        "level0_height": int(image.info.height),
        "tissue_fraction": image.tissue_fraction,
        "blurred_fraction": image.blurred_fraction,
        "mean_red": float(image.mean_rgb[0]),
        "mean_green": float(image.mean_rgb[1]),
        "mean_blue": float(image.mean_rgb[2]),
        "preprocessing_sha256": task.recipe.preprocessing_sha256(),
        "weights_sha256": task.weights_sha256,
        "source_quick_sha256": task.source.quick_sha256,
    }
    if image.stain is not None:
        names = ("stain_h_r", "stain_h_g", "stain_h_b", "stain_e_r", "stain_e_g", "stain_e_b")
        attributes.update(zip(names, (float(v) for v in image.stain.vectors.ravel()), strict=True))
        attributes["stain_accepted"] = int(image.stain.accepted)
        attributes["stain_reason"] = image.stain.reason
    return Shard(
        image_id=image.image_id,
        feature_set=task.feature_set,
        feature_set_sha256=task.feature_set_sha256,
        vectors=vectors,
        coords=image.coords,
        skipped_coords=image.skipped_coords,
        skipped_status=image.skipped_status,
        attributes=attributes,
    )
