"""Small pictures with text: a font, PNG bytes, heat colours, scale bars and labelled grids of patches."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hccfeat.explanation.riskmap import COLOURS, HIGH, LOW

INK = (27, 42, 52)
FAINT = (95, 111, 123)
PAPER = (255, 255, 255)
ALARM = (163, 42, 0)
SIMULATED = "SIMULATED DATA"
HEAT = "inferno"


@dataclass(frozen=True)
class GridRow:
    """A row of a grid: what it shows, and one uint8 (h, w, 3) picture per column."""

    label: str
    cells: Sequence[NDArray[np.uint8]]


@lru_cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Give DejaVu Sans, which matplotlib ships, so that every machine draws the same letters."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def png(picture: Image.Image) -> bytes:
    """PNG of a picture; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def heat_picture(heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours of a map of values from 0, scaled to its own maximum: uint8 (h, w, 3)."""
    return np.asarray(mpl.colormaps[HEAT](_scaled(heat), bytes=True)[..., :3])


def heat_over(patch: NDArray[np.uint8], heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay a map of values from 0 over the grey patch, opaque where the map is high: uint8 (h, w, 3)."""
    return _over(patch, heat_picture(heat), _scaled(heat))


def signed_over(patch: NDArray[np.uint8], values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay a signed map over the grey patch, vermilion above 0, blue below, scaled to its largest size."""
    size = _scaled(np.abs(values))
    colours = np.where(values[..., None] > 0, COLOURS[HIGH], COLOURS[LOW]).astype(np.uint8)
    return _over(patch, colours, size)


def _over(patch: NDArray[np.uint8], colours: NDArray[np.uint8], strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    grey = patch.mean(axis=2, keepdims=True)
    opacity = 0.75 * strength[..., None]
    return np.rint(grey * (1 - opacity) + colours * opacity).astype(np.uint8)


def _scaled(heat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring a map to 0..1 by its own maximum; one that is 0 everywhere stays so."""
    highest = float(heat.max())
    return np.asarray(np.clip(heat, 0, None) / highest if highest > 0 else np.zeros_like(heat), np.float32)


def grid(
    rows: Sequence[GridRow],
    *,
    captions: Sequence[str] = (),
    groups: Sequence[tuple[str, int]] = (),
    cell_px: int = 96,
    simulated: bool = False,
) -> bytes:
    """Arrange patches in labelled rows as a PNG.

    Parameters
    ----------
    rows : sequence of GridRow
        From top to bottom, equally many cells each.
    captions : sequence of str
        One under each column.
    groups : sequence of (str, int)
        Headings over the columns and how many columns each has; they add up to the columns.
    cell_px : int
        Side of a cell.
    simulated : bool
        Write that the data are simulated.
    """
    columns = len(rows[0].cells)
    spans = list(groups) or [("", columns)]
    text, small = font(13), font(12)
    left = int(max(text.getlength(row.label) for row in rows)) + 14
    gap, between, top = 4, 22, 24 if groups else 4
    starts, x = [], left
    for _, count in spans:
        starts += [x + i * (cell_px + gap) for i in range(count)]
        x += count * (cell_px + gap) + between
    width = max(x - between - gap + 4, left + 130)
    foot = (20 if captions else 0) + (18 if simulated else 0)
    picture = Image.new("RGB", (width, top + len(rows) * (cell_px + gap) + foot), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        y = top + number * (cell_px + gap)
        draw.text((left - 8, y + cell_px // 2), row.label, INK, text, anchor="rm")
        for start, cell in zip(starts, row.cells, strict=True):
            picture.paste(Image.fromarray(cell).resize((cell_px, cell_px), Image.Resampling.LANCZOS), (start, y))
    _head(draw, spans, starts, text)
    y = top + len(rows) * (cell_px + gap)
    for start, caption in zip(starts, captions, strict=bool(captions)):
        draw.text((start + cell_px // 2, y + 8), caption, FAINT, small, anchor="mm")
    if simulated:
        draw.text((width - 4, picture.height - 9), SIMULATED, ALARM, font(12, bold=True), anchor="rm")
    return png(picture)


def _head(
    draw: ImageDraw.ImageDraw, spans: Sequence[tuple[str, int]], starts: Sequence[int], text: ImageFont.FreeTypeFont
) -> None:
    column = 0
    for heading, count in spans:
        if heading:
            draw.text((starts[column], 12), heading, INK, text, anchor="lm")
        column += count


def bar_length(span_um: float) -> float:
    """Round length of a scale bar: 1, 2 or 5 times a power of ten, at most a third of ``span_um``."""
    power = 10.0 ** np.floor(np.log10(span_um / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= span_um / 3))


def scale_bar(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], um_per_px: float) -> None:
    """Draw a scale bar into the lower left corner of a box (left, top, right, bottom)."""
    left, _, right, bottom = box
    length = bar_length((right - left) * um_per_px)
    pixels = round(length / um_per_px)
    words = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    text = font(12, bold=True)
    wide = max(pixels, int(text.getlength(words))) + 12
    draw.rectangle((left + 6, bottom - 34, left + 6 + wide, bottom - 6), fill=PAPER)
    draw.rectangle((left + 12, bottom - 14, left + 12 + pixels, bottom - 10), fill=INK)
    draw.text((left + 12, bottom - 24), words, INK, text, anchor="lm")
