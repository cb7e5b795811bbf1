"""Attributes of a shard's coordinates by which readers of TRIDENT files know the patches."""

from collections.abc import Mapping
from typing import Any

MISSING = "None"
"""How TRIDENT writes a value that is not known."""

PLACE_ATTRIBUTES = (
    "patch_size", "patch_size_level0", "level0_magnification", "target_magnification", "overlap",
    "level0_width", "level0_height",
)  # fmt: skip
"""Numbers that describe the patches: of ``patch_size`` pixels at the target magnification."""

_CLASSES = ((0.16, 80), (0.2, 60), (0.3, 40), (0.6, 20), (1.2, 10), (2.4, 5))


def place_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of :data:`PLACE_ATTRIBUTES` that are known.

    Parameters
    ----------
    attributes : mapping
        Of a shard. Magnifications that it lacks follow from ``mpp`` (by the classes of TRIDENT) and from
        ``target_mpp`` (10 um per pixel is a magnification of 1); the overlap is 0 unless given.
    """
    known: dict[str, Any] = {"overlap": 0}
    mpp, target = attributes.get("mpp"), attributes.get("target_mpp")
    if isinstance(mpp, int | float) and mpp < _CLASSES[-1][0]:
        known["level0_magnification"] = next(power for limit, power in _CLASSES if mpp < limit)
    if isinstance(target, int | float) and target > 0:
        power = round(10 / target, 3)
        known["target_magnification"] = int(power) if power.is_integer() else power
    known.update(attributes)
    return {name: known[name] for name in PLACE_ATTRIBUTES if name in known}
