"""The items of paper 1 in its order, and which encoders of the subset study each rests on."""

from collections.abc import Sequence

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
from hccfeat.reproduction.paper import Paper, pick_items

MODULES = (overview, baseline, subsets, chosen, explanation, prognosis, end_to_end, indicators, sorafenib)
PAPER = Paper(
    heading="recurrence study",
    lead="Every table and figure of paper 1 (CNN-SASM on denoised recurrence labels, BMC Medicine 2025) made from "
    "this study, beside the values that the paper prints.",
    simulated="A simulator made the patients, outcomes and images. Differences from the printed values say nothing "
    "about the method or about a disease.",
    reduced='Cells that the preset leaves out print "not run in this preset". The numbers show that every step '
    "runs; they are not the model's performance at full size.",
    sections=(
        ("Cohorts and preprocessing", range(1, 5)),
        ("Denoised recurrence labels", range(5, 16)),
        ("Explanation", range(16, 18)),
        ("Prognosis", range(18, 25)),
        ("Against clinical indicators", range(25, 28)),
        ("Sorafenib", range(28, 34)),
        ("Supplement", range(34, 46)),
    ),
)
SUBSET_ITEMS = frozenset({*range(5, 16), 37, 39, 40, 44})
"""Rest on the encoders of folds and subsets."""
END_TO_END_ITEMS = frozenset({24})
"""Rest on the encoders trained end to end."""


def all_items() -> list[Item]:
    """Every item, by number."""
    return sorted((item for module in MODULES for item in module.ITEMS), key=lambda item: item.number)


def chosen_items(only: Sequence[str]) -> list[Item]:
    """Items by number or place; see :func:`hccfeat.reproduction.paper.pick_items`."""
    return pick_items(all_items(), only)


def needed(specs: Sequence[CellSpec], items: Sequence[Item]) -> list[CellSpec]:
    """Cells that the items rest on, in the order given."""
    numbers = {item.number for item in items}
    folds, whole = bool(numbers & SUBSET_ITEMS), bool(numbers & END_TO_END_ITEMS)
    return [spec for spec in specs if (whole if spec.part == "whole" else folds)]
