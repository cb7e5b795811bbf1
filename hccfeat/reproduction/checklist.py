"""The items of paper 1 in its order, and which encoders of the subset study each rests on."""

from collections.abc import Sequence

from hccfeat.errors import InputError
from hccfeat.extraction.cells import CellSpec
from hccfeat.reproduction.blocks import Item
from hccfeat.reproduction.items import (
    baseline,
    chosen,
    end_to_end,
    explanation,
    indicators,
    overview,
    prognosis,
    sorafenib,
    subsets,
)

MODULES = (overview, baseline, subsets, chosen, explanation, prognosis, end_to_end, indicators, sorafenib)
SECTIONS = (
    ("Cohorts and preprocessing", range(1, 5)),
    ("Denoised recurrence labels", range(5, 16)),
    ("Explanation", range(16, 18)),
    ("Prognosis", range(18, 25)),
    ("Against clinical indicators", range(25, 28)),
    ("Sorafenib", range(28, 34)),
    ("Supplement", range(34, 46)),
)
SUBSET_ITEMS = frozenset({*range(5, 16), 37, 39, 40, 44})
"""Rest on the encoders of folds and subsets."""
END_TO_END_ITEMS = frozenset({24})
"""Rest on the encoders trained end to end."""


def all_items() -> list[Item]:
    """Every item, by number."""
    return sorted((item for module in MODULES for item in module.ITEMS), key=lambda item: item.number)


def chosen_items(only: Sequence[str]) -> list[Item]:
    """Items by number (``13``) or place (``"Table 2"``); all where none is asked for.

    Raises
    ------
    InputError
        If there is no such item.
    """
    items = all_items()
    if not only:
        return items
    found: dict[int, Item] = {}
    for asked in only:
        wanted = _plain(asked)
        hits = [item for item in items if wanted in (str(item.number), _plain(item.where))]
        if not hits:
            places = ", ".join(f"{item.number} ({item.where})" for item in items)
            raise InputError(f"--only {asked}", "is no item", f"Items: {places}.")
        found |= {item.number: item for item in hits}
    return [found[number] for number in sorted(found)]


def section_of(number: int) -> str:
    """Part of the paper that an item belongs to."""
    return next(title for title, numbers in SECTIONS if number in numbers)


def needed(specs: Sequence[CellSpec], items: Sequence[Item]) -> list[CellSpec]:
    """Cells that the items rest on, in the order given."""
    numbers = {item.number for item in items}
    folds, whole = bool(numbers & SUBSET_ITEMS), bool(numbers & END_TO_END_ITEMS)
    return [spec for spec in specs if (whole if spec.part == "whole" else folds)]


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
