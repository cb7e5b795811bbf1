"""The items of paper 2 in its order."""

from collections.abc import Sequence

from hccfeat.reproduction.blocks import Item
from hccfeat.reproduction.mvi.items import cohort, comparison, further, saliency
from hccfeat.reproduction.paper import Paper, pick_items

MODULES = (cohort, comparison, further, saliency)
PAPER = Paper(
    heading="microvascular invasion study",
    lead="Both tables, the figure and the claims of paper 2 (CMD-Net: prediction of microvascular invasion from "
    "MRI by distillation from clinical items) made from this study, beside the values that the paper prints.",
    simulated="A simulator made the patients, grades, clinical items and volumes. Differences from the printed "
    "values say nothing about the method or about a disease.",
    reduced="The numbers show that every step runs; they are not the methods' performance at full size.",
    sections=(
        ("Data and network", range(46, 48)),
        ("The paper's tables", range(48, 62)),
        ("Claims and tests", range(62, 64)),
        ("What the paper lacks", range(64, 71)),
        ("Cost and open points", range(71, 73)),
    ),
)
WITHOUT_TRAINING = frozenset({46, 47, 70, 72})
"""Items that need no trained network."""


def all_items() -> list[Item]:
    """Every item, by number."""
    return sorted((item for module in MODULES for item in module.ITEMS), key=lambda item: item.number)


def chosen_items(only: Sequence[str]) -> list[Item]:
    """Items by number or place; see :func:`hccfeat.reproduction.paper.pick_items`."""
    return pick_items(all_items(), only)
