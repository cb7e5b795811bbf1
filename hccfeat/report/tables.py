"""The report's tables as accessible HTML; the page's script adds search, sorting and a choice of columns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup, escape

MAX_ROWS = 500
SHORT = 9
"""Letters up to which a heading stays on one line."""
SHORT_CELL = 17


@dataclass(frozen=True)
class Column:
    """One column: ``key`` in the rows, printed ``label``, alignment, and what the heading explains.

    Sentences stand in ``wide`` columns.

    ``off`` columns start hidden where the page's script runs; the reader can call them up.
    """

    key: str
    label: str
    align: Literal["left", "right", "center", "wide"] = "left"
    help: str = ""
    off: bool = False


def table(
    table_id: str,
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    *,
    caption: str,
    group: str | None = None,
    muted: Collection[int] = (),
    models: str | None = None,
) -> Markup:
    """Return a table as HTML.

    Parameters
    ----------
    table_id : str
        HTML id; unique in the page.
    columns : sequence of Column
        The first one heads the rows.
    rows : sequence of dict
        Text per column, escaped; ``Markup`` is kept as it is. At most MAX_ROWS are shown, and the table says how
        many were left to the data file.
    caption : str
        What the table shows, for the eye and for screen readers.
    group : str, optional
        Key of the rows' group heading; rows of one group must be neighbours.
    muted : collection of int
        Rows printed grey.
    models : str, optional
        Key of the numbers of the models that a row is about: the reader can mark or hide them.
    """
    if not rows:
        return Markup("")
    heads = Markup("").join(_head(column) for column in columns)
    numbers = 2 * sum(column.align == "right" for column in columns[1:]) > len(columns) - 1
    body: list[Markup] = []
    last = None
    for i, row in enumerate(rows[:MAX_ROWS]):
        if group is not None and row[group] != last:
            last = row[group]
            body.append(
                Markup(
                    '<tr class="group"><th colspan="{}" scope="colgroup"><span class="place">{}</span></th></tr>\n'
                ).format(len(columns), last)
            )
        about = () if models is None else row.get(models, ())
        body.append(_row(columns, row, numbers, muted=i in muted, models=about))
    more = (
        f'<p class="more">The first {MAX_ROWS} of {len(rows)} rows; the data file holds them all.</p>'
        if len(rows) > MAX_ROWS
        else ""
    )
    return Markup(
        '<div class="scroll" id="{id}" tabindex="0" role="region" aria-label="{caption}">'
        '<table class="table{numbers}"><caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n'
        "<tbody>\n{body}</tbody></table></div>{more}"
    ).format(
        id=table_id,
        numbers=" numbers" if numbers else "",
        caption=caption,
        heads=heads,
        body=Markup("").join(body),
        more=Markup(more),
    )


def _head(column: Column) -> Markup:
    label = Markup('<abbr title="{}">{}</abbr>').format(column.help, column.label) if column.help else column.label
    off = Markup(' data-off="1"') if column.off else ""
    short = " short" if len(column.label) <= SHORT else ""
    return Markup('<th scope="col" class="{}{}"{}>{}</th>').format(column.align, short, off, label)


def _row(
    columns: Sequence[Column], row: dict[str, Any], numbers: bool, *, muted: bool, models: Sequence[int]
) -> Markup:
    marks = Markup(' class="muted"') if muted else Markup("")
    if models:
        marks += Markup(' data-m="{}"').format(" ".join(str(model) for model in models))
    cells = Markup('<th scope="row">{}</th>').format(escape(row.get(columns[0].key, "")))
    for column in columns[1:]:
        text = row.get(column.key, "")
        short = isinstance(text, str) and 5 < len(text) <= SHORT_CELL and column.align == "left" and " " in text
        kind = Markup(' class="short"') if short else _aligned(column, "right" if numbers else "left")
        cells += Markup("<td{}>{}</td>").format(kind, escape(text))
    return Markup("<tr{}>{}</tr>\n").format(marks, cells)


def _aligned(column: Column, usual: str) -> Markup:
    """Return a cell's alignment; most tables are numbers, whose cells then need not say so."""
    return Markup("") if column.align == usual else Markup(f' class="{column.align}"')
