"""Plain PNG, JPEG and TIFF images through Pillow, decoded whole."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.base import Slide, SlideInfo
from hccfeat.slides.resolution import (
    MICRONS_PER_CM,
    MICRONS_PER_INCH,
    MICRONS_PER_M,
    Resolution,
    per_length,
    resolve_mpp,
)
from hccfeat.units import Level0Px

_DAMAGED = "Copy the image again."
_TIFF_X, _TIFF_Y, _TIFF_UNIT = 282, 283, 296
_TIFF_MICRONS = {2: MICRONS_PER_INCH, 3: MICRONS_PER_CM}
_JFIF_MICRONS = {1: MICRONS_PER_INCH, 2: MICRONS_PER_CM}
_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "RGBX"}


class PlainImage(Slide):
    """An image held in memory as RGB."""

    def __init__(self, path: Path, mpp: float | None, max_px: int) -> None:
        try:
            with _opened(path) as file:
                _check_size(path, file.width * file.height, max_px)
                _check_mode(path, file.mode)
                value, source = resolve_mpp(path, mpp, _stated(file))
                self._image = _decoded(file)
        except UnidentifiedImageError as error:
            raise SlideError(FailureKind.UNREADABLE, str(path), "no decoder knows it", _DAMAGED) from error
        except MemoryError as error:
            raise _too_large(path, "decoding it needs more memory than there is") from error
        # Pillow's decoders raise any of these for damaged files.
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
            problem = f"cannot be decoded ({error})"
            raise SlideError(FailureKind.UNREADABLE, str(path), problem, _DAMAGED) from error
        width, height = self._image.size
        super().__init__(path, SlideInfo("pillow", Level0Px(width), Level0Px(height), value, source, (1.0,)))

    def close(self) -> None:
        """Free the pixels."""
        self._image.close()

    def _region(self, x: int, y: int, width: int, height: int, scale: float) -> Image.Image:
        del scale
        if x >= 0 and y >= 0 and x + width <= self.info.width and y + height <= self.info.height:
            return self._image.crop((x, y, x + width, y + height))
        white = Image.new("RGB", (width, height), (255, 255, 255))
        white.paste(self._image, (-x, -y))
        return white


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open without Pillow's own limit of pixels, which this package replaces by its own."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(path) as file:
                yield file
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _decoded(file: Image.Image) -> Image.Image:
    file.load()
    if file.mode == "RGB":
        return file.copy()
    if file.mode in {"RGBA", "LA", "PA"} or "transparency" in file.info:
        layer = file.convert("RGBA")
        white = Image.new("RGB", layer.size, (255, 255, 255))
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return file.convert("RGB")


def _check_size(path: Path, pixels: int, max_px: int) -> None:
    if pixels > max_px:
        problem = f"{pixels / 1e6:,.0f} megapixels in one piece, more than the limit of {max_px / 1e6:,.0f}"
        raise _too_large(path, problem)


def _check_mode(path: Path, mode: str) -> None:
    if mode not in _EIGHT_BIT:
        problem = f"its pixels are {mode}, not 8-bit colour"
        raise SlideError(FailureKind.UNREADABLE, str(path), problem, "Convert it to 8-bit RGB.")


def _too_large(path: Path, problem: str) -> SlideError:
    remedy = "Convert it to a tiled, pyramidal TIFF, which is read in parts."
    return SlideError(FailureKind.TOO_LARGE, str(path), problem, remedy)


def _stated(file: Image.Image) -> Resolution | None:
    """Return the physical resolution, or None where the format's unit says it is only an aspect ratio."""
    if file.format == "TIFF":
        tags = getattr(file, "tag_v2", {})
        if _TIFF_X not in tags or _TIFF_Y not in tags:
            return None
        microns = _TIFF_MICRONS.get(tags.get(_TIFF_UNIT, 2))
        if microns is None:
            return None
        return per_length(float(tags[_TIFF_X]), float(tags[_TIFF_Y]), microns, "tiff resolution")
    if file.format == "PNG":
        return _png_resolution(file)
    if file.format == "JPEG":
        microns = _JFIF_MICRONS.get(file.info.get("jfif_unit", 0))
        density = file.info.get("jfif_density")
        if microns is None or density is None:
            return None
        return per_length(float(density[0]), float(density[1]), microns, "jpeg density")
    return None


def _png_resolution(file: Image.Image) -> Resolution | None:
    dpi = file.info.get("dpi")
    if dpi is None:
        return None
    return per_length(
        float(dpi[0]) / MICRONS_PER_INCH * MICRONS_PER_M,
        float(dpi[1]) / MICRONS_PER_INCH * MICRONS_PER_M,
        MICRONS_PER_M,
        "png pHYs",
    )
