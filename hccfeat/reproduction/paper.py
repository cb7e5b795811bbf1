"""What a reproduction page says about its paper, and how its items are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from hccfeat.errors import InputError
from hccfeat.reproduction.blocks import Item


@dataclass(frozen=True)
class Paper:
    """The words of a page that depend on the paper.

    Attributes
    ----------
    heading : str
        The study in a few words: ``recurrence study``.
    lead : str
        What the page shows, as a sentence.
    simulated, reduced : str
        What the simulator made; what a reduced preset means. Sentences.
    sections : tuple of (title, range)
        Parts of the page and the numbers of their items.
    """

    heading: str
    lead: str
    simulated: str
    reduced: str
    sections: tuple[tuple[str, range], ...]

    def section_of(self, number: int) -> str:
        """Part of the paper that an item belongs to."""
        return next(title for title, numbers in self.sections if number in numbers)


def pick_items(items: Sequence[Item], only: Sequence[str]) -> list[Item]:
    """Items by number (``13``) or place (``"Table 2"``); all where none is asked for.

    Raises
    ------
    InputError
        If there is no such item.
    """
    if not only:
        return list(items)
    found: dict[int, Item] = {}
    for asked in only:
        wanted = _plain(asked)
        hits = [item for item in items if wanted in {*map(str, item.numbers), _plain(item.where)}]
        if not hits:
            places = ", ".join(f"{item.label} ({item.where})" for item in items)
            raise InputError(f"--only {asked}", "is no item", f"Items: {places}.")
        found |= {item.number: item for item in hits}
    return [found[number] for number in sorted(found)]


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
