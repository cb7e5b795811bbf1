"""The page of a reproduction: every item in the paper's order, with a CSV file behind each table and figure."""

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hccfeat.files import write_atomically, write_text_atomically
from hccfeat.report.formatting import flat_facts, public_facts
from hccfeat.report.html import fill_template
from hccfeat.report.tables import Column, table
from hccfeat.report.twin import records_text, write_twin
from hccfeat.report.view import BANNER
from hccfeat.reproduction.blocks import Block, Download, Figure, Note, Picture, Table
from hccfeat.reproduction.built import BuiltItem, Reproduction

LEVELS = {"shown": "good", "not run in this preset": "info", "not possible with these data": "caution"}


def write_page(folder: Path, run: Reproduction) -> Path:
    """Write ``index.html``, ``data/`` and ``files/`` of a reproduction.

    Parameters
    ----------
    folder : Path
        Made if missing.
    run : Reproduction
        Of either paper.

    Returns
    -------
    Path
        The page. It needs no network and shows no row about one patient.
    """
    for built in run.items:
        for block in built.blocks:
            if isinstance(block, Download):
                write_atomically(folder / "files" / block.name, block.write)
    files = _data_files(run)
    text = _render(run, files)
    write_twin(folder / "data", files)
    page = folder / "index.html"
    write_text_atomically(page, text)
    return page


def checklist_rows(run: Reproduction) -> list[dict[str, Any]]:
    """One row per item: number, place in the paper, title, status and reason."""
    return [
        {
            "number": built.item.label,
            "where": built.item.where,
            "title": built.item.title,
            "status": built.status,
            "reason": built.reason,
        }
        for built in run.items
    ]


def _data_files(run: Reproduction) -> dict[str, str]:
    files = {"checklist.csv": records_text(checklist_rows(run), ["number", "where", "title", "status", "reason"])}
    for built in run.items:
        for name, block in _named(built):
            if isinstance(block, Table | Figure) and block.data:
                files[f"{name}.csv"] = records_text(block.data, list(block.data[0]))
    about = {
        "run_id": run.run_id,
        "simulated": run.simulated,
        "reduced": run.preset.reduced,
        "settings": public_facts(run.settings),
        "versions": run.versions,
    }
    files["about.json"] = json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return files


def _named(built: BuiltItem) -> list[tuple[str, Block]]:
    return [(f"item-{built.item.number}-{place}", block) for place, block in enumerate(built.blocks, start=1)]


def _render(run: Reproduction, files: dict[str, str]) -> str:
    counts = Counter(built.status for built in run.items)
    context = {
        "run": run,
        "banner": BANNER if run.simulated else "",
        "reduced": f"Reduced preset {run.preset.name}: {run.preset.title}" if run.preset.reduced else "",
        "facts": [(count, status) for status, count in counts.items()],
        "checklist": _checklist(run),
        "sections": _sections(run, files),
        "settings": flat_facts(public_facts(run.settings)),
        "downloads": [
            {"name": name, "size": f"{len(text.encode()) / 1024:.1f} KiB"} for name, text in files.items()
        ],
        "methods": _methods(run),
    }
    return fill_template("reproduction.html.j2", context)


def _checklist(run: Reproduction) -> Markup:
    link = Markup('<a href="#item-{}">{}</a>')
    rows = [
        {**row, "title": link.format(built.item.number, row["title"])}
        for row, built in zip(checklist_rows(run), run.items, strict=True)
    ]
    columns = [
        Column("number", "Item"), Column("where", "In the paper"), Column("title", "What"),
        Column("status", "Status"), Column("reason", "Reason"),
    ]  # fmt: skip
    return table("checklist", columns, rows, caption="Every item asked for, and whether it is shown")


def _sections(run: Reproduction, files: dict[str, str]) -> list[dict[str, Any]]:
    sections: dict[str, list[dict[str, Any]]] = {}
    for built in run.items:
        sections.setdefault(run.paper.section_of(built.item.number), []).append(_item_view(built, run, files))
    return [{"title": title, "entries": entries} for title, entries in sections.items()]


def _item_view(built: BuiltItem, run: Reproduction, files: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"item-{built.item.number}",
        "number": built.item.label,
        "where": built.item.where,
        "title": built.item.title,
        "status": built.status,
        "level": LEVELS[built.status],
        "reason": built.reason,
        "blocks": [_block_view(name, block, run) for name, block in _named(built)],
        "files": [f"{name}.csv" for name, _ in _named(built) if f"{name}.csv" in files],
    }


def _block_view(name: str, block: Block, run: Reproduction) -> dict[str, Any]:
    if isinstance(block, Table):
        caption = _marked(block.caption, run)
        shown = table(f"{name}-table", block.columns, block.rows, caption=caption, group=block.group)
        return {"kind": "table", "html": shown or Markup('<p class="empty">No rows.</p>')}
    if isinstance(block, Figure):
        svg = block.draw(name, run.simulated)
        return {"kind": "figure", "id": name, "svg": svg, "caption": _marked(block.caption, run)}
    if isinstance(block, Picture):
        data = base64.b64encode(block.image).decode("ascii")
        mime = "image/png" if block.image.startswith(b"\x89PNG") else "image/jpeg"
        return {"kind": "picture", "data": f"data:{mime};base64,{data}", "caption": _marked(block.caption, run)}
    if isinstance(block, Note):
        return {"kind": "note", "level": block.level, "text": block.text}
    return {"kind": "download", "href": f"files/{block.name}", "name": Path(block.name).name, "about": block.about}


def _marked(caption: str, run: Reproduction) -> str:
    marks = [
        word for word, holds in (("simulated", run.simulated), ("reduced preset", run.preset.reduced)) if holds
    ]
    return " · ".join([caption, *marks])


def _methods(run: Reproduction) -> list[str]:
    start = ["All data were simulated; no number here is clinical evidence."] if run.simulated else []
    used = ", ".join(f"{name} {number}" for name, number in sorted(run.versions.items()))
    return [*start, *run.methods, f"Versions: {used}."]
