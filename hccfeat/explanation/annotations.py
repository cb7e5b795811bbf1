"""Outlines that a pathologist drew, from GeoJSON as QuPath exports it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hccfeat.errors import InputError

Rgb = tuple[int, int, int]
UNNAMED = "annotation"
# For outlines without a colour; none is a colour of the risk map.
COLOURS: tuple[Rgb, ...] = ((0, 158, 115), (204, 121, 167), (86, 180, 233), (27, 42, 52))
REMEDY = "Export the annotations from QuPath as GeoJSON again."


@dataclass(frozen=True)
class Annotation:
    """One outlined region.

    Attributes
    ----------
    name : str
        Of its class, else its own.
    colour : tuple of int
        Red, green, blue.
    rings : tuple of float64 (n, 2)
        Outer and inner outlines, level-0 pixels, closed.
    """

    name: str
    colour: Rgb
    rings: tuple[NDArray[np.float64], ...]


def read_annotations(path: Path) -> list[Annotation]:
    """Read polygons from a GeoJSON file; points and lines are passed over.

    Parameters
    ----------
    path : Path
        A FeatureCollection, a list of features or a single feature, in level-0 pixels.

    Returns
    -------
    list of Annotation
        In the order of the file.

    Raises
    ------
    InputError
        If the file is not JSON, or a feature is malformed; it names the file and the feature's number, from 1.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"is not readable as GeoJSON ({error})", REMEDY) from error
    if isinstance(content, dict):
        content = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(content, list):
        raise InputError(str(path), "holds no list of features", REMEDY)
    annotations: list[Annotation] = []
    for number, feature in enumerate(content, start=1):
        try:
            rings = _rings(feature["geometry"])
            if rings:
                name, colour = _look(feature.get("properties") or {}, len(annotations))
                annotations.append(Annotation(name, colour, rings))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else f"is malformed ({error})"
            raise InputError(f"{path}, feature {number}", reason, REMEDY) from error
    return annotations


def draw_outlines(rgb: NDArray[np.uint8], annotations: Sequence[Annotation], scale: float) -> Image.Image:
    """Draw outlines on a picture of the slide whose pixels are ``1 / scale`` level-0 pixels wide."""
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    for annotation in annotations:
        for ring in annotation.rings:
            points = [(float(x), float(y)) for x, y in ring * scale]
            draw.line(points, fill=(255, 255, 255), width=5, joint="curve")
            draw.line(points, fill=annotation.colour, width=3, joint="curve")
    return picture


def _rings(geometry: dict[str, Any] | None) -> tuple[NDArray[np.float64], ...]:
    if geometry is None:
        return ()
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return tuple(ring for part in geometry["geometries"] for ring in _rings(part))
    if kind not in {"Polygon", "MultiPolygon"}:
        return ()
    polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    return tuple(_ring(ring) for polygon in polygons for ring in polygon)


def _ring(points: list[Any]) -> NDArray[np.float64]:
    ring = np.array(points, dtype=np.float64)
    if ring.ndim != 2 or ring.shape[1] < 2 or len(ring) < 3 or not np.isfinite(ring).all():
        message = "a ring needs at least three points of finite x and y"
        raise ValueError(message)
    ring = ring[:, :2]
    return ring if (ring[0] == ring[-1]).all() else np.concatenate([ring, ring[:1]])


def _look(properties: dict[str, Any], number: int) -> tuple[str, Rgb]:
    """Name and colour, those of the class first; QuPath 0.4 writes ``color``, older ones a signed ``colorRGB``."""
    of_class = properties.get("classification") or {}
    names = of_class.get("names")
    name = of_class.get("name") or (": ".join(names) if names else None) or properties.get("name") or UNNAMED
    for holder in (of_class, properties):
        if "color" in holder:
            red, green, blue = (int(value) for value in holder["color"])
            colour = (red, green, blue)
            if not all(0 <= value <= 255 for value in colour):
                message = f"its colour {list(colour)} is not within 0 to 255"
                raise ValueError(message)
            return str(name), colour
        if "colorRGB" in holder:
            packed = int(holder["colorRGB"]) & 0xFFFFFF
            return str(name), (packed >> 16, packed >> 8 & 255, packed & 255)
    return str(name), COLOURS[number % len(COLOURS)]
