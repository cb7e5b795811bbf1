"""What an item of a reproduction consists of: tables, figures, pictures, notes and files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from hccfeat.report.tables import Column

Level = Literal["plain", "info", "caution", "stop"]


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes
    ----------
    columns : sequence of Column
        Key, heading and alignment of each column shown.
    rows : list of dict
        Cells as they are shown: text, or Markup that is safe already.
    caption : str
        What the table shows.
    group : str, optional
        Key of the rows' group heading; rows of one group are neighbours.
    data : list of dict
        The same numbers unrounded, for the CSV file; None where a number does not exist. No patient ids.
    """

    columns: Sequence[Column]
    rows: list[dict[str, Any]]
    caption: str
    group: str | None = None
    data: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """A figure of the report: ``draw`` gets its HTML id and whether to print the watermark of simulated data."""

    draw: Callable[[str, bool], Markup]
    caption: str
    data: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Picture:
    """A PNG or JPEG, for instance of tissue."""

    image: bytes
    caption: str


@dataclass(frozen=True)
class Note:
    """A paragraph; its level colours it."""

    text: str
    level: Level = "plain"


@dataclass(frozen=True)
class Download:
    """A file beside the report: ``write`` is called with the path to write to, under ``files/``."""

    name: str
    write: Callable[[Path], None]
    about: str


Block = Table | Figure | Picture | Note | Download


class NotRunError(Exception):
    """The preset leaves this out; the report prints that, and never a number."""


@dataclass(frozen=True)
class Item:
    """One entry of a paper's checklist.

    Attributes
    ----------
    number : int
        In the checklist of docs/reproduction.md.
    where : str
        Place in the paper: ``Table 2``, ``Fig 2B-C``.
    title : str
        What it shows, in a few words.
    build : callable
        Makes the blocks from the context of its study. May raise :class:`NotRunError`, or an ``HccfeatError``
        where the data do not allow it.
    last : int, optional
        Last number, where one table covers several entries.
    """

    number: int
    where: str
    title: str
    build: Callable[[Any], list[Block]]
    last: int | None = None

    @property
    def numbers(self) -> range:
        """Every number that it covers."""
        return range(self.number, (self.last or self.number) + 1)

    @property
    def label(self) -> str:
        """Its number or numbers as shown."""
        return str(self.number) if self.last is None else f"{self.number}–{self.last}"
