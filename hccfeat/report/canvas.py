"""Matplotlib figures as inline SVG: deterministic, without ids that clash, in the colours of the page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hccfeat.report.compact import in_steps, without_references, without_wrappers

# Okabe and Ito's palette without black (ink) and yellow (too pale on white).
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
DASHED, SOLID = -1, -2
INK = "#1b2a34"
FAINT = "#5f6f7b"
GRID = "#dfe4e8"
PAPER = "#fefefe"
ALARM = "#a32a00"
# What the page's style sheet may recolour; the literal colour stays as the fallback of a saved figure.
_VARIABLES = {colour: f"var(--c{i + 1}, {colour})" for i, colour in enumerate(PALETTE)} | {
    INK: f"var(--ink, {INK})",
    FAINT: f"var(--faint, {FAINT})",
    GRID: f"var(--grid, {GRID})",
    PAPER: f"var(--surface, {PAPER})",
    ALARM: f"var(--alarm, {ALARM})",
}
_STYLE: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": True,
    "legend.facecolor": PAPER,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 9.2,
    "legend.handlelength": 2.2,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Set the report's figure style for the block, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches; it never touches pyplot's state."""
    figure = Figure(figsize=(width, height))
    figure.patch.set_visible(False)
    FigureCanvasSVG(figure)
    return figure


def watermark(figure: Figure, axes: Axes) -> None:
    """Write SIMULATED DATA across the axes, behind the data."""
    box = axes.get_position()
    figure.text(
        (box.x0 + box.x1) / 2,
        (box.y0 + box.y1) / 2,
        "SIMULATED DATA",
        fontsize=25,
        fontweight="bold",
        color=ALARM,
        alpha=0.16,
        rotation=24,
        ha="center",
        va="center",
        zorder=0,
    )


def line_look(number: int) -> dict[str, Any]:
    """Colour and dashes of the series ``number``: after the last colour the colours return with other dashes.

    Negative numbers are grey, for what is no model: DASHED or SOLID.
    """
    if number < 0:
        return {"color": FAINT, "linestyle": (0, (2, 2)) if number == DASHED else "-"}
    turn = number // len(PALETTE)
    style = LINE_STYLES[(number + turn) % len(LINE_STYLES)]
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": style}


def inline_svg(figure: Figure, key: str, title: str, description: str, numbers: str = "") -> Markup:
    """Return a figure as an ``<svg>`` element for the body of an HTML page.

    Parameters
    ----------
    figure : Figure
        Made by :func:`new_figure`.
    key : str
        Unique in the page, an HTML id: every id inside the figure starts with it.
    title, description : str
        What a screen reader says; escaped here.
    numbers : str
        What the page's script reads out of the figure, from :func:`hccfeat.report.readout.readout`. Artists whose
        gid is ``s3`` (``s3b``) are the line (the band) of its series 3.

    Returns
    -------
    Markup
        Equal figures and keys give equal bytes.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": key, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>", "", without_references(svg))
    svg = _own_ids(svg, key)
    # Inside tags only: the text between them holds results, which are never rounded here.
    drawn = re.compile(r' d="([^"]*)"|-?\d+\.\d{2,}')
    svg = re.sub(r"<[^>]*>", lambda tag: drawn.sub(_coordinates, tag[0]), _joined_lines(svg))
    svg = re.sub(r"#[0-9a-f]{6}(?=[;\"])", lambda m: _VARIABLES.get(m[0], m[0]), svg)
    svg = _shorter(svg)
    _, _, inside = svg.partition(">")
    width, height = figure.get_size_inches() * 72
    data = f" data-plot='{_in_single_quotes(numbers)}'" if numbers else ""
    return Markup(
        f'<svg class="plot" viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}pt" role="img" '
        'stroke-linejoin="round" stroke-linecap="butt" font-family="DejaVu Sans, sans-serif" '
        f'aria-labelledby="{escape(key)}-title {escape(key)}-desc"{data}>'
        f'<title id="{escape(key)}-title">{escape(title)}</title>'
        f'<desc id="{escape(key)}-desc">{escape(description)}</desc>{inside}'
    )


def _in_single_quotes(text: str) -> str:
    """Escape JSON for an attribute; its many double quotes stay as they are."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&#39;")


def _coordinates(found: re.Match[str]) -> str:
    return f' d="{in_steps(found[1])}"' if found[1] else f"{float(found[0]):.1f}".removesuffix(".0")


def _shorter(svg: str) -> str:
    """Take out what draws nothing: bare groups, identity rotations, the font that the page sets, white space."""
    svg = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = svg.replace("<g/>", "")
    kept: list[bool] = []

    def group(tag: re.Match[str]) -> str:
        if tag[0] == "</g>":
            return tag[0] if kept.pop() else ""
        kept.append(tag[0] != "<g>")
        return tag[0] if kept[-1] else ""

    svg = re.sub(r"\n{2,}", "\n", re.sub(r"<g(?: [^>]*)?>|</g>", group, svg))
    return without_wrappers(svg)


def _joined_lines(svg: str) -> str:
    """Join the lines of a grid, which have one look, into one path: where the first of them is."""
    single = re.compile(rf'<path d="(M[^"]*L[^"]*)"( clip-path="[^"]*" style="[^"]*stroke: {GRID};[^"]*")/>')
    looks: dict[str, list[str]] = {}
    for line, look in single.findall(svg):
        looks.setdefault(look, []).append(line)

    def joined(found: re.Match[str]) -> str:
        lines = looks.pop(found[2], [])
        return f'<path d="{"".join(lines)}"{found[2]}/>' if lines else ""

    return single.sub(joined, svg)


def _own_ids(svg: str, key: str) -> str:
    """Mark the series; prefix the ids that are referred to, and drop the others and the XML name spaces."""
    svg = re.sub(r' id="s(\d+)(b?)"', lambda m: f' data-s="{m[1]}"' + (' data-band="1"' if m[2] else ""), svg)
    referred = dict.fromkeys(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", svg))
    own = {name: f"{key}-{i}" for i, name in enumerate(referred)}
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{own[m[1]]}"' if m[1] in own else "", svg)
    svg = re.sub(r"url\(#([^)]+)", lambda m: f"url(#{own[m[1]]}", svg)
    svg = re.sub(r"(?:xlink:)?href=\"#([^\"]+)", lambda m: f'href="#{own[m[1]]}', svg)
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
