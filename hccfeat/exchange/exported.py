"""What the writers of other tools' formats are given: one shard with its slide and its network's name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import FailureKind, SlideError
from hccfeat.exchange.bag import contradicts
from hccfeat.store.shards import Shard

FloatType = Literal["float16", "float32"]

NO_PLACES = "Import the features together with their coordinates, then export them."


@dataclass(frozen=True)
class Exported:
    """One slide on its way out.

    Attributes
    ----------
    shard : Shard
        Its vectors.
    patient_id : str
        Whose slide it is, ``<cohort>/<id>``; empty if the image is no longer in the study.
    encoder : str
        Name of the network.
    mpp : float or None
        Micrometres per pixel of level 0.
    """

    shard: Shard
    patient_id: str
    encoder: str
    mpp: float | None

    @property
    def cohort(self) -> str:
        """Cohort of the slide."""
        return self.shard.image_id.partition("/")[0]

    @property
    def stem(self) -> str:
        """Name of the slide's file without its suffix."""
        return self.shard.image_id.partition("/")[2]

    @property
    def folder(self) -> str:
        """Name of the network as part of a path: of ``hf-hub:group/name`` only letters, digits, ``._+-`` stay."""
        return re.sub(r"[^\w.+-]+", "_", self.encoder).strip(".") or "features"

    @property
    def has_coords(self) -> bool:
        """Whether it is known where the patches lie."""
        return self.attribute("coords_known") != 0

    def attribute(self, name: str) -> Any:
        """Attribute of the shard, or None."""
        return self.shard.attributes.get(name)

    def vectors(self, dtype: FloatType) -> NDArray[Any]:
        """Vectors as ``dtype``, cast by NumPy.

        Raises
        ------
        SlideError
            If a number is too large for float16.
        """
        with np.errstate(over="ignore"):
            vectors = self.shard.vectors.astype(dtype)
        if not np.isfinite(vectors).all():
            problem = "has vectors too large for float16"
            raise SlideError(FailureKind.INCONSISTENT, self.shard.image_id, problem, "Export with --dtype float32.")
        return vectors

    def coords(self) -> NDArray[np.int64]:
        """Corners in pixels of level 0.

        Raises
        ------
        SlideError
            If the vectors were imported without coordinates.
        """
        if not self.has_coords:
            problem = "was imported without coordinates"
            raise SlideError(FailureKind.INCOMPLETE, self.shard.image_id, problem, NO_PLACES)
        return self.shard.coords

    def coords32(self, path: Path) -> NDArray[np.int32]:
        """Corners as int32.

        Raises
        ------
        SlideError
            If one does not fit.
        """
        coords = self.coords()
        if coords.size and np.abs(coords).max() > np.iinfo(np.int32).max:
            raise contradicts(path, "would need coordinates beyond int32", "Export to another format.")
        return coords.astype(np.int32)
