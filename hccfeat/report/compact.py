"""Figures written short: paths in steps, nothing by reference, and each look once for the whole page."""

import re
from itertools import cycle

_SHAPE = re.compile(r'<path id="([^"]+)" d="([^"]*)"(?: style="([^"]*)")?/>')
_USE = re.compile(r'<use xlink:href="#([^"]+)" x="([^"]*)" y="([^"]*)"(?: style="([^"]*)")?/>')
_PIECE = re.compile(r"([MLQCz])([^MLQCz]*)")
_ONLY_CHILD = re.compile(r"<g((?: [\w-]+=\"[^\"]*\")+)>\s*<(path|text)( [^>]*)>([^<]*</text>)?\s*</g>")
_FIGURE = re.compile(r'<svg class="plot".*?</svg>', re.DOTALL)


def without_references(svg: str) -> str:
    """Draw the shapes that matplotlib defines and refers to (markers, bands) where they are used."""
    shapes = {name: (path, style) for name, path, style in _SHAPE.findall(svg)}

    def drawn(use: re.Match[str]) -> str:
        path, own = shapes[use[1]]
        shift = cycle((float(use[2]), float(use[3])))
        moved = re.sub(r"-?\d+(?:\.\d+)?", lambda number: f"{float(number[0]) + next(shift):.6f}", path)
        style = _declarations(use[4] or "") | _declarations(own)
        return f'<path d="{moved}" style="{"; ".join(f"{name}: {value}" for name, value in style.items())}"/>'

    return _USE.sub(drawn, _SHAPE.sub("", svg))


def _declarations(style: str) -> dict[str, str]:
    return dict(one.split(": ", 1) for one in style.split("; ") if one)


def in_steps(path: str) -> str:
    """Write a path of absolute M, L, Q, C and z in steps from point to point, and leave out those without a length.

    Points are rounded to a tenth of a unit, those of curves to a hundredth, before the steps are taken: errors do
    not add up.
    """
    digits = 2 if "C" in path else 1
    tokens: list[str] = []
    last = start = (0, 0)
    letter = ""
    for command, text in _PIECE.findall(path):
        numbers = [round(float(number) * 10**digits) for number in text.split()]
        steps = [number - last[i % 2] for i, number in enumerate(numbers)]
        before, last = last, ((numbers[-2], numbers[-1]) if numbers else start)
        if command == "M":
            start = last
        elif command == "L" and last == before:
            continue
        kind = command.lower()
        if command == "L" and 0 in steps:
            kind, steps = ("v", steps[1:]) if steps[0] == 0 else ("h", steps[:1])
        tokens += ([] if kind == letter and kind not in "mz" else [kind]) + [
            _decimal(step, digits) for step in steps
        ]
        letter = kind
    return _tight(tokens)


def _decimal(number: int, digits: int) -> str:
    text = f"{number / 10**digits:.{digits}f}".rstrip("0").rstrip(".")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _tight(tokens: list[str]) -> str:
    """Join letters and numbers with blanks only where two numbers would run into one."""
    text = last = ""
    for token in tokens:
        runs_on = token[0].isdigit() or (token[0] == "." and "." not in last)
        text += " " + token if runs_on and last[-1:].isdigit() else token
        last = token
    return text


def without_wrappers(svg: str) -> str:
    """Give what a group says of its only part (series, clipping) to the part itself."""
    while (shorter := _ONLY_CHILD.sub(r"<\2\1\3>\4", svg)) != svg:
        svg = shorter
    return svg


def share_looks(page: str) -> str:
    """Give every style that the figures of a page repeat a class, described once in the page's head.

    The names of clipping areas become short, too. The page's script writes the styles back into a figure that is
    saved alone.
    """
    looks: dict[str, str] = {}
    areas: dict[str, str] = {}

    def look(tag: re.Match[str]) -> str:
        return f'{tag[1]} class="{looks.setdefault(tag[2], f"k{len(looks)}")}"'

    def area(name: re.Match[str]) -> str:
        return f"{name[1]}{areas.setdefault(name[2], f'a{len(areas)}')}"

    def figure(found: re.Match[str]) -> str:
        svg = re.sub(r'(<(?:path|text)\b[^>]*?) style="([^"]*)"', look, found[0])
        return re.sub(r'(url\(#|<clipPath id=")([^")]+)', area, svg)

    page = _FIGURE.sub(figure, page)
    rules = "\n".join(f".{name} {{ {style} }}" for style, name in looks.items())
    return page.replace("</head>", f'<style id="looks">\n{rules}\n</style>\n</head>', 1) if looks else page
