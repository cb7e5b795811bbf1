"""The report's tables: great_tables builds the accessible markup, the page's style sheet dresses it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
from great_tables import GT, html, loc, style
from markupsafe import Markup, escape

MAX_ROWS = 500
_GREY = "color:grey"


@dataclass(frozen=True)
class Column:
    """One column: ``key`` in the rows, printed ``label``, alignment, and what the heading explains."""

    key: str
    label: str
    align: Literal["left", "right", "center"] = "left"
    help: str = ""


def table(
    table_id: str,
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    *,
    caption: str,
    group: str | None = None,
    muted: Sequence[int] = (),
) -> Markup:
    """Return a table as HTML.

    Parameters
    ----------
    table_id : str
        HTML id; unique in the page. Given, so that the markup is the same in every run.
    columns : sequence of Column
        The first one heads the rows.
    rows : sequence of dict
        Text per column, escaped; ``Markup`` is kept as it is, save in the first column. At most MAX_ROWS
        are shown, and the table says how many were left to the data file.
    caption : str
        What the table shows, for the eye and for screen readers.
    group : str, optional
        Key of the rows' group heading; rows of one group must be neighbours.
    muted : sequence of int
        Rows printed grey.
    """
    if not rows:
        return Markup("")
    shown = rows[:MAX_ROWS]
    names = [f"c{i}" for i in range(len(columns))]
    # great_tables escapes the row headings and group headings itself; other cells pass through as HTML.
    data: dict[str, list[str]] = {names[0]: [str(row.get(columns[0].key, "")) for row in shown]}
    for name, column in zip(names[1:], columns[1:], strict=True):
        data[name] = [str(escape(row.get(column.key, ""))) for row in shown]
    if group is not None:
        data["group"] = [str(row[group]) for row in shown]
    built = (
        GT(pl.DataFrame(data), id=table_id, rowname_col="c0", groupname_col="group" if group else None)
        .fmt(lambda text: text, columns=names[1:])
        .cols_label({name: html(_heading(column)) for name, column in zip(names, columns, strict=True)})
        .tab_stubhead(label=html(_heading(columns[0])))
    )
    for name, column in zip(names, columns, strict=True):
        built = built.cols_align(column.align, columns=name)
    grey = [i for i in muted if i < len(shown)]
    if grey:
        built = built.tab_style(style.css(_GREY), [loc.body(rows=grey), loc.stub(rows=grey)])
    return _dressed(built.as_raw_html(), table_id, caption, len(rows))


def _heading(column: Column) -> str:
    label = escape(column.label)
    return f'<abbr title="{escape(column.help)}">{label}</abbr>' if column.help else str(label)


def _dressed(raw: str, table_id: str, caption: str, total: int) -> Markup:
    """Drop the fixed colours of great_tables and put the table into a box that scrolls by itself."""
    inside = re.sub(r"<style>.*?</style>", "", raw, flags=re.DOTALL)
    body = inside[inside.index("<table") : inside.rindex("</table>") + len("</table>")]
    body = re.sub(r' data-quarto-[a-z-]+="[^"]*"| (?:row|col)span="1"', "", body)
    # The scopes of the headings say the same as these attributes, which are half of the bytes.
    body = re.sub(r' headers="[^"]*"| id="[^"]*"', "", body)
    body = re.sub(rf'style="{_GREY}" ((?:scope="row" )?)class="', r'\1class="muted ', body)
    body = re.sub(r"gt_col_heading gt_columns_bottom_border ?|gt_row ?", "", body)
    body = re.sub(r'(class="gt_group_heading"[^>]*>)(.*?)(</th>)', r'\1<span class="place">\2</span>\3', body)
    body = re.sub(r"\n\s*", "\n", body)
    said = f"<caption>{escape(caption)}</caption>"
    head, _, rest = body.partition(">")
    more = (
        f'<p class="more">The first {MAX_ROWS} of {total} rows; the data file holds them all.</p>'
        if total > MAX_ROWS
        else ""
    )
    return Markup(
        f'<div class="scroll" id="{escape(table_id)}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"{head}>{said}{rest}</div>{more}"
    )
