"""The risk map of one slide as a picture: the slide, its patch risks, and the classes at each threshold."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hccfeat.explanation.annotations import Annotation, draw_outlines
from hccfeat.explanation.drawing import ALARM, FAINT, INK, PAPER, SIMULATED, font, png, scale_bar
from hccfeat.explanation.riskmap import (
    BETWEEN,
    COLOURS,
    HIGH,
    LOW,
    NAMES,
    RiskMap,
    class_colours,
    painted,
    risk_colours,
)

PANEL_PX = 300
COLUMNS = 3
_TITLE, _GAP, _FOOT = 42, 14, 40


def slide_picture(
    risk: RiskMap,
    slide: NDArray[np.uint8],
    thresholds: Sequence[float],
    *,
    annotations: Sequence[Annotation] = (),
    simulated: bool = False,
) -> bytes:
    """Draw the slide, its risks and its classes at some thresholds side by side (P1, Fig 3B-C).

    Parameters
    ----------
    risk : RiskMap
        Patch risks.
    slide : uint8, (h, w, 3)
        The whole slide, small.
    thresholds : sequence of float
        From 0.5 to below 1; see :meth:`RiskMap.classes`.
    annotations : sequence of Annotation
        Outlines drawn on every panel and named in the legend.
    simulated : bool
        Write that the data are simulated.

    Returns
    -------
    bytes
        PNG.
    """
    shown = _fitted(slide)
    panels = [("The slide", f"{risk.width:,} × {risk.height:,} px", shown)]
    low, high = _limits(risk)
    panels.append(
        ("Recurrence risk", _range(risk), painted(risk, risk_colours(risk.probability, low, high), shown))
    )
    for threshold in thresholds:
        counts = risk.counts(threshold)
        title = f"High ≥ {threshold:g}, low ≤ {1 - threshold:g}"
        words = f"{counts[HIGH]} high, {counts[BETWEEN]} between, {counts[LOW]} low"
        panels.append((title, words, painted(risk, class_colours(risk.classes(threshold)), shown)))
    height, width = shown.shape[:2]
    cell = max(width, PANEL_PX)
    rows = -(-len(panels) // COLUMNS)
    legend = _legend(annotations)
    lines = _lines(legend, COLUMNS * (cell + _GAP) - 150)
    size = (COLUMNS * (cell + _GAP) + _GAP, rows * (height + _TITLE + _GAP) + _FOOT + 20 * (len(lines) - 1))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for number, (title, words, panel) in enumerate(panels):
        x, y = _GAP + number % COLUMNS * (cell + _GAP), number // COLUMNS * (height + _TITLE + _GAP)
        draw.text((x, y + 14), title, INK, font(13, bold=True), anchor="lm")
        draw.text((x, y + 31), words, FAINT, font(12), anchor="lm")
        picture.paste(draw_outlines(panel, annotations, panel.shape[1] / risk.width), (x, y + _TITLE))
        draw.rectangle((x, y + _TITLE, x + width - 1, y + _TITLE + height - 1), outline=FAINT)
        if number == 0:
            scale_bar(draw, (x, y + _TITLE, x + width, y + _TITLE + height), risk.width * risk.mpp / width)
        if number == 1:
            _colour_bar(draw, x + cell, y + 14, risk)
    _draw_legend(draw, lines, rows * (height + _TITLE + _GAP) + 18)
    if simulated:
        draw.text((size[0] - _GAP, size[1] - 18), SIMULATED, ALARM, font(13, bold=True), anchor="rm")
    return png(picture)


def _fitted(slide: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The slide with its longer side at PANEL_PX."""
    height, width = slide.shape[:2]
    scale = PANEL_PX / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(slide).resize(size, Image.Resampling.LANCZOS))


def _limits(risk: RiskMap) -> tuple[float, float]:
    """Lowest and highest risk of the slide, between which its own colours are stretched."""
    if not len(risk.probability):
        return 0.0, 1.0
    return float(risk.probability.min()), float(risk.probability.max())


def _shown(value: float, risk: RiskMap) -> str:
    low, high = _limits(risk)
    return f"{value:.{2 if high - low >= 0.05 else 4}f}"


def _range(risk: RiskMap) -> str:
    if not len(risk.probability):
        return "no usable patch"
    mean = float(risk.probability.mean(dtype=np.float64))
    return f"{len(risk.probability)} patches, mean {_shown(mean, risk)}"


def _colour_bar(draw: ImageDraw.ImageDraw, right: int, middle: int, risk: RiskMap) -> None:
    """Draw the colours of the second panel with the risks at their ends, left of ``right``."""
    low, high = (_shown(value, risk) for value in _limits(risk))
    text = font(12)
    left = right - 80 - int(text.getlength(high)) - 6
    for step, colour in enumerate(risk_colours(np.linspace(0, 1, 80))):
        draw.line((left + step, middle - 5, left + step, middle + 5), fill=tuple(map(int, colour)))
    draw.text((left - 6, middle), low, INK, text, anchor="rm")
    draw.text((right, middle), high, INK, text, anchor="rm")


def _legend(annotations: Sequence[Annotation]) -> list[tuple[tuple[int, int, int], str, bool]]:
    """Colour, words and whether it is an outline, of each entry."""
    entries = [(COLOURS[kind], NAMES[kind], False) for kind in (HIGH, BETWEEN, LOW)]
    named = {(annotation.colour, annotation.name): None for annotation in annotations}
    return entries + [(colour, name, True) for colour, name in named]


def _lines(
    entries: list[tuple[tuple[int, int, int], str, bool]], width: int
) -> list[list[tuple[int, tuple[int, int, int], str, bool]]]:
    """Break the legend into lines: x, colour, words, outline."""
    text = font(12)
    lines: list[list[tuple[int, tuple[int, int, int], str, bool]]] = [[]]
    x = _GAP
    for colour, words, outline in entries:
        wide = 40 + int(text.getlength(words))
        if lines[-1] and x + wide > width:
            lines.append([])
            x = _GAP
        lines[-1].append((x, colour, words, outline))
        x += wide
    return lines


def _draw_legend(
    draw: ImageDraw.ImageDraw, lines: list[list[tuple[int, tuple[int, int, int], str, bool]]], top: int
) -> None:
    for number, line in enumerate(lines):
        y = top + 20 * number
        for x, colour, words, outline in line:
            if outline:
                draw.line((x, y, x + 16, y), fill=colour, width=3)
            else:
                draw.rectangle((x, y - 6, x + 16, y + 6), fill=colour, outline=FAINT)
            draw.text((x + 22, y), words, INK, font(12), anchor="lm")
