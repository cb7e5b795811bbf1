"""Types that carry a unit, so that a type checker sees a mix-up."""

from typing import NewType

Level0Px = NewType("Level0Px", int)
"""Pixels of the full-resolution level of a slide."""

Microns = NewType("Microns", float)
"""Micrometres."""

MicronsPerPx = NewType("MicronsPerPx", float)
"""Micrometres per pixel (mpp)."""

Months = NewType("Months", float)
"""Months of 365.25 / 12 days."""

Days = NewType("Days", float)
"""Days."""

DAYS_PER_MONTH = 365.25 / 12


def days_to_months(days: Days) -> Months:
    """Convert days to months of 365.25 / 12 days."""
    return Months(days / DAYS_PER_MONTH)
