"""Open any slide or image by one call."""

from pathlib import Path

from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.base import Slide, SlideInfo
from hccfeat.slides.plain import PlainImage
from hccfeat.slides.pyramid import PyramidSlide, is_pyramid

__all__ = ["MAX_PLAIN_PX", "SUPPORTED_SUFFIXES", "Slide", "SlideInfo", "inspect", "open_slide"]

MAX_PLAIN_PX = 500_000_000
"""A plain image is decoded whole: half a gigapixel takes 1.5 GB."""

_TIFF, _PNG, _JPEG = "TIFF", "PNG", "JPEG"
_CONTENT_OF_SUFFIX: dict[str, str | None] = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".svs": _TIFF,
    ".ndpi": _TIFF,
    ".scn": _TIFF,
    ".bif": _TIFF,
    ".svslide": _TIFF,
    ".mrxs": None,
    ".czi": None,
}
SUPPORTED_SUFFIXES = frozenset(_CONTENT_OF_SUFFIX)
"""Lower-case file extensions of slides; compare with ``path.suffix.lower()``."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", _PNG),
    (b"\xff\xd8\xff", _JPEG),
    (b"II*\x00", _TIFF),
    (b"MM\x00*", _TIFF),
    (b"II+\x00", _TIFF),
    (b"MM\x00+", _TIFF),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
)


def inspect(path: Path, mpp: float | None = None, *, max_plain_px: int = MAX_PLAIN_PX) -> SlideInfo:
    """Return the facts about a slide; opens it as :func:`open_slide` does, with the same errors."""
    with open_slide(path, mpp, max_plain_px=max_plain_px) as slide:
        return slide.info


def open_slide(path: Path, mpp: float | None = None, *, max_plain_px: int = MAX_PLAIN_PX) -> Slide:
    """Open a slide, a pyramid through OpenSlide, any other PNG, JPEG or TIFF decoded whole through Pillow.

    Parameters
    ----------
    path : Path
        Its extension, in any case, must be one of :data:`SUPPORTED_SUFFIXES` and fit the content.
    mpp : float, optional
        Micrometres per pixel from the manifest; wins over what the file says.
    max_plain_px : int
        Largest plain image that is decoded, in pixels.

    Returns
    -------
    Slide
        A context manager.

    Raises
    ------
    SlideError
        ``UNREADABLE``: missing, empty, truncated, or content and extension differ. ``NO_MPP``: no believable
        resolution, see :func:`hccfeat.slides.resolution.resolve_mpp`. ``TOO_LARGE``: a plain image of more
        than ``max_plain_px`` pixels.
    """
    _check_content(path)
    if is_pyramid(path):
        return PyramidSlide(path, mpp)
    return PlainImage(path, mpp, max_plain_px)


def _check_content(path: Path) -> None:
    """Refuse a file that is absent, empty, of an unknown kind, or of another kind than its name says."""
    suffix = path.suffix.lower()
    if suffix not in _CONTENT_OF_SUFFIX:
        remedy = f"Supported extensions: {' '.join(sorted(SUPPORTED_SUFFIXES))}."
        raise _unreadable(path, f"the extension {path.suffix or '(none)'} is not supported", remedy)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        problem = f"cannot be opened ({error.strerror or error})"
        raise _unreadable(path, problem, "Check the path and its access rights.") from error
    if not head:
        raise _unreadable(path, "the file is empty (zero bytes)", "Copy the slide again.")
    expected = _CONTENT_OF_SUFFIX[suffix]
    if expected is None:
        return
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if found is None:
        raise _unreadable(path, f"its content is not {expected} nor any known image", "Copy the slide again.")
    if found != expected:
        raise _unreadable(path, f"its content is {found}, its extension says {path.suffix}", "Rename it.")


def _unreadable(path: Path, problem: str, remedy: str) -> SlideError:
    return SlideError(FailureKind.UNREADABLE, str(path), problem, remedy)
