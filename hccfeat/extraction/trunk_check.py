"""The check that decides the trunk's precision of a feature set, on images of the study."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hccfeat.config import Recipe
from hccfeat.cores import one_core, shared_cores, spread
from hccfeat.errors import SlideError
from hccfeat.extraction.executors import available_cores
from hccfeat.extraction.patch_cache import prepared_image
from hccfeat.extraction.provenance import Check
from hccfeat.extraction.tasks import Source, check_unchanged
from hccfeat.training.devices import resolve_precision
from hccfeat.training.precision import PrecisionCheck, check_precision
from hccfeat.training.threads import pinned_threads

Item = TypeVar("Item")

IMAGES = 24
PATCHES = 16


def trunk_check(study: Path, sources: Sequence[Source], device: str, note: Callable[[str], object]) -> Check | None:
    """Make the check for :class:`hccfeat.extraction.provenance.NewFeatureSet`.

    Parameters
    ----------
    study : Path
        Study folder; patches come from its cache where they are.
    sources : sequence of Source
        Images to draw from: up to 24, evenly spaced, and up to 16 patches of each.
    device : str
        Where the feature set is going to be embedded.
    note : callable
        Told the verdict.

    Returns
    -------
    callable or None
        None where the device has no bfloat16, so that there is nothing to decide.
    """
    if resolve_precision("auto", torch.device(device)) == "float32":
        return None
    return partial(_checked, study, _evenly(sources, IMAGES), device, note)


def _checked(
    study: Path,
    sources: Sequence[Source],
    device: str,
    note: Callable[[str], object],
    recipe: Recipe,
    network: nn.Module,
) -> PrecisionCheck:
    def patches(source: Source) -> NDArray[np.uint8]:
        try:
            check_unchanged(source)
            image = prepared_image(study, source, recipe, device=device, keep=False)
        except SlideError:  # `extract` lists it with its reason
            return np.empty((0, 0, 0, 3), np.uint8)
        return image.patches[_evenly(range(len(image.patches)), PATCHES)]

    with pinned_threads(1), shared_cores(available_cores()), one_core():
        check = check_precision(network, spread(patches, sources), device=device)
    note(str(check))
    return check


def _evenly(items: Sequence[Item], most: int) -> list[Item]:
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).astype(int)]
