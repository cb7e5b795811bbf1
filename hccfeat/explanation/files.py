"""Risk maps as files that a slide viewer opens: GeoJSON for QuPath, a pyramidal TIFF for anything."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hccfeat.explanation.drawing import ALARM, PAPER, SIMULATED, font
from hccfeat.explanation.riskmap import COLOURS, NAMES, RiskMap, painted, risk_colours
from hccfeat.files import canonical_json, write_text_atomically
from hccfeat.simulation.files import write_pyramid

MEASUREMENT = "recurrence risk"


def risk_geojson(risk: RiskMap, threshold: float, *, simulated: bool = False) -> dict[str, Any]:
    """Give the patches of a risk map as detections that QuPath 0.4 and newer reads.

    Parameters
    ----------
    risk : RiskMap
        Patch risks.
    threshold : float
        Of the three classes, see :meth:`RiskMap.classes`.
    simulated : bool
        Name the classes and mark the collection as simulated.

    Returns
    -------
    dict
        A FeatureCollection of RFC 7946: one closed counterclockwise square per patch, in level-0 pixels, whose
        properties hold the class with its colour and the probability as a measurement.
    """
    features = [
        _feature(x, y, risk.side, probability, int(kind), simulated)
        for (x, y), probability, kind in zip(
            risk.coords.tolist(), risk.probability.tolist(), risk.classes(threshold), strict=True
        )
    ]
    about = {"threshold": threshold, "simulated": simulated, "unit": "level-0 pixel"}
    return {"type": "FeatureCollection", "features": features, "hccfeat": about}


def write_geojson(path: Path, risk: RiskMap, threshold: float, *, simulated: bool = False) -> None:
    """Write :func:`risk_geojson`; equal maps give equal bytes."""
    write_text_atomically(path, canonical_json(risk_geojson(risk, threshold, simulated=simulated)) + "\n")


def write_overlay(
    path: Path, risk: RiskMap, slide: NDArray[np.uint8], factor: int, *, simulated: bool = False
) -> None:
    """Write the slide with its risks laid over it as a tiled pyramidal TIFF.

    Parameters
    ----------
    path : Path
        ``.tif``.
    risk : RiskMap
        Patch risks.
    slide : uint8, (h, w, 3)
        The slide with its sides divided by ``factor``.
    factor : int
        Level-0 pixels per overlay pixel; the file states ``mpp * factor``.
    simulated : bool
        Write that the data are simulated into the picture.
    """
    rgb = painted(risk, risk_colours(risk.probability), slide)
    write_pyramid(path, _stamped(rgb) if simulated else rgb, risk.mpp * factor)


def _feature(x: int, y: int, side: int, probability: float, kind: int, simulated: bool) -> dict[str, Any]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    name = NAMES[kind] + (" (simulated)" if simulated else "")
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": name, "color": list(COLOURS[kind])},
            "isLocked": True,
            "measurements": {MEASUREMENT: probability},
        },
    }


def _stamped(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    size = max(8, picture.width // 24)
    text = font(size, bold=True)
    box = draw.textbbox((size // 2, size // 2), SIMULATED, font=text)
    draw.rectangle(tuple(value + pad for value, pad in zip(box, (-4, -4, 4, 4), strict=True)), fill=PAPER)
    draw.text((size // 2, size // 2), SIMULATED, ALARM, font=text)
    return np.asarray(picture)
