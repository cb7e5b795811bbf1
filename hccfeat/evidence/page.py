"""The result of an evidence study, and how it is written: a Markdown page, its figures, every replicate as JSON.

A study makes an :class:`Evidence`: text, tables and figures as they will stand on the page, and the
:class:`~hccfeat.evidence.record.Record` of its replicates. :func:`write_evidence` then writes ``<study>.md``,
``<study>.json`` and ``<study>-<figure>.svg`` into one folder. The same record gives the same page.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from hccfeat import __version__
from hccfeat.evidence.record import Record
from hccfeat.files import write_text_atomically

LIBRARIES = ("numpy", "scipy", "scikit-learn", "scikit-survival", "lifelines", "torch")
WARNING = "Every number here is about SIMULATED patients and says nothing about real ones."


@dataclass(frozen=True)
class EvidenceTable:
    """A table of the page.

    Attributes
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells as they are printed.
    caption : str
        A sentence above the table; may be empty.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class EvidenceFigure:
    """A figure of the page: ``name`` ends its file name, ``svg`` is the file, ``caption`` says what it shows."""

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page: paragraphs (Markdown), then tables, then figures."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[EvidenceTable] = ()
    figures: Sequence[EvidenceFigure] = ()


@dataclass(frozen=True)
class Evidence:
    """What a study found.

    Attributes
    ----------
    study : str
        Stem of the files: ``denoising``.
    title : str
        The question.
    command : str
        What a reader types to get this page.
    summary : sequence of str
        The answer, a sentence each; printed by the command and at the top of the page.
    sections : sequence of Section
        In the order of the page.
    record : Record
        Every replicate, with parameters and seconds.
    """

    study: str
    title: str
    command: str
    summary: Sequence[str]
    sections: Sequence[Section]
    record: Record = field(repr=False)


def write_evidence(evidence: Evidence, folder: Path) -> Path:
    """Write page, figures and replicates into ``folder`` and give the path of the page."""
    evidence.record.save()
    for section in evidence.sections:
        for figure in section.figures:
            write_text_atomically(folder / _figure_file(evidence, figure), figure.svg)
    page = folder / f"{evidence.study}.md"
    write_text_atomically(page, markdown(evidence))
    return page


def markdown(evidence: Evidence) -> str:
    """Return the page."""
    blocks = [f"# SIMULATED: {evidence.title}", WARNING, f"    {evidence.command}"]
    blocks.append("\n".join(f"- {line}" for line in evidence.summary))
    for section in evidence.sections:
        blocks += [f"## {section.title}", *section.text]
        for table in section.tables:
            blocks += [table.caption] if table.caption else []
            blocks.append(_table(table))
        for figure in section.figures:
            blocks.append(f"![{figure.caption}]({_figure_file(evidence, figure)})")
    blocks += ["## How it was made", *_making(evidence)]
    return "\n\n".join(blocks) + "\n"


def _figure_file(evidence: Evidence, figure: EvidenceFigure) -> str:
    return f"{evidence.study}-{figure.name}.svg"


def _table(table: EvidenceTable) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _making(evidence: Evidence) -> list[str]:
    parts = evidence.record.parts.values()
    times = [
        f"`{part.name}`: {len(part.rows):,} rows of replicates, {part.seconds:.0f} s on one processor core"
        for part in parts
        if part.rows
    ]
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        "Parameters: `data_catalog/evidence.toml`, fixed before any result was looked at unless a section says "
        "otherwise. Every replicate's numbers and the parameters as they were used: "
        f"[{evidence.study}.json]({evidence.study}.json); the command reuses those whose parameters are "
        "unchanged.",
        "\n".join(f"- {line}" for line in times),
        f"hccfeat {__version__}, Python {platform.python_version()}, {libraries}.",
    ]
