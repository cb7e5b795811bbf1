"""What every slide reader offers: facts about the slide, regions at any scale, a thumbnail."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hccfeat.errors import FailureKind, SlideError
from hccfeat.units import Level0Px, MicronsPerPx

THUMBNAIL_BLOCK_PX = 2048
"""Side of a block of the stored level from which a thumbnail is made: 16 MB at a time."""
DAMAGED_BLOCK_PX = 128
"""Around damage, blocks are quartered down to this side."""
MOST_FAILURES = 200
"""From then on a block that cannot be read is given up whole: each failure opens the file again."""
LEVEL_TOLERANCE = 1.01
"""A stored level at most 1 % coarser than asked for serves."""


@dataclass(frozen=True)
class SlideInfo:
    """Facts about an opened slide.

    Attributes
    ----------
    reader : str
        "openslide" or "pillow".
    width, height : Level0Px
        Size of the full-resolution level.
    mpp : MicronsPerPx
        Micrometres per pixel of that level.
    mpp_source : str
        "override", "openslide.mpp-x", "tiff resolution", "png pHYs" or "jpeg density".
    level_downsamples : tuple of float
        Downsampling of each stored level; 1.0 is the full resolution.
    """

    reader: str
    width: Level0Px
    height: Level0Px
    mpp: MicronsPerPx
    mpp_source: str
    level_downsamples: tuple[float, ...]


class Thumbnail(NamedTuple):
    """A small copy of a whole slide.

    Attributes
    ----------
    rgb : uint8 (h, w, 3)
    downsample : float
        Level-0 pixels per thumbnail pixel.
    unread : bool (h, w)
        Where the file could not be read; ``rgb`` is white there.
    """

    rgb: NDArray[np.uint8]
    downsample: float
    unread: NDArray[np.bool_]


class Slide(ABC):
    """An open slide; use it in a ``with`` block. Another thread needs its :meth:`twin`."""

    def __init__(self, path: Path, info: SlideInfo) -> None:
        self.path = path
        self.info = info

    @abstractmethod
    def close(self) -> None:
        """Release the file and its memory."""

    @abstractmethod
    def _region(self, x: int, y: int, width: int, height: int, scale: float) -> Image.Image:
        """RGB image of a level-0 rectangle, ``1 / scale`` of its size at least; white outside the slide."""

    def twin(self) -> "Slide":
        """The same slide for another thread; itself where threads may share it."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, x: Level0Px, y: Level0Px, size_level0: Level0Px, out_px: int) -> NDArray[np.uint8]:
        """Read a square.

        Parameters
        ----------
        x, y : Level0Px
            Top-left corner on the full-resolution level.
        size_level0 : Level0Px
            Side on that level.
        out_px : int
            Side of the result, resampled with an anti-aliasing filter from the best stored level.

        Returns
        -------
        uint8 (out_px, out_px, 3)
            Transparent areas and those outside the slide are white.

        Raises
        ------
        SlideError
            ``UNREADABLE`` if this part of the file is damaged; other parts can still be read.
        """
        image = self._region(x, y, size_level0, size_level0, size_level0 / out_px)
        return np.asarray(_resized(image, out_px, out_px))

    def thumbnail(self, mpp: float) -> Thumbnail:
        """Shrink the whole slide to about ``mpp`` micrometres per pixel, in blocks, so that memory stays small.

        Parameters
        ----------
        mpp : float
            Wanted micrometres per pixel; never finer than the slide itself.

        Returns
        -------
        Thumbnail

        Raises
        ------
        SlideError
            ``UNREADABLE`` if no block can be read.
        """
        downsample = max(1.0, mpp / self.info.mpp)
        width, height = (max(1, round(side / downsample)) for side in (self.info.width, self.info.height))
        rgb = np.full((height, width, 3), 255, np.uint8)
        unread = np.zeros((height, width), bool)
        stored = max(d for d in self.info.level_downsamples if d <= max(1.0, downsample * LEVEL_TOLERANCE))
        step = max(1, int(THUMBNAIL_BLOCK_PX * stored / downsample))
        smallest = DAMAGED_BLOCK_PX * stored / downsample
        boxes = [
            (left, top, min(left + step, width), min(top + step, height))
            for top in range(0, height, step)
            for left in range(0, width, step)
        ]
        failures = 0
        while boxes:
            box = boxes.pop()
            left, top, right, bottom = box
            try:
                rgb[top:bottom, left:right] = self._shrunk(*box, downsample)
            except SlideError:
                failures += 1
                if failures > MOST_FAILURES or max(right - left, bottom - top) <= max(smallest, 1.0):
                    unread[top:bottom, left:right] = True
                else:
                    boxes.extend(_quarters(*box))
        if unread.all():
            problem = "no part of the image can be read"
            raise SlideError(FailureKind.UNREADABLE, str(self.path), problem, "Copy or scan the slide again.")
        return Thumbnail(rgb, downsample, unread)

    def _shrunk(self, left: int, top: int, right: int, bottom: int, downsample: float) -> NDArray[np.uint8]:
        x, y = round(left * downsample), round(top * downsample)
        width = max(1, min(round(right * downsample), self.info.width) - x)
        height = max(1, min(round(bottom * downsample), self.info.height) - y)
        image = self._region(x, y, width, height, downsample)
        return np.asarray(_resized(image, right - left, bottom - top))


def _quarters(left: int, top: int, right: int, bottom: int) -> list[tuple[int, int, int, int]]:
    x, y = (left + right) // 2, (top + bottom) // 2
    boxes = [(left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)]
    return [box for box in boxes if box[0] < box[2] and box[1] < box[3]]


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)
