"""Writing CSV, PNG and TIFF files whose bytes depend on their content only."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from hccfeat.files import write_atomically, write_text_atomically

TILE = 256
# No software, date or shape tag: equal pixels give equal bytes.
_PLAIN: dict[str, Any] = {
    "photometric": "rgb",
    "compression": "zlib",
    "predictor": True,
    "software": False,
    "metadata": None,
}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with the columns of the first one, in UTF-8 with newline line ends."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write uint8 (H, W, 3) as PNG, without any resolution."""
    write_atomically(path, lambda temporary: Image.fromarray(rgb).save(temporary, "PNG", compress_level=1))


def write_tiff(path: Path, rgb: np.ndarray, mpp: float) -> None:
    """Write uint8 (H, W, 3) as a plain deflated TIFF with its resolution in pixels per centimetre."""

    def write(temporary: Path) -> None:
        with tifffile.TiffWriter(temporary) as tiff:
            tiff.write(
                rgb, photometric="rgb", compression="zlib", software=False, metadata=None, **_resolution(mpp)
            )

    write_atomically(path, write)


def write_pyramid(path: Path, rgb: np.ndarray, mpp: float) -> None:
    """Write uint8 (H, W, 3) as a tiled, deflated pyramid, halved until it fits two tiles, with its resolution."""

    def write(temporary: Path) -> None:
        level, level_mpp, reduced = rgb, mpp, False
        with tifffile.TiffWriter(temporary) as tiff:
            while True:
                kind = 1 if reduced else 0
                tiff.write(level, tile=(TILE, TILE), subfiletype=kind, **_PLAIN, **_resolution(level_mpp))
                if max(level.shape) <= 2 * TILE:
                    break
                level, level_mpp, reduced = _halve(level), level_mpp * 2, True

    write_atomically(path, write)


def _resolution(mpp: float) -> dict[str, Any]:
    return {"resolution": (10_000 / mpp, 10_000 / mpp), "resolutionunit": "CENTIMETER"}


def _halve(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
    blocks = rgb[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    return np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)
