"""Whole-slide images through OpenSlide."""

import math
from copy import copy
from pathlib import Path

import openslide
from openslide.lowlevel import OpenSlideError
from PIL import Image

from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.base import LEVEL_TOLERANCE, Slide, SlideInfo
from hccfeat.slides.resolution import Resolution, resolve_mpp
from hccfeat.units import Level0Px

_DAMAGED = "Copy or scan the slide again."


def is_pyramid(path: Path) -> bool:
    """Tell whether OpenSlide knows the format (a tiled TIFF without a vendor counts)."""
    return openslide.OpenSlide.detect_format(path) is not None


class PyramidSlide(Slide):
    """A slide whose regions are decoded on demand; memory does not depend on its size."""

    def __init__(self, path: Path, mpp: float | None) -> None:
        handle = _opened(path)
        try:
            value, source = resolve_mpp(path, mpp, _stated(handle))
        except SlideError:
            handle.close()
            raise
        self._handle: openslide.OpenSlide | None = handle
        width, height = handle.dimensions
        downsamples = tuple(float(d) for d in handle.level_downsamples)
        super().__init__(
            path, SlideInfo("openslide", Level0Px(width), Level0Px(height), value, source, downsamples)
        )

    def close(self) -> None:
        """Close the handle; a later read opens it again."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def twin(self) -> "PyramidSlide":
        """The same slide with a handle of its own."""
        other = copy(self)
        other._handle = None
        return other

    def _region(self, x: int, y: int, width: int, height: int, scale: float) -> Image.Image:
        if self._handle is None:
            self._handle = _opened(self.path)
        level = self._handle.get_best_level_for_downsample(scale * LEVEL_TOLERANCE)
        downsample = self.info.level_downsamples[level]
        exact = (width / downsample, height / downsample)
        size = (max(1, math.ceil(exact[0] - 1e-3)), max(1, math.ceil(exact[1] - 1e-3)))
        try:
            image = self._handle.read_region((x, y), level, size)
        except OpenSlideError as error:
            # OpenSlide refuses every later read on a handle that met an error.
            self.close()
            problem = f"the region at ({x}, {y}) cannot be read ({error})"
            raise SlideError(FailureKind.UNREADABLE, str(self.path), problem, _DAMAGED) from error
        return _on_white(image)


def _opened(path: Path) -> openslide.OpenSlide:
    try:
        return openslide.OpenSlide(path)
    except OpenSlideError as error:
        raise SlideError(
            FailureKind.UNREADABLE, str(path), f"OpenSlide cannot open it ({error})", _DAMAGED
        ) from error


def _stated(handle: openslide.OpenSlide) -> Resolution | None:
    properties = handle.properties
    generic = properties.get(openslide.PROPERTY_NAME_VENDOR) == "generic-tiff"
    try:
        x = float(properties[openslide.PROPERTY_NAME_MPP_X])
        y = float(properties[openslide.PROPERTY_NAME_MPP_Y])
    except (KeyError, ValueError):
        return None
    return Resolution(x, y, "tiff resolution" if generic else "openslide.mpp-x")


def _on_white(image: Image.Image) -> Image.Image:
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=alpha)
    return white
